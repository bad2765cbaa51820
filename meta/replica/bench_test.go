package replica_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/vfs"
	"holdfast/meta"
	"holdfast/meta/client"
	"holdfast/meta/fsm"
	"holdfast/meta/replica"
	"holdfast/node/drive"
	"holdfast/node/drive/log"
	"holdfast/proto/metapb"
)

// countingFS counts fdatasyncs.
type countingFS struct {
	vfs.FS
	syncs *atomic.Int64
}

func (c countingFS) OpenFile(path string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := c.FS.OpenFile(path, flag, perm)
	return countingFile{f, c.syncs}, err
}

type countingFile struct {
	vfs.File
	syncs *atomic.Int64
}

func (c countingFile) Sync() error { c.syncs.Add(1); return c.File.Sync() }

// realCluster is a process with real drives and the real state machine.
type realCluster struct {
	dir    string
	drives []*drive.Drive
	host   *replica.Host
	client *client.Client
	syncs  atomic.Int64
}

func handleOf(d *drive.Drive) replica.DriveHandle {
	return replica.DriveHandle{
		ID: d.ID(), KV: replica.NewBadger(d.KV(), d.Flushed),
		OpenLog: func(replay replica.Replay) (replica.Log, error) {
			l, err := d.OpenRaftLog(func(p log.Pos, kind uint8, payload []byte) error { return replay(p, kind, payload) })
			if err != nil {
				return nil, err
			}
			return l, nil
		},
		ResetLog: d.ResetRaftLog, Fail: d.Fail, Failed: d.Failed,
	}
}

// openReal opens the drives in dir, made if they are not there, and waits until all groups lead.
func openReal(t testing.TB, dir string, drives, factor int, groups uint32) *realCluster {
	return openRealWith(t, dir, drives, factor, groups, 0, 0)
}

// openRealWith does so with other sizes of the logs and their segments.
func openRealWith(t testing.TB, dir string, drives, factor int, groups uint32, logBytes, segmentBytes int64) *realCluster {
	c := &realCluster{dir: dir}
	cfg := replica.Config{Groups: groups, Apply: fsm.Apply, Answer: fsm.Answer, Logger: testLogger(t), LogBytes: logBytes}
	cfg.Beginning = &replica.Beginning{Replicas: factor}
	for i := range drives {
		d, err := drive.Open(t.Context(), drive.Config{
			Path: filepath.Join(dir, fmt.Sprint("d", i)), Cluster: id.Cluster{1}, Create: true, FS: countingFS{vfs.OS{}, &c.syncs}, SegmentBytes: segmentBytes,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.drives = append(c.drives, d)
		cfg.Drives = append(cfg.Drives, handleOf(d))
		cfg.Beginning.Drives = append(cfg.Beginning.Drives, d.ID())
	}
	start := time.Now()
	c.host = mustOpen(t, cfg)
	t.Logf("replicas ready after %v", time.Since(start))
	var err error
	if c.client, err = client.New(client.Config{Host: c.host}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *realCluster) close(t testing.TB) {
	mustClose(t, c.host)
	for _, d := range c.drives {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

var benchBucket = id.Bucket{7}

func putObject(key string, inline []byte) *metapb.Command {
	version := make([]byte, id.Size)
	_, _ = rand.Read(version)
	return &metapb.Command{
		Bucket: benchBucket[:], Key: key, NowMs: time.Now().UnixMilli(),
		Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{Manifest: &metapb.Manifest{
			VersionId: version, NullVersion: true, Size: uint64(len(inline)), Etag: "0123456789abcdef0123456789abcdef",
			ModifiedMs: time.Now().UnixMilli(), Headers: map[string]string{"Content-Type": "binary/octet-stream"},
			Parts: []*metapb.Part{{Number: 1, Size: uint64(len(inline)), Inline: inline, StreamId: version, Etag: "0123456789abcdef0123456789abcdef"}},
		}}},
	}
}

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

// BenchmarkPut puts objects of 4.5 KiB into 16 groups with five replicas on six drives.
func BenchmarkPut(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			c := openReal(b, b.TempDir(), 6, 5, meta.DefaultGroups)
			defer c.close(b)
			body := make([]byte, 4500)
			_, _ = rand.Read(body)
			b.ReportAllocs()
			b.ResetTimer()
			syncs, cpu, start := c.syncs.Load(), cpuSeconds(), time.Now()
			spread(b.N, clients, func(client, i int) {
				key := fmt.Sprintf("bench/%d/%d", client, i)
				if _, err := c.client.Apply(context.Background(), meta.GroupOf(meta.DefaultGroups, benchBucket, key), putObject(key, body)); err != nil {
					b.Error(err)
				}
			})
			took := time.Since(start).Seconds()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/took, "puts/s")
			b.ReportMetric(float64(c.syncs.Load()-syncs)/float64(b.N), "fsyncs/put")
			b.ReportMetric((cpuSeconds()-cpu)/float64(b.N)*1e6, "cpu-µs/put")
		})
	}
}

// BenchmarkGet reads manifests, linearizably.
func BenchmarkGet(b *testing.B) {
	c := openReal(b, b.TempDir(), 6, 5, meta.DefaultGroups)
	defer c.close(b)
	body := make([]byte, 4500)
	const keys = 2000
	spread(keys, 64, func(_, i int) {
		key := fmt.Sprintf("bench/%d", i)
		if _, err := c.client.Apply(context.Background(), meta.GroupOf(meta.DefaultGroups, benchBucket, key), putObject(key, body)); err != nil {
			b.Error(err)
		}
	})
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			b.ReportAllocs()
			b.ResetTimer()
			cpu, start := cpuSeconds(), time.Now()
			spread(b.N, clients, func(_, i int) {
				key := fmt.Sprintf("bench/%d", i%keys+1)
				q := &metapb.Query{Bucket: benchBucket[:], Key: key, Op: &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{}}}
				if _, err := c.client.Ask(context.Background(), meta.GroupOf(meta.DefaultGroups, benchBucket, key), q); err != nil {
					b.Error(err)
				}
			})
			took := time.Since(start).Seconds()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/took, "gets/s")
			b.ReportMetric((cpuSeconds()-cpu)/float64(b.N)*1e6, "cpu-µs/get")
		})
	}
}

// BenchmarkIdle reports what a quiet process costs, in percent of a core.
func BenchmarkIdle(b *testing.B) {
	c := openReal(b, b.TempDir(), 6, 5, meta.DefaultGroups)
	defer c.close(b)
	time.Sleep(time.Second)
	cpu, start := cpuSeconds(), time.Now()
	time.Sleep(10 * time.Second)
	b.ReportMetric(100*(cpuSeconds()-cpu)/time.Since(start).Seconds(), "%core")
}
