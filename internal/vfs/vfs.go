package vfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// Direct is a flag of OpenFile beside those of package os: bypass the page cache. Address, length
// and offset of every transfer must then be multiples of 4096.
const Direct = 1 << 30

// ErrNoDirect is returned by OpenFile with Direct where the file system refuses it.
var ErrNoDirect = errors.New("vfs: file system refuses direct I/O")

// ErrLocked is returned by Lock when another process (or this one) holds the lock.
var ErrLocked = errors.New("vfs: already locked")

// FS is a file system. Safe for concurrent use.
type FS interface {
	// OpenFile takes the flags of package os and Direct.
	OpenFile(path string, flag int, perm fs.FileMode) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	MkdirAll(path string, perm fs.FileMode) error
	ReadDir(path string) ([]fs.DirEntry, error)
	Stat(path string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// Lock takes an exclusive lock that ends with the process; Close gives it back.
	Lock(path string) (io.Closer, error)
	// Space is the room of the file system that holds path.
	Space(path string) (Space, error)
}

// File is an open file. Its reads and writes are safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// WriteVec writes the buffers one behind the other at off, by one system call where there is
	// one for it.
	WriteVec(bufs [][]byte, off int64) (int64, error)
	// ReadVec fills the buffers one after the other from off on; io.EOF if it could not fill all.
	ReadVec(bufs [][]byte, off int64) (int64, error)
	// Sync is fdatasync.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// Space is the room of a file system in bytes; Free is what an ordinary user may still take.
type Space struct {
	Total, Free int64
}

// IsFull reports whether err says that the file system (or a quota) has no room left.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// ReadFile reads a whole small file, at most limit bytes.
func ReadFile(fsys FS, path string, limit int64) ([]byte, error) {
	f, err := fsys.OpenFile(path, 0, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, limit))
}
