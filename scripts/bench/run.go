package main

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// bench runs cases against targets.
type bench struct {
	*options
	targets  []*target
	cases    []kase
	progress io.Writer

	bucket   string
	customer http.Header
	contents map[int64]*content
}

// loaders is how many connections put and delete objects outside of measurements.
const loaders = 8

// quietShare is the CPU, in cores, below which servers count as idle.
const quietShare = 0.15

// quietNodeShare is the same for each node of clusters.
const quietNodeShare = 0.05

func (b *bench) run(ctx context.Context) (*result, error) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	b.customer = customerHeaders(key)
	b.bucket = "bench-" + hex.EncodeToString(key[:4])
	b.contents = map[int64]*content{}
	for _, k := range b.cases {
		if b.contents[k.size] == nil {
			b.contents[k.size] = newContent(k.size, b.payload == "trailer")
		}
	}
	for _, t := range b.targets {
		fmt.Fprintf(b.progress, "filling %s at %s\n", t.name, t.endpoint)
		if err := b.fill(ctx, t); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	r := newResult(b)
	for _, k := range b.cases {
		for round := range b.rounds {
			for i, t := range b.targets {
				if err := b.settle(ctx); err != nil {
					return nil, err
				}
				s, err := b.measure(ctx, t, k, fmt.Sprintf("put/%s/%d/", k.name, round))
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", t.name, k.name, err)
				}
				r.add(k, i, s)
				fmt.Fprintf(b.progress, "%-24s round %d  %-10s %s\n", k.name, round+1, t.name, s.text(k))
			}
		}
	}
	if b.idle > 0 {
		if err := b.measureIdle(ctx, r); err != nil {
			return nil, err
		}
	}
	for _, t := range b.targets {
		if err := b.empty(t); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return r, nil
}

func (b *bench) path(key string) string {
	if key == "" {
		return "/" + b.bucket
	}
	return "/" + b.bucket + "/" + key
}

// fill makes the bucket, and the objects that the cases read.
func (b *bench) fill(ctx context.Context, t *target) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.call(&call{method: "PUT", path: b.path("")}, nil); err != nil {
		return fmt.Errorf("make bucket: %w", err)
	}
	done := map[string]bool{}
	for _, k := range b.cases {
		if k.op == opPut || done[k.prefix()] {
			continue
		}
		done[k.prefix()] = true
		var next atomic.Int64
		err := b.parallel(t, loaders, func(c *conn) error {
			w := b.worker(k, c, "")
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= b.objects(k) {
					return nil
				}
				if err := w.put(objectKey(k.prefix(), n)); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// objects is how many objects a case has to read.
func (b *bench) objects(k kase) int {
	if k.size == b.large {
		return b.largeN
	}
	return b.smallN
}

func (b *bench) worker(k kase, c *conn, puts string) *worker {
	return &worker{b: b, k: k, c: c, data: b.contents[k.size], count: b.objects(k), puts: puts,
		random: mathrand.New(mathrand.NewPCG(mathrand.Uint64(), 0))}
}

// parallel runs f on n connections and returns the first errors.
func (b *bench) parallel(t *target, n int, f func(c *conn) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			c, err := t.dial()
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			errs[i] = f(c)
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// phase of a measurement.
const (
	phaseWarm int32 = iota
	phaseCount
	phaseOver
)

// measure runs one case against one target. What a Put case made is deleted before it returns.
func (b *bench) measure(ctx context.Context, t *target, k kase, puts string) (*sample, error) {
	workers := make([]*worker, k.clients)
	for i := range workers {
		c, err := t.dial()
		if err != nil {
			return nil, err
		}
		defer c.close()
		workers[i] = b.worker(k, c, fmt.Sprintf("%s%02d/", puts, i))
	}
	var phase atomic.Int32
	failed := make(chan error, len(workers))
	took := make([][]time.Duration, len(workers))
	bytes, entries := make([]int64, len(workers)), make([]int64, len(workers))
	warmed := newTally(int64(len(workers)))                 // each made one operation: they are out of step
	enough := newTally(minOperations * int64(len(workers))) // so that the edges of the window weigh little
	var wait sync.WaitGroup
	for i, w := range workers {
		took[i] = make([]time.Duration, 0, 1<<14)
		wait.Go(func() {
			for warm := true; phase.Load() != phaseOver; warm = false {
				begin := time.Now()
				n, e, err := w.do()
				if err != nil {
					failed <- err
					return
				}
				if warm {
					warmed.count()
				}
				if phase.Load() == phaseCount {
					took[i] = append(took[i], time.Since(begin))
					bytes[i] += n
					entries[i] += e
					enough.count()
				}
			}
		})
	}
	s := &sample{}
	err := pause(ctx, b.warm, failed)
	if err == nil {
		err = await(ctx, warmed.reached, failed)
	}
	if err == nil {
		pids := family(t.pids)
		memory := watch(pids)
		begin, server, client, machine := time.Now(), cpuSeconds(pids), ownCPU(), machineCPU()
		phase.Store(phaseCount)
		if err = pause(ctx, b.seconds, failed); err == nil {
			err = await(ctx, enough.reached, failed)
		}
		phase.Store(phaseOver)
		s.Seconds, s.ServerCPU, s.ClientCPU = time.Since(begin).Seconds(), cpuSeconds(pids)-server, ownCPU()-client
		s.OtherCPU = max(0, machineCPU()-machine-s.ServerCPU-s.ClientCPU)
		s.ResidentMiB, s.AnonymousMiB = memory.stop()
	}
	phase.Store(phaseOver)
	wait.Wait()
	select {
	case late := <-failed:
		err = errors.Join(err, late)
	default:
	}
	if err != nil {
		return nil, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	s.Operations = int64(len(all))
	s.P50ms, s.P99ms = ms(all[len(all)/2]), ms(all[len(all)*99/100])
	for i := range workers {
		s.Bytes += bytes[i]
		s.Entries += entries[i]
	}
	return s, b.deletePuts(t, workers)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// pause waits for a time, or for the first failure.
func pause(ctx context.Context, d time.Duration, failed <-chan error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// minOperations is how many operations of each client, on average, a measurement must count; it
// goes on for as long as that takes.
const minOperations = 2

// tally closes a channel when it has counted to a number.
type tally struct {
	left    atomic.Int64
	reached chan struct{}
}

func newTally(n int64) *tally {
	t := &tally{reached: make(chan struct{})}
	t.left.Store(n)
	return t
}

func (t *tally) count() {
	if t.left.Add(-1) == 0 {
		close(t.reached)
	}
}

// await waits for something to happen, or for the first failure.
func await(ctx context.Context, what <-chan struct{}, failed <-chan error) error {
	select {
	case <-what:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deletePuts removes what the workers of a Put case made.
func (b *bench) deletePuts(t *target, workers []*worker) error {
	var keys []string
	for _, w := range workers {
		for n := 1; n <= w.made; n++ {
			keys = append(keys, objectKey(w.puts, n))
		}
	}
	return b.deleteKeys(t, keys)
}

// deleteKeys removes keys, a thousand a request.
func (b *bench) deleteKeys(t *target, keys []string) error {
	const batch = 1000
	var next atomic.Int64
	return b.parallel(t, min(loaders, len(keys)/batch+1), func(c *conn) error {
		for {
			at := int(next.Add(1)-1) * batch
			if at >= len(keys) {
				return nil
			}
			var x strings.Builder
			x.WriteString("<Delete><Quiet>true</Quiet>")
			for _, key := range keys[at:min(at+batch, len(keys))] {
				x.WriteString("<Object><Key>" + key + "</Key></Object>")
			}
			x.WriteString("</Delete>")
			body := []byte(x.String())
			sum := md5.Sum(body)
			var answer strings.Builder
			_, err := c.call(&call{method: "POST", path: b.path(""), query: "delete=", body: [][]byte{body},
				headers: http.Header{"Content-Md5": {base64.StdEncoding.EncodeToString(sum[:])}}},
				func(b []byte) error { answer.Write(b); return nil })
			if err == nil && strings.Contains(answer.String(), "<Error>") {
				err = fmt.Errorf("%.500s", answer.String())
			}
			if err != nil {
				return fmt.Errorf("delete: %w", err)
			}
		}
	})
}

// empty removes all that is left, and the bucket.
func (b *bench) empty(t *target) error {
	var keys []string
	seen := map[string]bool{}
	for _, k := range b.cases {
		if k.op == opPut || seen[k.prefix()] {
			continue
		}
		seen[k.prefix()] = true
		for n := range b.objects(k) {
			keys = append(keys, objectKey(k.prefix(), n))
		}
	}
	if len(keys) > 0 {
		if err := b.deleteKeys(t, keys); err != nil {
			return err
		}
	}
	return b.parallel(t, 1, func(c *conn) error {
		_, err := c.call(&call{method: "DELETE", path: b.path(""), want: http.StatusNoContent}, nil)
		return wrap("delete bucket", b.bucket, err)
	})
}

// settle waits until the servers are idle, for at most b.quiet.
func (b *bench) settle(ctx context.Context) error {
	nodes := 0
	for _, t := range b.targets {
		nodes += len(t.pids)
	}
	share := max(quietShare, quietNodeShare*float64(nodes))
	const step = 250 * time.Millisecond
	for limit := time.Now().Add(b.quiet); time.Now().Before(limit); {
		before := b.serversCPU()
		if err := pause(ctx, step, nil); err != nil {
			return err
		}
		if b.serversCPU()-before <= share*step.Seconds() {
			return nil
		}
	}
	return nil
}

func (b *bench) serversCPU() float64 {
	sum := 0.0
	for _, t := range b.targets {
		sum += cpuSeconds(family(t.pids))
	}
	return sum
}

// measureIdle measures all servers at once with no client.
func (b *bench) measureIdle(ctx context.Context, r *result) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	before := make([][]float64, len(b.targets))
	for i, t := range b.targets {
		before[i] = t.nodesCPU()
	}
	begin := time.Now()
	if err := pause(ctx, b.idle, nil); err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	for i, t := range b.targets {
		pids := family(t.pids)
		resident, anonymous := memory(pids)
		r.Idle[i] = &idle{ResidentMiB: resident, AnonymousMiB: anonymous}
		for n, cpu := range t.nodesCPU() {
			percent := 100 * (cpu - before[i][n]) / took
			r.Idle[i].CPUPercent += percent
			r.Idle[i].CPUPercentNodes = append(r.Idle[i].CPUPercentNodes, percent)
		}
	}
	return nil
}
