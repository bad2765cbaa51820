package server_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
	"holdfast/node"
	"holdfast/node/client"
)

// nowhere is a drive that takes everything and keeps nothing: what is measured is the way there.
type nowhere struct{ node.Drive }

func (nowhere) Create(context.Context, node.Spec) (node.Writer, error)       { return nowhere{}, nil }
func (nowhere) WriteBlock(context.Context, []byte) error                     { return nil }
func (nowhere) Commit(context.Context) error                                 { return nil }
func (nowhere) Abort()                                                       {}
func (nowhere) ReadBlock(context.Context, node.Spec, int, int, []byte) error { return nil }
func (nowhere) Status() node.Status                                          { return node.Status{ID: id.Drive{9}} }

// benchShards is the number of shards that move at once.
const benchShards = 6

func benchPair(b *testing.B) *client.Remote {
	lender := lend(b, nil, nowhere{})
	return remote(b, rpctest.New(b, func(c *rpc.Config) { c.Role = rpc.Front }), lender.Address, id.Drive{9}, nil)
}

// cpu is the processor time of this process so far: both ends of the connections are in it.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs move for b.N blocks, on as many goroutines as there are shards.
func measure(b *testing.B, size int, move func(shard, blocks int) error) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	if err := move(0, 2); err != nil { // connect
		b.Fatal(err)
	}
	before := cpu(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range benchShards {
		wg.Go(func() {
			if n := (b.N + i) / benchShards; n > 0 {
				if err := move(i, n); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric((cpu(b)-before).Seconds()/(float64(b.N)*float64(size)/1e9), "cpu-s/GB")
}

// BenchmarkWriteBlock: full blocks of 4+2, in shards of several.
func BenchmarkWriteBlock(b *testing.B) {
	r := benchPair(b)
	measure(b, blockLen, func(i, blocks int) error {
		block, ctx := content(byte(i)), context.Background()
		w, err := r.Create(ctx, specOf(byte(i), max(blocks, 2)))
		if err != nil {
			return err
		}
		defer w.Abort()
		for range max(blocks, 2) {
			if err := w.WriteBlock(ctx, block); err != nil {
				return err
			}
		}
		return w.Commit(ctx)
	})
}

// BenchmarkReadBlock: the same blocks, back.
func BenchmarkReadBlock(b *testing.B) {
	r := benchPair(b)
	measure(b, blockLen, func(i, blocks int) error {
		dst := content(byte(i))
		for n := range blocks {
			if err := r.ReadBlock(context.Background(), specOf(byte(i), blocks), n, 0, dst); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkSmallShard: a shard of one sealed chunk, Create to Commit. The metric is CPU time of both ends a shard.
func BenchmarkSmallShard(b *testing.B) {
	r := benchPair(b)
	spec := specOf(1, 1)
	spec.BlockLen, spec.Length = 64<<10+16, 64<<10+16
	block := content(1)[:spec.Length]
	measure(b, len(block), func(_, shards int) error {
		for range shards {
			w, err := r.Create(context.Background(), spec)
			if err != nil {
				return err
			}
			if err := w.WriteBlock(context.Background(), block); err != nil {
				return err
			}
			if err := w.Commit(context.Background()); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkStat is the least that a call costs.
func BenchmarkStat(b *testing.B) {
	p := newPair(b, nil)
	if err := write(context.Background(), p.remote, specOf(1, 1)); err != nil {
		b.Fatal(err)
	}
	before := cpu(b)
	b.ResetTimer()
	for range b.N {
		if _, err := p.remote.Stat(context.Background(), specOf(1, 1).Shard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}
