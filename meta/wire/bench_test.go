package wire_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func cpuSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// spread runs n operations on clients goroutines.
func spread(n, clients int, f func(client, i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				f(c, i)
			}
		})
	}
	wg.Wait()
}

// BenchmarkCluster has clients at each of three nodes, which hold 16 groups on drives in memory and
// talk over loopback by TLS: two of three requests go to another node.
func BenchmarkCluster(b *testing.B) {
	c := newCluster(b, setup{storage: 3, factor: 3, groups: 16, edit: func(c *cluster) { c.plain = true }})
	c.ready(c.nodes[0])
	body := strings.Repeat("v", 4500)
	for _, op := range []string{"put", "get"} {
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", op, clients), func(b *testing.B) {
				b.ReportAllocs()
				before := c.counts()
				cpu, start := cpuSeconds(), time.Now()
				spread(b.N, clients, func(client, i int) {
					n, group := c.nodes[client%3], uint32(1+i%16)
					var err error
					if op == "put" {
						err = n.put(group, fmt.Sprint("key", i%1000), body)
					} else {
						_, err = n.get(group, fmt.Sprint("key", i%1000))
					}
					if err != nil {
						b.Error(err)
					}
				})
				took := time.Since(start).Seconds()
				after := c.counts()
				b.ReportMetric(float64(b.N)/took, op+"s/s")
				b.ReportMetric((cpuSeconds()-cpu)/float64(b.N)*1e6, "cpu-µs/"+op)
				b.ReportMetric(float64(after.frames-before.frames)/float64(b.N), "frames/"+op)
				b.ReportMetric(float64(after.messages-before.messages)/float64(b.N), "msgs/"+op)
				b.ReportMetric(float64(after.requests-before.requests)/float64(b.N), "requests/"+op)
				b.ReportMetric(float64(after.dropped-before.dropped), "dropped")
				b.ReportMetric(float64(after.callFrames-before.callFrames)/float64(b.N), "callframes/"+op)
			})
		}
	}
}

// BenchmarkIdleCluster reports what three quiet nodes with 64 groups cost, in percent of a core.
func BenchmarkIdleCluster(b *testing.B) {
	c := newCluster(b, setup{storage: 3, factor: 3, groups: 64, edit: func(c *cluster) { c.plain = true }})
	c.ready(c.nodes[0])
	time.Sleep(time.Second)
	cpu, start := cpuSeconds(), time.Now()
	time.Sleep(5 * time.Second)
	b.ReportMetric(100*(cpuSeconds()-cpu)/time.Since(start).Seconds(), "%core")
}

type counts struct{ frames, messages, requests, callFrames, dropped uint64 }

func (c *cluster) counts() (sum counts) {
	for _, n := range c.nodes {
		s := n.transport.Stats()
		sum.frames += s.Frames
		sum.messages += s.Messages
		sum.dropped += s.Dropped
		r := n.router.Stats()
		sum.requests += r.Requests
		sum.callFrames += r.Frames
	}
	return sum
}
