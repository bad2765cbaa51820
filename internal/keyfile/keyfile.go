// Package keyfile reads and writes small files of secrets: whole or not at all, durable, and never
// readable by anyone but their owner.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxSize is the largest file in bytes that Read takes: no secret of ours comes near.
const MaxSize = 64 << 10

// Modes of the files.
const (
	Private fs.FileMode = 0o600 // secrets
	Public  fs.FileMode = 0o644 // certificates
)

// ErrOpen is returned for a file of secrets that others than its owner may read or write.
var ErrOpen = errors.New("other users may read it")

// Create writes a file that must not be there yet (fs.ErrExist). Of two processes that try at once,
// one wins and neither sees half a file.
func Create(path string, content []byte, mode fs.FileMode) error {
	return write(path, content, mode, func(temp string) error {
		// A hard link, unlike a rename, refuses to replace.
		return os.Link(temp, path)
	})
}

// Replace writes a file, or replaces it in one step.
func Replace(path string, content []byte, mode fs.FileMode) error {
	return write(path, content, mode, func(temp string) error { return os.Rename(temp, path) })
}

func write(path string, content []byte, mode fs.FileMode, publish func(temp string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := publish(f.Name()); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Read returns the content of a file of secrets. It refuses a file that others may read (ErrOpen), one
// that is not a regular file, and one over MaxSize.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat() // of the open file, so that what is checked is what is read
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: %w; run: chmod 600 %s", path, perm, ErrOpen, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxSize {
		clear(b)
		return nil, fmt.Errorf("%s is larger than %d bytes: no file of secrets", path, MaxSize)
	}
	return b, nil
}
