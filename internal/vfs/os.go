//go:build unix

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS is the operating system's file system.
type OS struct{}

var _ FS = OS{}

// OpenFile implements FS.
func (OS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	direct := flag&Direct != 0
	flag &^= Direct
	if direct {
		if directFlag == 0 {
			return nil, ErrNoDirect
		}
		flag |= directFlag
	}
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		if direct && errors.Is(err, syscall.EINVAL) {
			return nil, ErrNoDirect
		}
		return nil, err
	}
	return &osFile{File: f}, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(path string) error { return os.Remove(path) }

// MkdirAll implements FS.
func (OS) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

// ReadDir implements FS.
func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// Stat implements FS.
func (OS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// SyncDir implements FS.
func (OS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock implements FS by flock, which the kernel gives back when the process dies.
func (OS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("vfs: lock %s: %w", path, err)
	}
	return f, nil
}

// Space implements FS.
func (OS) Space(path string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Space{}, fmt.Errorf("vfs: statfs %s: %w", path, err)
	}
	size := int64(s.Bsize)
	return Space{Total: int64(s.Blocks) * size, Free: int64(s.Bavail) * size}, nil
}

type osFile struct{ *os.File }

func (f *osFile) Sync() error { return datasync(f.File) }

func (f *osFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	if len(bufs) == 1 {
		n, err := f.WriteAt(bufs[0], off)
		return int64(n), err
	}
	return writeVec(f.File, bufs, off)
}

func (f *osFile) ReadVec(bufs [][]byte, off int64) (int64, error) {
	if len(bufs) == 1 {
		n, err := f.ReadAt(bufs[0], off)
		return int64(n), err
	}
	return readVec(f.File, bufs, off)
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
