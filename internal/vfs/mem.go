package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sector is what a power cut leaves whole: all of it is old, or all of it is new.
const sector = 512

// Mem is a file system in memory which knows what a power cut would leave of it.
type Mem struct {
	mu     sync.Mutex
	dirs   map[string]*memDir
	locked map[string]bool
	// Room is what Space answers.
	Room Space
}

// memDir is a directory: its names now, and those that SyncDir made durable.
type memDir struct {
	names, synced map[string]*memInode
}

// memInode is a file: its bytes now, those that Sync made durable, and the sectors that differ.
type memInode struct {
	mu     sync.RWMutex
	data   []byte
	synced []byte
	dirty  map[int64]struct{}
}

var _ FS = (*Mem)(nil)

// NewMem makes an empty file system.
func NewMem() *Mem {
	return &Mem{
		dirs:   map[string]*memDir{"/": newMemDir(), ".": newMemDir()},
		locked: map[string]bool{},
		Room:   Space{Total: 1 << 40, Free: 1 << 40},
	}
}

func newMemDir() *memDir {
	return &memDir{names: map[string]*memInode{}, synced: map[string]*memInode{}}
}

// Crash returns what a power cut could leave: all that was synced, and of the rest whatever r
// picks, sector by sector and name by name. Directories themselves survive.
func (m *Mem) Crash(r *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := NewMem()
	after.Room = m.Room
	crashed := map[*memInode]*memInode{}
	for _, path := range sortedKeys(m.dirs) {
		old, d := m.dirs[path], newMemDir()
		after.dirs[path] = d
		all := map[string]*memInode{}
		for n := range old.names {
			all[n] = nil
		}
		for n := range old.synced {
			all[n] = nil
		}
		for _, n := range sortedKeys(all) {
			inode := old.names[n]
			if inode != old.synced[n] && r.IntN(2) == 0 {
				inode = old.synced[n]
			}
			if inode == nil {
				continue
			}
			if crashed[inode] == nil {
				crashed[inode] = inode.crash(r)
			}
			d.names[n], d.synced[n] = crashed[inode], crashed[inode]
		}
	}
	return after
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (i *memInode) crash(r *rand.Rand) *memInode {
	i.mu.RLock()
	defer i.mu.RUnlock()
	data := slices.Clone(i.synced)
	if len(i.data) != len(i.synced) && r.IntN(2) == 0 {
		data = resize(data, len(i.data))
	}
	sectors := make([]int64, 0, len(i.dirty))
	for s := range i.dirty {
		sectors = append(sectors, s)
	}
	slices.Sort(sectors)
	for _, s := range sectors {
		if from := int(s * sector); r.IntN(2) == 0 && from < len(data) && from < len(i.data) {
			copy(data[from:], i.data[from:min(from+sector, len(i.data))])
		}
	}
	return &memInode{data: data, synced: slices.Clone(data), dirty: map[int64]struct{}{}}
}

// resize sets the length of b; what it grows by is zero.
func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

// split finds the directory of a path.
func (m *Mem) split(op, path string) (*memDir, string, error) {
	path = filepath.Clean(path)
	d := m.dirs[filepath.Dir(path)]
	if d == nil {
		return nil, "", &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
	}
	return d, filepath.Base(path), nil
}

// OpenFile implements FS.
func (m *Mem) OpenFile(path string, flag int, _ fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.split("open", path)
	if err != nil {
		return nil, err
	}
	i := d.names[name]
	switch {
	case i == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	case i == nil:
		i = &memInode{dirty: map[int64]struct{}{}}
		d.names[name] = i
	case flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrExist}
	case flag&os.O_TRUNC != 0:
		i.truncate(0)
	}
	return &memFile{inode: i}, nil
}

// Rename implements FS, for files and for directories.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	if m.dirs[from] != nil {
		for path, d := range m.dirs {
			if rest, ok := strings.CutPrefix(path, from); ok && (rest == "" || rest[0] == '/') {
				delete(m.dirs, path)
				m.dirs[to+rest] = d
			}
		}
		return nil
	}
	d, name, err := m.split("rename", from)
	if err != nil {
		return err
	}
	e, toName, err := m.split("rename", to)
	if err != nil {
		return err
	}
	if d.names[name] == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	e.names[toName] = d.names[name]
	delete(d.names, name)
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.split("remove", path)
	if err != nil {
		return err
	}
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	delete(d.names, name)
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(path string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path = filepath.Clean(path); m.dirs[path] == nil; path = filepath.Dir(path) {
		m.dirs[path] = newMemDir()
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(path string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	d := m.dirs[path]
	if d == nil {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: fs.ErrNotExist}
	}
	var list []fs.DirEntry
	for _, n := range sortedKeys(d.names) {
		list = append(list, fs.FileInfoToDirEntry(memInfo{n, d.names[n].size(), 0}))
	}
	for _, p := range sortedKeys(m.dirs) {
		if p != path && filepath.Dir(p) == path {
			list = append(list, fs.FileInfoToDirEntry(memInfo{filepath.Base(p), 0, fs.ModeDir}))
		}
	}
	return list, nil
}

// Stat implements FS.
func (m *Mem) Stat(path string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	if m.dirs[path] != nil {
		return memInfo{filepath.Base(path), 0, fs.ModeDir}, nil
	}
	d, name, err := m.split("stat", path)
	if err != nil {
		return nil, err
	}
	if d.names[name] == nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
	}
	return memInfo{name, d.names[name].size(), 0}, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirs[filepath.Clean(path)]
	if d == nil {
		return &fs.PathError{Op: "sync", Path: path, Err: fs.ErrNotExist}
	}
	clear(d.synced)
	for n, i := range d.names {
		d.synced[n] = i
	}
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(path string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[path] {
		return nil, ErrLocked
	}
	m.locked[path] = true
	return memLock{m, path}, nil
}

type memLock struct {
	m    *Mem
	path string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locked, l.path)
	return nil
}

// Space implements FS.
func (m *Mem) Space(string) (Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Room, nil
}

func (i *memInode) size() int64 {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return int64(len(i.data))
}

func (i *memInode) truncate(n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.touch(min(n, int64(len(i.data))), max(n, int64(len(i.data))))
	i.data = resize(i.data, int(n))
}

// touch marks the sectors of [from, to) as differing from what is durable.
func (i *memInode) touch(from, to int64) {
	for s := from / sector; s*sector < to; s++ {
		i.dirty[s] = struct{}{}
	}
}

// memFile is an open file of a Mem.
type memFile struct{ inode *memInode }

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.inode.mu.RLock()
	defer f.inode.mu.RUnlock()
	if off >= int64(len(f.inode.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.inode.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	i := f.inode
	i.mu.Lock()
	defer i.mu.Unlock()
	if off < 0 || off+int64(len(p)) > 1<<31 {
		return 0, syscall.EFBIG
	}
	end := off + int64(len(p))
	if end > int64(len(i.data)) {
		i.touch(int64(len(i.data)), end)
		i.data = resize(i.data, int(end))
	}
	i.touch(off, end)
	return copy(i.data[off:], p), nil
}

func (f *memFile) ReadVec(bufs [][]byte, off int64) (total int64, err error) {
	for _, b := range bufs {
		n, err := f.ReadAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (f *memFile) WriteVec(bufs [][]byte, off int64) (total int64, err error) {
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (f *memFile) Sync() error {
	i := f.inode
	i.mu.Lock()
	defer i.mu.Unlock()
	i.synced = resize(i.synced, len(i.data))
	for s := range i.dirty {
		if from := int(s * sector); from < len(i.data) {
			copy(i.synced[from:], i.data[from:min(from+sector, len(i.data))])
		}
	}
	clear(i.dirty)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	if size < 0 {
		return errors.New("vfs: negative size")
	}
	f.inode.truncate(size)
	return nil
}

func (f *memFile) Size() (int64, error) { return f.inode.size(), nil }
func (f *memFile) Close() error         { return nil }

// memInfo describes a file or directory of a Mem.
type memInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode | 0o600 }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }
