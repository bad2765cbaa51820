package blob

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"holdfast/internal/vfs"
	"holdfast/node"
	"holdfast/node/drive/shard"
)

func store(t testing.TB, fs vfs.FS, dir string) *Store {
	t.Helper()
	s, err := Open(Config{FS: fs, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func sample(n byte, blockLen uint32, length uint64) node.Spec {
	s := node.Spec{K: 4, M: 2, BlockLen: blockLen, Length: length}
	s.Data[0] = n
	return s
}

// write writes a blob of blocks filled with their number, from buffers full of secrets.
func write(t testing.TB, s *Store, spec node.Spec, alloc func(n int) []byte) uint64 {
	t.Helper()
	w, err := s.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	for n := range spec.Blocks() {
		block := alloc(spec.BlockSize(n))
		room := block[:cap(block)]
		for i := range room {
			room[i] = 's'
		}
		copy(block, bytes.Repeat([]byte{byte(n)}, len(block)))
		if err := w.WriteBlock(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return w.Number()
}

func unaligned(n int) []byte { return make([]byte, n+1)[1:] }

func TestBlobsReadBackFromAlignedAndOtherBuffers(t *testing.T) {
	s := store(t, vfs.OS{}, t.TempDir())
	for _, alloc := range []func(int) []byte{node.AllocBlock, unaligned} {
		for i, length := range []uint64{1, 4032, 4033, 65536, 200_000, 65536 * 3} {
			spec := sample(byte(i+1), 65536, length)
			number := write(t, s, spec, alloc)
			if err := s.Verify(number, spec); err != nil {
				t.Fatal(err)
			}
			for n := range spec.Blocks() {
				whole := make([]byte, spec.BlockSize(n))
				if err := s.ReadBlock(number, spec, n, 0, whole); err != nil {
					t.Fatal(err)
				}
				if want := bytes.Repeat([]byte{byte(n)}, len(whole)); !bytes.Equal(whole, want) {
					t.Fatalf("block %d of %d bytes: wrong bytes", n, length)
				}
				if len(whole) > 1 {
					if err := s.ReadBlock(number, spec, n, 1, whole[1:]); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got, err := s.Head(number); err != nil || got != spec {
				t.Errorf("head: %+v, %v", got, err)
			}
		}
	}
}

func TestWhatABufferHeldBeforeNeverReachesTheDisk(t *testing.T) {
	s := store(t, vfs.OS{}, t.TempDir())
	for _, alloc := range []func(int) []byte{node.AllocBlock, unaligned} {
		spec := sample(1, 5000, 12_000)
		number := write(t, s, spec, alloc)
		b, err := os.ReadFile(s.path(number))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) != Size(spec) {
			t.Errorf("file of %d bytes, want %d", len(b), Size(spec))
		}
		if bytes.Contains(b, []byte("sss")) {
			t.Error("the buffer's former contents are in the file")
		}
	}
}

func TestDirectIOIsDoneWithoutWhereItIsRefused(t *testing.T) {
	fs := refusing{vfs.NewMem()}
	s := store(t, fs, "/blobs")
	spec := sample(1, 5000, 12_000)
	number := write(t, s, spec, node.AllocBlock)
	if err := s.Verify(number, spec); err != nil {
		t.Error(err)
	}
}

// refusing is a file system without direct I/O.
type refusing struct{ vfs.FS }

func (r refusing) OpenFile(path string, flag int, perm os.FileMode) (vfs.File, error) {
	if flag&vfs.Direct != 0 {
		return nil, vfs.ErrNoDirect
	}
	return r.FS.OpenFile(path, flag, perm)
}

func TestCommitsShareTheSyncOfTheirDirectory(t *testing.T) {
	fs := vfs.NewFaulty(vfs.NewMem(), nil)
	s := store(t, fs, "/blobs")
	const count = 64
	for i := range count {
		write(t, s, sample(byte(i+1), 100, 100), node.AllocBlock)
	}
	if n := fs.Count(vfs.OpSync); n != count {
		t.Errorf("%d syncs of files for %d blobs", n, count)
	}
	if n := fs.Count(vfs.OpSyncDir); n > count/batch+2 {
		t.Errorf("%d syncs of directories for %d blobs", n, count)
	}
}

func TestABlobIsDurableWithItsNameWhenCommitReturns(t *testing.T) {
	m := vfs.NewMem()
	s := store(t, m, "/blobs")
	spec := sample(1, 5000, 12_000)
	number := write(t, s, spec, node.AllocBlock)
	for seed := range uint64(20) {
		after := store(t, m.Crash(random(seed)), "/blobs")
		if err := after.Verify(number, spec); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestRemovedBlobsAreGoneAndAbortedOnesLeaveNothing(t *testing.T) {
	m := vfs.NewMem()
	s := store(t, m, "/blobs")
	spec := sample(1, 100, 300)
	number := write(t, s, spec, node.AllocBlock)
	if err := s.ReadBlock(number, spec, 0, 0, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove(number); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ReadBlock(number, spec, 0, 0, make([]byte, 10)); !errors.Is(err, ErrGone) {
		t.Errorf("read of a removed blob: %v", err)
	}
	w, err := s.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	s.Close()
	left := 0
	if err := s.Numbers(func(uint64) error { left++; return nil }); err != nil || left != 0 {
		t.Errorf("%d files left, %v", left, err)
	}
}

func TestManyBlobsAreReadThroughFewHandles(t *testing.T) {
	s := store(t, vfs.NewMem(), "/blobs")
	spec := sample(1, 100, 100)
	for range 3 * maxHandles {
		n := write(t, s, spec, node.AllocBlock)
		if err := s.ReadBlock(n, spec, 0, 0, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if open := len(s.handles.byNum); open > maxHandles {
		t.Errorf("%d files are open", open)
	}
}

func TestAFailedDirectorySyncIsASyncError(t *testing.T) {
	fs := vfs.NewFaulty(vfs.NewMem(), func(c vfs.Call) vfs.Fault {
		if c.Op == vfs.OpSyncDir {
			return vfs.Fault{Err: syscall.EIO}
		}
		return vfs.Fault{}
	})
	var want *SyncError
	if _, err := store(t, fs, "/blobs").Create(sample(1, 100, 100)); !errors.As(err, &want) {
		t.Errorf("create: %v", err)
	}
}

func TestAFileThatIsTooShortIsDamage(t *testing.T) {
	s := store(t, vfs.OS{}, t.TempDir())
	spec := sample(1, 5000, 12_000)
	number := write(t, s, spec, node.AllocBlock)
	for size := Size(spec) - 1; size >= 0; size -= 3001 {
		if err := os.Truncate(s.path(number), size); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(number, spec); !errors.Is(err, shard.ErrDamaged) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
