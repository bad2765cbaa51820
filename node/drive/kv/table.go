package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"

	"holdfast/internal/kind"
)

// bitDelete is Badger's mark of a deletion, in the meta byte of its stored form.
const bitDelete = 1

// blockBytes is the size of Badger's blocks, as drive sets it up: its default.
const blockBytes = 4 << 10

// handle is an open table. It never lets go of its own reference to t, for that would delete the file.
type handle struct {
	t    *table.Table
	path string
	data []byte // the mapping
	sets int    // how many sets it is in; under DB.mu
}

// version is what a table holds of a key: its newest at or below some time, 0 if nothing.
type version struct {
	ts      uint64
	deleted bool
}

var errBlock = errors.New("a block cannot be read")

// openTable maps a table and checks its index.
func openTable(path string) (h *handle, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping stays
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < 8 || int64(int(info.Size())) != info.Size() {
		return nil, damaged(path, fmt.Errorf("it has %d bytes", info.Size()))
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, syscall.Munmap(data))
		}
	}()
	err = guard(path, func() error {
		if err := own(data); err != nil {
			return damaged(path, err)
		}
		t, err := table.OpenTable(&z.MmapFile{Data: data, Fd: f}, table.Options{
			ReadOnly: true, ChkMode: options.OnBlockRead, Compression: options.None, BlockSize: blockBytes,
		})
		if err != nil {
			return damaged(path, err)
		}
		h = &handle{t: t, path: path, data: data}
		return nil
	})
	return h, err
}

// own makes the end of a private mapping, from where the index begins, memory of its own: what happens to the file
// does not reach it any more. A table ends with the index, its length, its checksum, and that one's length.
func own(data []byte) error {
	end := len(data) - 4
	sum := int(binary.BigEndian.Uint32(data[end:]))
	if sum > end-4 {
		return errors.New("length of the checksum")
	}
	end -= sum + 4
	index := int(binary.BigEndian.Uint32(data[end:]))
	if index > end {
		return errors.New("length of the index")
	}
	tail := data[end-index:]
	copy(tail, append([]byte(nil), tail...))
	return nil
}

func damaged(path string, err error) error { return kind.Wrap(kind.Damaged, err, "kv: %s", path) }

// guard turns a panic of Badger's reader, and a fault of the mapping, into an error.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = damaged(path, fmt.Errorf("its reader gave up: %v", v))
		}
	}()
	return f()
}

func (h *handle) close() error { return syscall.Munmap(h.data) }

// verify reads all of it.
func (h *handle) verify() (err error) {
	// With checks at every block Badger follows a nil pointer when it words the error.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = damaged(h.path, errBlock)
		}
	}()
	if err := h.t.VerifyChecksum(); err != nil {
		return damaged(h.path, err)
	}
	return nil
}

// Verify reads all of the table at path and checks it. The error has kind.Damaged if it is bad.
func Verify(path string) error {
	h, err := openTable(path)
	if err != nil {
		return err
	}
	return errors.Join(h.verify(), h.close())
}

// newest looks for a key, given with the highest time that counts. hash is Badger's of the key alone.
func (h *handle) newest(key []byte, hash uint32) (v version, err error) {
	if y.CompareKeys(key, h.t.Biggest()) > 0 || h.t.DoesNotHave(hash) {
		return version{}, nil
	}
	it := h.t.NewIterator(table.NOCACHE)
	defer it.Close()
	it.Seek(key)
	if !it.Valid() { // there is one at or behind the key: the biggest
		return version{}, damaged(h.path, errBlock)
	}
	if y.SameKey(key, it.Key()) {
		v = version{ts: y.ParseTs(it.Key()), deleted: it.Value().Meta&bitDelete != 0}
	}
	return v, nil
}
