package log

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/vfs"
)

// BenchmarkAppend appends records of 5 KB; it reports how many fdatasyncs each took.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			fs := vfs.NewFaulty(vfs.OS{}, nil)
			l, _ := open(b, Config{FS: fs, Dir: b.TempDir()}, Pos{})
			data := random(1, 5000)
			put(b, l, 1, data)
			fs.Decide(nil)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			for range writers {
				all.Add(1)
				go func() {
					defer all.Done()
					done := make(chan error, 1)
					parts := [][]byte{data[:100], data[100:]}
					for left.Add(-1) >= 0 {
						l.Append(1, parts, func(_ Pos, err error) { done <- err })
						if err := <-done; err != nil {
							b.Error(err)
						}
					}
				}()
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(fs.Count(vfs.OpSync))/float64(b.N), "syncs/op")
			l.Close()
		})
	}
}
