package drive

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/node"
)

// bench commits shards from several goroutines and reports what a commit cost in fsyncs.
func bench(b *testing.B, writers int, blockLen uint32, length uint64) {
	fs := vfs.NewFaulty(vfs.OS{}, nil)
	cfg := Config{Path: b.TempDir(), Cluster: cluster, Create: true, FS: fs}
	d := open(b, cfg)
	defer closeDrive(b, d)
	warm := spec(1<<30, blockLen, length)
	put(b, d, warm, content(warm, 1))
	fs.Decide(nil)
	b.SetBytes(int64(length))
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Add(1)
		go func() {
			defer all.Done()
			block := node.AllocBlock(int(min(uint64(blockLen), length)))
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if err := putBlocks(d, spec(int(n), blockLen, length), block); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(fs.Count(vfs.OpSync))/float64(b.N), "fdatasyncs/op")
	b.ReportMetric(float64(fs.Count(vfs.OpSyncDir))/float64(b.N), "dirsyncs/op")
}

func putBlocks(d *Drive, s node.Spec, block []byte) error {
	ctx := context.Background()
	w, err := d.Create(ctx, s)
	if err != nil {
		return err
	}
	defer w.Abort()
	for n := range s.Blocks() {
		if err := w.WriteBlock(ctx, block[:s.BlockSize(n)]); err != nil {
			return err
		}
	}
	return w.Commit(ctx)
}

// BenchmarkSmallShard commits shards of 4 KiB, which go to the log.
func BenchmarkSmallShard(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { bench(b, writers, 262_208, 4096) })
	}
}

// BenchmarkLargeShard commits the shards of a 10 MiB object at 4+2: ten blocks, 2.5 MiB.
func BenchmarkLargeShard(b *testing.B) {
	for _, writers := range []int{1, 4} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { bench(b, writers, 262_208, 2_622_080) })
	}
}

// BenchmarkThreshold commits shards of one size once to the log and once to files.
func BenchmarkThreshold(b *testing.B) {
	for _, size := range []uint64{64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20} {
		for _, blobs := range []bool{false, true} {
			b.Run(fmt.Sprintf("size=%dK/blob=%v", size>>10, blobs), func(b *testing.B) {
				fs := vfs.NewFaulty(vfs.OS{}, nil)
				cfg := Config{Path: b.TempDir(), Cluster: cluster, Create: true, FS: fs, BlobBytes: maxBlobBytes}
				if blobs {
					cfg.BlobBytes = 1
				}
				d := open(b, cfg)
				defer closeDrive(b, d)
				b.SetBytes(int64(size))
				b.ResetTimer()
				var next atomic.Int64
				var all sync.WaitGroup
				for range 4 {
					all.Add(1)
					go func() {
						defer all.Done()
						block := node.AllocBlock(int(min(size, 262_208)))
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							if err := putBlocks(d, spec(int(n), 262_208, size), block); err != nil {
								b.Error(err)
								return
							}
						}
					}()
				}
				all.Wait()
			})
		}
	}
}

// BenchmarkRead reads whole blocks of 256 KiB, and 64 KiB of them, from the page cache.
func BenchmarkRead(b *testing.B) {
	cfg := Config{Path: b.TempDir(), Cluster: cluster, Create: true}
	d := open(b, cfg)
	defer closeDrive(b, d)
	large, small := spec(1, 262_208, 2_622_080), spec(2, 262_208, 4096)
	put(b, d, large, content(large, 1))
	put(b, d, small, content(small, 1))
	for name, r := range map[string]struct {
		s node.Spec
		n int
	}{"blob-block": {large, 262_208}, "blob-64K": {large, 65_552}, "log-4K": {small, 4096}} {
		b.Run(name, func(b *testing.B) {
			dst := node.AllocBlock(r.n)
			b.SetBytes(int64(r.n))
			b.ReportAllocs()
			for i := range b.N {
				if err := d.ReadBlock(context.Background(), r.s, i%r.s.Blocks(), 0, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
