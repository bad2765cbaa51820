package forming

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/vfs"
	"holdfast/proto/formpb"
)

func random(seed uint64) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{byte(seed)}) }

func nodeIDOf(t *testing.T, fsys vfs.FS, seed uint64, dirs ...string) id.Node {
	t.Helper()
	n, err := NodeID(fsys, dirs, random(seed))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNodeIDStays(t *testing.T) {
	mem := vfs.NewMem()
	a := nodeIDOf(t, mem, 1, "/d1", "/d2", "/d3")
	if a == (id.Node{}) || nodeIDOf(t, mem, 2, "/d3", "/d2", "/d1") != a {
		t.Fatal("it changed at the second start")
	}
	// The power fails right after it was given out.
	for seed := range uint64(20) {
		if after := mem.Crash(rand.New(rand.NewPCG(seed, 0))); nodeIDOf(t, after, 3, "/d1", "/d2", "/d3") != a {
			t.Fatal("it did not survive a power cut")
		}
	}
	if nodeIDOf(t, mem, 4, "/d1", "/new", "/new2") != a { // others were replaced
		t.Fatal("it left with two of three directories")
	}
	if b := nodeIDOf(t, mem, 5, "/wiped"); b == a {
		t.Fatal("a wiped node is the same one")
	}
}

// TestMostDirectoriesName the node: one that was moved here from another belongs here from now on.
func TestMostDirectoriesNameTheNode(t *testing.T) {
	mem := vfs.NewMem()
	a, b := nodeIDOf(t, mem, 1, "/a1", "/a2"), nodeIDOf(t, mem, 2, "/b1", "/b2", "/b3")
	if got := nodeIDOf(t, mem, 3, "/b3", "/a1", "/a2"); got != a {
		t.Fatalf("%s, a is %s, b is %s", got, a, b)
	}
	if got := nodeIDOf(t, mem, 3, "/b3"); got != a {
		t.Fatal("the moved directory still names the node that it left")
	}
	if got := nodeIDOf(t, mem, 3, "/b1", "/a1"); got != b {
		t.Fatal("of as many the first one counts")
	}
}

// TestUnreadableDirectoryNamesNobody new: it may be that all others are new and this one has the name.
func TestUnreadableDirectory(t *testing.T) {
	mem := vfs.NewMem()
	a := nodeIDOf(t, mem, 1, "/d1", "/d2")
	broken := brokenFS{mem, "/d2"}
	if nodeIDOf(t, broken, 2, "/d1", "/d2") != a {
		t.Fatal("a failed drive changes the node")
	}
	if n, err := NodeID(broken, []string{"/new", "/d2"}, random(3)); err == nil {
		t.Fatalf("a new ID %s while the old one may stand where nothing can be read", n)
	}
	f := Files{broken, []string{"/d1", "/d2"}}
	if err := f.Save(&formpb.Saved{Sequence: 1}); err == nil {
		t.Error("a Save that failed on one drive is reported as done")
	}
	if s, err := f.Load(); err != nil || s.GetSequence() != 1 {
		t.Error(s, err)
	}
	if _, err := (Files{broken, []string{"/d2"}}).Load(); err == nil {
		t.Error("nothing can be read, and nothing is said")
	}
	if err := write(mem, "/d3", formingName, []byte(`{"format":2}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := (Files{mem, []string{"/d1", "/d3"}}).Load(); err == nil {
		t.Error("a newer format was read")
	}
	if err := write(mem, "/d3", nodeFileName, []byte(`{"format":2,"node":"00"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := NodeID(mem, []string{"/d3"}, random(3)); err == nil {
		t.Error("a newer format was read")
	}
}

// brokenFS fails what it is asked of one directory.
type brokenFS struct {
	vfs.FS
	dir string
}

func (b brokenFS) OpenFile(path string, flag int, perm fs.FileMode) (vfs.File, error) {
	if len(path) > len(b.dir) && path[:len(b.dir)+1] == b.dir+"/" {
		return nil, errors.New("input/output error")
	}
	return b.FS.OpenFile(path, flag, perm)
}

// TestSaveSurvivesAPowerCut at every call of the file system: what Load then says is the old state or
// the new one, the new one once Save has returned, and it stays so.
func TestSaveSurvivesAPowerCut(t *testing.T) {
	for calls := 0; ; calls++ {
		for seed := range uint64(8) {
			mem := vfs.NewMem()
			dirs := []string{"/srv/d1", "/srv/d2", "/srv/d3"}
			f := Files{mem, dirs}
			first := &formpb.Saved{Format: 1, Sequence: 1, Phase: formpb.Phase_ACCEPTED, Plan: &formpb.Plan{Id: []byte{1}}}
			if err := f.Save(first); err != nil {
				t.Fatal(err)
			}
			second := &formpb.Saved{Format: 1, Sequence: 2, Phase: formpb.Phase_COMMITTED, Plan: &formpb.Plan{Id: []byte{1}}}
			limited := &limitedFS{FS: mem, left: calls}
			done := Files{limited, dirs}.Save(second) == nil
			after := mem.Crash(rand.New(rand.NewPCG(seed, uint64(calls))))
			got, err := Files{after, dirs}.Load()
			if err != nil {
				t.Fatalf("after %d calls: %v", calls, err)
			}
			if !proto.Equal(got, second) && (done || !proto.Equal(got, first)) {
				t.Fatalf("after %d calls, done %v: %v", calls, done, got)
			}
			for i := range dirs { // whichever is left
				again := Files{after.Crash(rand.New(rand.NewPCG(seed, 1))), dirs[i : i+1]}
				if s, err := again.Load(); err != nil || !proto.Equal(s, got) {
					t.Fatalf("after %d calls, directory %d says %v, not %v: %v", calls, i, s, got, err)
				}
			}
			if done && seed == 7 {
				return
			}
		}
	}
}

// limitedFS fails every change after the first ones.
type limitedFS struct {
	vfs.FS
	left int
}

func (l *limitedFS) spend() error {
	if l.left--; l.left < 0 {
		return fmt.Errorf("the power is gone")
	}
	return nil
}

func (l *limitedFS) OpenFile(path string, flag int, perm fs.FileMode) (vfs.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := l.spend(); err != nil {
			return nil, err
		}
	}
	f, err := l.FS.OpenFile(path, flag, perm)
	return &limitedFile{f, l}, err
}

func (l *limitedFS) Rename(from, to string) error {
	if err := l.spend(); err != nil {
		return err
	}
	return l.FS.Rename(from, to)
}

func (l *limitedFS) SyncDir(path string) error {
	if err := l.spend(); err != nil {
		return err
	}
	return l.FS.SyncDir(path)
}

type limitedFile struct {
	vfs.File
	fs *limitedFS
}

func (f *limitedFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.fs.spend(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f *limitedFile) Sync() error {
	if err := f.fs.spend(); err != nil {
		return err
	}
	return f.File.Sync()
}
