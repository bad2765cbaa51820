package drive

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/vfs"
	"holdfast/node"
)

func errorIs(err, want error) bool { return errors.Is(err, want) }

// scenario writes and deletes shards of both kinds, and tells of each acknowledgement.
func scenario(d *Drive, stored func(node.Spec), deleted func(node.Spec)) {
	for i := range 6 {
		s := spec(i, 4096, uint64(1000+i%2*7000))
		if tryPut(d, s, content(s, 1)) == nil {
			stored(s)
		}
		if i == 3 {
			gone := []node.Spec{spec(0, 4096, 1000), spec(1, 4096, 8000)}
			if d.Delete(context.Background(), []node.Shard{gone[0].Shard, gone[1].Shard}) == nil {
				for _, g := range gone {
					deleted(g)
				}
			}
		}
	}
}

func TestAFailedSyncTakesTheDriveOutAndLosesNothingAcknowledged(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpSync, vfs.OpWrite, vfs.OpSyncDir} {
		for n := 1; n < 40; n += 4 {
			fs := vfs.NewFaulty(vfs.OS{}, nil)
			cfg := config(t.TempDir())
			cfg.FS, cfg.BlobBytes = fs, 5000
			d := open(t, cfg)
			hit := false
			fs.Decide(func(c vfs.Call) vfs.Fault {
				if c.Op == op && c.N == n {
					hit = true
					return vfs.Fault{Err: syscall.EIO}
				}
				return vfs.Fault{}
			})
			holds, gone := map[node.Shard]node.Spec{}, map[node.Shard]node.Spec{}
			scenario(d, func(s node.Spec) { holds[s.Shard] = s }, func(s node.Spec) {
				delete(holds, s.Shard)
				gone[s.Shard] = s
			})
			fs.Decide(nil)
			if hit {
				wantOut(t, d)
			}
			_ = d.Close()
			if !hit {
				break
			}
			cfg.FS = vfs.OS{}
			d = open(t, cfg)
			if d.Clean() {
				t.Error("a drive that went out was called clean")
			}
			for _, s := range holds {
				wantShard(t, d, s, content(s, 1))
			}
			for _, s := range gone {
				wantNone(t, d, s)
			}
			closeDrive(t, d)
		}
	}
}

// wantOut checks that nothing is served any more.
func wantOut(t *testing.T, d *Drive) {
	t.Helper()
	ctx, s := context.Background(), spec(5, 4096, 8000)
	_, createErr := d.Create(ctx, s)
	_, statErr := d.Stat(ctx, s.Shard)
	_, listErr := d.List(ctx, node.Shard{}, 1)
	for _, err := range []error{
		createErr, statErr, listErr, d.ReadBlock(ctx, s, 0, 0, make([]byte, 1)),
		d.Verify(ctx, s.Shard), d.Delete(ctx, []node.Shard{s.Shard}),
	} {
		if !kind.Is(err, kind.Unavailable) {
			t.Errorf("a drive that is out answers %v", err)
		}
	}
	if s := d.Status(); !s.Out || s.Reason == "" {
		t.Errorf("status: %+v", s)
	}
}

func TestAReadErrorTakesTheDriveOut(t *testing.T) {
	fs := vfs.NewFaulty(vfs.OS{}, nil)
	cfg := config(t.TempDir())
	cfg.FS = fs
	d := open(t, cfg)
	s := spec(1, 4096, 8000)
	put(t, d, s, content(s, 1))
	fs.Decide(func(c vfs.Call) vfs.Fault {
		if c.Op == vfs.OpRead {
			return vfs.Fault{Err: syscall.EIO}
		}
		return vfs.Fault{}
	})
	if _, err := tryRead(d, s); !kind.Is(err, kind.Unavailable) {
		t.Errorf("read: %v", err)
	}
	wantOut(t, d)
	_ = d.Close()
}

func TestNothingAcknowledgedIsLostInACrashAtAnyStep(t *testing.T) {
	steps := []vfs.Op{vfs.OpSync, vfs.OpWrite, vfs.OpSyncDir, vfs.OpOpen, vfs.OpRemove}
	for _, op := range steps {
		for n := 1; ; n += 6 {
			if !crashAt(t, op, n) {
				break
			}
		}
	}
}

// crashAt copies the drive when the n-th call of op is about to be made, and checks the copy.
// False if there were fewer calls.
func crashAt(t *testing.T, op vfs.Op, n int) bool {
	fs := vfs.NewFaulty(vfs.OS{}, nil)
	cfg := config(t.TempDir())
	cfg.FS, cfg.BlobBytes = fs, 5000
	d := open(t, cfg)
	after := cfg
	after.FS, after.Path = vfs.OS{}, filepath.Join(t.TempDir(), "drive")
	hit := false
	var mu sync.Mutex // the calls come from several goroutines
	holds, gone := map[node.Shard]node.Spec{}, map[node.Shard]node.Spec{}
	var holdsThen, goneThen []node.Spec
	fs.Decide(func(c vfs.Call) vfs.Fault {
		if c.Op != op || c.N != n {
			return vfs.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		hit = true
		for _, s := range holds {
			holdsThen = append(holdsThen, s)
		}
		for _, s := range gone {
			goneThen = append(goneThen, s)
		}
		copyDrive(t, cfg.Path, after.Path, noMemtables) // no other call begins meanwhile
		return vfs.Fault{}
	})
	scenario(d, func(s node.Spec) {
		mu.Lock()
		defer mu.Unlock()
		holds[s.Shard] = s
	}, func(s node.Spec) {
		mu.Lock()
		defer mu.Unlock()
		delete(holds, s.Shard)
		gone[s.Shard] = s
	})
	fs.Decide(nil)
	closeDrive(t, d)
	if !hit {
		return false
	}
	d = open(t, after)
	defer closeDrive(t, d)
	for _, s := range holdsThen {
		if _, deleted := gone[s.Shard]; deleted {
			continue // the deletion may have been under way
		}
		wantShard(t, d, s, content(s, 1))
	}
	for _, s := range goneThen {
		wantNone(t, d, s)
	}
	list, err := d.List(context.Background(), node.Shard{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		wantShard(t, d, s, content(s, 1))
	}
	return true
}

func TestAFullDriveRefusesShardsAndServesReadsAndDeletes(t *testing.T) {
	fs := vfs.NewFaulty(vfs.OS{}, nil)
	cfg := config(t.TempDir())
	cfg.FS, cfg.ReserveBytes = fs, 100<<20
	d := open(t, cfg)
	defer closeDrive(t, d)
	small, large := spec(1, 65536, 5000), spec(2, 65536, 300_000)
	put(t, d, small, content(small, 1))
	put(t, d, large, content(large, 1))
	fs.Decide(func(c vfs.Call) vfs.Fault {
		return vfs.Fault{Space: &vfs.Space{Total: 1 << 40, Free: 100<<20 - 1}}
	})
	d.space.forget()
	for _, s := range []node.Spec{spec(3, 65536, 5000), spec(4, 65536, 300_000)} {
		if err := tryPut(d, s, content(s, 1)); !kind.Is(err, kind.Full) {
			t.Errorf("put to a full drive: %v", err)
		}
	}
	if s := d.Status(); !s.ReadOnly || s.Out || s.Reason == "" {
		t.Errorf("status: %+v", s)
	}
	wantShard(t, d, small, content(small, 1))
	wantShard(t, d, large, content(large, 1))
	if err := d.Delete(context.Background(), []node.Shard{large.Shard}); err != nil {
		t.Errorf("delete on a full drive: %v", err)
	}
	wantNone(t, d, large)
	fs.Decide(nil)
	d.space.forget()
	put(t, d, large, content(large, 1))
	if d.Status().ReadOnly {
		t.Error("still read-only")
	}
}

func TestRunningOutOfSpaceInMidWriteIsFullAndNotBroken(t *testing.T) {
	fs := vfs.NewFaulty(vfs.OS{}, nil)
	cfg := config(t.TempDir())
	cfg.FS = fs
	d := open(t, cfg)
	defer closeDrive(t, d)
	kept := spec(1, 65536, 5000)
	put(t, d, kept, content(kept, 1))
	fs.Decide(func(c vfs.Call) vfs.Fault {
		if c.Op == vfs.OpWrite && c.Len > 4096 {
			return vfs.Fault{Err: syscall.ENOSPC, Short: 4096}
		}
		return vfs.Fault{}
	})
	for _, s := range []node.Spec{spec(3, 65536, 5000), spec(4, 65536, 300_000)} {
		if err := tryPut(d, s, content(s, 1)); !kind.Is(err, kind.Full) {
			t.Errorf("put: %v", err)
		}
		wantNone(t, d, s)
	}
	fs.Decide(nil)
	wantShard(t, d, kept, content(kept, 1))
	for _, s := range []node.Spec{spec(3, 65536, 5000), spec(4, 65536, 300_000)} {
		put(t, d, s, content(s, 1))
		wantShard(t, d, s, content(s, 1))
	}
}
