package vfs

import (
	"io"
	"io/fs"
	"sync"
)

// Op is a kind of call on a file system or file.
type Op uint8

// The calls that a Faulty can fail.
const (
	OpOpen Op = iota
	OpRead
	OpWrite
	OpSync
	OpTruncate
	OpRename
	OpRemove
	OpMkdir
	OpReadDir
	OpStat
	OpSyncDir
	OpLock
	OpSpace
	ops
)

// Call is what is about to happen: the N-th (from 1) call of its Op, on Path.
type Call struct {
	Op   Op
	Path string
	N    int
	Off  int64 // OpRead, OpWrite
	Len  int   // OpRead, OpWrite
}

// Fault is what happens instead. The zero Fault lets the call through.
type Fault struct {
	// Err is returned by the call, which is not made.
	Err error
	// Short makes a write with Err write that many bytes first.
	Short int
	// Lie reports success without doing anything (a drive whose fsync lies).
	Lie bool
	// Space overrides what OpSpace answers.
	Space *Space
}

// Faulty wraps a file system and asks Decide before each call. Decide runs under a lock; nil lets
// everything through.
type Faulty struct {
	FS
	mu     sync.Mutex
	decide func(Call) Fault
	counts [ops]int
}

var _ FS = (*Faulty)(nil)

// NewFaulty wraps inner.
func NewFaulty(inner FS, decide func(Call) Fault) *Faulty {
	return &Faulty{FS: inner, decide: decide}
}

// Decide replaces the decision and starts the counts anew.
func (f *Faulty) Decide(decide func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide, f.counts = decide, [ops]int{}
}

// Count is how many calls of an Op were made since the last Decide.
func (f *Faulty) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

func (f *Faulty) ask(op Op, path string, off int64, n int) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op]++
	if f.decide == nil {
		return Fault{}
	}
	return f.decide(Call{Op: op, Path: path, N: f.counts[op], Off: off, Len: n})
}

// do makes a call that has nothing but an error to return.
func (f *Faulty) do(op Op, path string, call func() error) error {
	switch fault := f.ask(op, path, 0, 0); {
	case fault.Err != nil:
		return fault.Err
	case fault.Lie:
		return nil
	}
	return call()
}

// OpenFile implements FS.
func (f *Faulty) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	if fault := f.ask(OpOpen, path, 0, 0); fault.Err != nil {
		return nil, fault.Err
	}
	file, err := f.FS.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f, path: path}, nil
}

// Rename implements FS.
func (f *Faulty) Rename(from, to string) error {
	return f.do(OpRename, from, func() error { return f.FS.Rename(from, to) })
}

// Remove implements FS.
func (f *Faulty) Remove(path string) error {
	return f.do(OpRemove, path, func() error { return f.FS.Remove(path) })
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(path string, perm fs.FileMode) error {
	return f.do(OpMkdir, path, func() error { return f.FS.MkdirAll(path, perm) })
}

// ReadDir implements FS.
func (f *Faulty) ReadDir(path string) ([]fs.DirEntry, error) {
	if fault := f.ask(OpReadDir, path, 0, 0); fault.Err != nil {
		return nil, fault.Err
	}
	return f.FS.ReadDir(path)
}

// Stat implements FS.
func (f *Faulty) Stat(path string) (fs.FileInfo, error) {
	if fault := f.ask(OpStat, path, 0, 0); fault.Err != nil {
		return nil, fault.Err
	}
	return f.FS.Stat(path)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(path string) error {
	return f.do(OpSyncDir, path, func() error { return f.FS.SyncDir(path) })
}

// Lock implements FS.
func (f *Faulty) Lock(path string) (io.Closer, error) {
	if fault := f.ask(OpLock, path, 0, 0); fault.Err != nil {
		return nil, fault.Err
	}
	return f.FS.Lock(path)
}

// Space implements FS.
func (f *Faulty) Space(path string) (Space, error) {
	fault := f.ask(OpSpace, path, 0, 0)
	if fault.Err != nil {
		return Space{}, fault.Err
	}
	if fault.Space != nil {
		return *fault.Space, nil
	}
	return f.FS.Space(path)
}

type faultyFile struct {
	File
	fs   *Faulty
	path string
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if fault := f.fs.ask(OpRead, f.path, off, len(p)); fault.Err != nil {
		return 0, fault.Err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) ReadVec(bufs [][]byte, off int64) (int64, error) {
	if fault := f.fs.ask(OpRead, f.path, off, total(bufs)); fault.Err != nil {
		return 0, fault.Err
	}
	return f.File.ReadVec(bufs, off)
}

func total(bufs [][]byte) int {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	return n
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.WriteVec([][]byte{p}, off)
	return int(n), err
}

func (f *faultyFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	size := total(bufs)
	fault := f.fs.ask(OpWrite, f.path, off, size)
	switch {
	case fault.Err != nil:
		return f.short(bufs, off, fault), fault.Err
	case fault.Lie:
		return int64(size), nil
	}
	return f.File.WriteVec(bufs, off)
}

func (f *faultyFile) short(bufs [][]byte, off int64, fault Fault) int64 {
	var done int64
	for _, b := range bufs {
		b = b[:min(len(b), max(0, fault.Short-int(done)))]
		if len(b) == 0 {
			break
		}
		n, err := f.File.WriteAt(b, off+done)
		done += int64(n)
		if err != nil {
			break
		}
	}
	return done
}

func (f *faultyFile) Sync() error { return f.fs.do(OpSync, f.path, f.File.Sync) }

func (f *faultyFile) Truncate(size int64) error {
	return f.fs.do(OpTruncate, f.path, func() error { return f.File.Truncate(size) })
}
