package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// each runs a test on every implementation.
func each(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("OS", func(t *testing.T) { test(t, OS{}, t.TempDir()) })
	t.Run("Mem", func(t *testing.T) {
		m := NewMem()
		if err := m.MkdirAll("/dir", 0o700); err != nil {
			t.Fatal(err)
		}
		test(t, m, "/dir")
	})
	t.Run("Faulty", func(t *testing.T) { test(t, NewFaulty(OS{}, nil), t.TempDir()) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, fsys FS, path string) File {
	t.Helper()
	f, err := fsys.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestVectorsAreWrittenAndReadInOrder(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		f := create(t, fsys, filepath.Join(dir, "f"))
		n, err := f.WriteVec([][]byte{[]byte("one"), nil, []byte("two"), []byte("three")}, 2)
		if n != 11 || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
		a, b := make([]byte, 5), make([]byte, 8)
		if n, err := f.ReadVec([][]byte{a, b}, 0); n != 13 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
		if got := string(a) + string(b); got != "\x00\x00onetwothree" {
			t.Errorf("read %q", got)
		}
		if _, err := f.ReadVec([][]byte{a, b}, 1); err != io.EOF {
			t.Errorf("read beyond the end: %v", err)
		}
		if size, err := f.Size(); size != 13 || err != nil {
			t.Errorf("size %d, %v", size, err)
		}
		must(t, f.Truncate(4))
		must(t, f.Sync())
		if size, _ := f.Size(); size != 4 {
			t.Errorf("size after truncate: %d", size)
		}
	})
}

func TestNamesAreMadeMovedAndRemoved(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "a", "b")
		must(t, fsys.MkdirAll(sub, 0o700))
		create(t, fsys, filepath.Join(sub, "f"))
		if _, err := fsys.OpenFile(filepath.Join(sub, "f"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("made twice: %v", err)
		}
		must(t, fsys.Rename(filepath.Join(sub, "f"), filepath.Join(sub, "g")))
		must(t, fsys.SyncDir(sub))
		names, err := fsys.ReadDir(sub)
		if err != nil || len(names) != 1 || names[0].Name() != "g" {
			t.Errorf("names %v, %v", names, err)
		}
		must(t, fsys.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "c")))
		if _, err := fsys.Stat(filepath.Join(dir, "c", "b", "g")); err != nil {
			t.Errorf("moved with its directory: %v", err)
		}
		must(t, fsys.Remove(filepath.Join(dir, "c", "b", "g")))
		if err := fsys.Remove(filepath.Join(dir, "c", "b", "g")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removed twice: %v", err)
		}
		if _, err := fsys.OpenFile(filepath.Join(dir, "none"), os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opened what is not there: %v", err)
		}
	})
}

func TestALockIsHeldByOne(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		path := filepath.Join(dir, "lock")
		first, err := fsys.Lock(path)
		must(t, err)
		if _, err := fsys.Lock(path); !errors.Is(err, ErrLocked) {
			t.Errorf("second lock: %v", err)
		}
		must(t, first.Close())
		again, err := fsys.Lock(path)
		must(t, err)
		must(t, again.Close())
	})
}

func TestACrashKeepsWhatWasSyncedAndMixesTheRest(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("/d", 0o700))
	f := create(t, m, "/d/f")
	old, fresh := bytes.Repeat([]byte{1}, 8*sector), bytes.Repeat([]byte{2}, 8*sector)
	_, err := f.WriteAt(old, 0)
	must(t, err)
	must(t, f.Sync())
	must(t, m.SyncDir("/d"))
	_, err = f.WriteAt(fresh[:4*sector], 4*sector)
	must(t, err)
	create(t, m, "/d/unsynced")
	mixed, gone := false, false
	for seed := range uint64(20) {
		after := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		got, err := ReadFile(after, "/d/f", 1<<20)
		must(t, err)
		if !bytes.Equal(got[:4*sector], old[:4*sector]) {
			t.Fatal("synced bytes changed")
		}
		mixed = mixed || bytes.Contains(got[4*sector:], []byte{1, 2}) || bytes.Contains(got[4*sector:], []byte{2, 1})
		_, err = after.Stat("/d/unsynced")
		gone = gone || errors.Is(err, fs.ErrNotExist)
	}
	if !mixed || !gone {
		t.Errorf("unsynced sectors mixed: %v, unsynced name gone: %v", mixed, gone)
	}
}

func TestFaultsHappenWhereAsked(t *testing.T) {
	f := NewFaulty(OS{}, func(c Call) Fault {
		switch {
		case c.Op == OpWrite && c.N == 2:
			return Fault{Err: syscall.ENOSPC, Short: 3}
		case c.Op == OpSync && c.N == 1:
			return Fault{Err: syscall.EIO}
		}
		return Fault{}
	})
	path := filepath.Join(t.TempDir(), "f")
	file := create(t, f, path)
	_, err := file.WriteAt([]byte("first"), 0)
	must(t, err)
	if n, err := file.WriteVec([][]byte{[]byte("se"), []byte("cond")}, 5); n != 3 || !IsFull(err) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	must(t, file.Sync())
	if got, _ := os.ReadFile(path); string(got) != "firstsec" {
		t.Errorf("file holds %q", got)
	}
	if f.Count(OpWrite) != 2 || f.Count(OpSync) != 2 {
		t.Errorf("counted %d writes, %d syncs", f.Count(OpWrite), f.Count(OpSync))
	}
}

func TestDirectWritesAreSeenByOrdinaryReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := OS{}.OpenFile(path, os.O_CREATE|os.O_RDWR|Direct, 0o600)
	if errors.Is(err, ErrNoDirect) {
		t.Skip("no direct I/O on this file system")
	}
	must(t, err)
	defer f.Close()
	block := aligned(8192)
	for i := range block {
		block[i] = byte(i * 7)
	}
	_, err = f.WriteVec([][]byte{block[:4096], block[4096:]}, 4096)
	must(t, err)
	must(t, f.Sync())
	got, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(got[4096:], block) {
		t.Error("read other bytes than were written")
	}
}

// aligned is a buffer that direct I/O takes.
func aligned(n int) []byte {
	const page = 4096
	b := make([]byte, n+page)
	for i := range page {
		if uintptr(unsafe.Pointer(&b[i]))%page == 0 {
			return b[i : i+n : i+n]
		}
	}
	return nil
}
