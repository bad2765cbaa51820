package fanout

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"syscall"
	"testing"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/node/client"
)

// nullDrive takes blocks and forgets them, and reads zeros: what is left is the pipeline.
type nullDrive struct{ name id.Drive }

type nullWriter struct{}

func (nullWriter) WriteBlock(context.Context, []byte) error { return nil }
func (nullWriter) Commit(context.Context) error             { return nil }
func (nullWriter) Abort()                                   {}

func (d nullDrive) Create(context.Context, node.Spec) (node.Writer, error)               { return nullWriter{}, nil }
func (d nullDrive) ReadBlock(context.Context, node.Spec, int, int, []byte) error         { return nil }
func (d nullDrive) Stat(context.Context, node.Shard) (node.Spec, error)                  { return node.Spec{}, nil }
func (d nullDrive) Verify(context.Context, node.Shard) error                             { return nil }
func (d nullDrive) Delete(context.Context, []node.Shard) error                           { return nil }
func (d nullDrive) List(context.Context, node.Shard, int) (specs []node.Spec, err error) { return }
func (d nullDrive) Status() node.Status                                                  { return node.Status{ID: d.name} }

func nullRig(b *testing.B, s erasure.Scheme) (*Fanout, []id.Drive) {
	router := client.NewDrives()
	var names []id.Drive
	for i := range s.Shards() {
		names = append(names, id.Drive{byte(i + 1)})
		router.Add(nullDrive{names[i]})
	}
	f, err := New(Config{Drives: router})
	if err != nil {
		b.Fatal(err)
	}
	return f, names
}

// cpu is the seconds of processor time that this process has used.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func reportCPU(b *testing.B, start float64, size int) {
	b.ReportMetric((cpu()-start)/(float64(size)*float64(b.N)/1e9), "cpu-s/GB")
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{8 << 10, 64 << 10, 1 << 20, 10 << 20} {
		for _, inspect := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/md5=%v", size>>10, inspect), func(b *testing.B) {
				s := erasure.Scheme{K: 4, M: 2}
				f, names := nullRig(b, s)
				data := make([]byte, size)
				spec := PutSpec{Scheme: s, Length: int64(size), Drives: names, Margin: 1}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				start := cpu()
				for b.Loop() {
					if inspect {
						h := md5.New()
						spec.Inspect = func(p []byte) { h.Write(p) }
					}
					if _, err := f.Put(context.Background(), spec, bytes.NewReader(data)); err != nil {
						b.Fatal(err)
					}
				}
				reportCPU(b, start, size)
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{8 << 10, 64 << 10, 1 << 20, 10 << 20} {
		for _, lost := range []int{0, 2} {
			b.Run(fmt.Sprintf("%dKiB/lost=%d", size>>10, lost), func(b *testing.B) {
				s := erasure.Scheme{K: 4, M: 2}
				f, names := nullRig(b, s)
				for i := range lost {
					names[i] = id.Drive{}
				}
				ref := Ref{Layout: erasure.Layout{Scheme: s, BlockLen: erasure.BlockLen(4), Length: int64(size)}, Drives: names}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				start := cpu()
				for b.Loop() {
					if err := f.Get(context.Background(), ref, 0, int64(size), func([]byte) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
				reportCPU(b, start, size)
			})
		}
	}
}
