package log

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"holdfast/internal/vfs"
)

// A log that is cut as fast as it grows would fill as many segments with zeros as it writes. Instead
// a removed segment is set aside under another name and overwritten as a later one. That is sound
// because a record's checksum covers the number of its segment: what is left of the old one is no
// record in the new one, wherever it lies.
//
// Only a segment whose number will never be given out again may be set aside: recovery, which drops
// the segments that nothing was acknowledged in and gives their numbers out again, deletes them.

// sparePrefix begins the name of a segment that is set aside.
const sparePrefix = "spare-"

func (f *files) sparePath(name string) string { return filepath.Join(f.dir, name) }

// adoptSpare takes over what an earlier process set aside, or removes it.
func (f *files) adoptSpare(name string, size int64) error {
	if len(f.spares) < f.maxSpares && size == f.spareSize {
		f.spares = append(f.spares, name)
		return nil
	}
	if err := f.fs.Remove(f.sparePath(name)); err != nil {
		return fmt.Errorf("log: remove %s: %w", name, err)
	}
	return nil
}

func isSpare(name string) bool { return strings.HasPrefix(name, sparePrefix) }

// discard sets a removed segment aside, or deletes its file. The caller holds mu and syncs the directory.
func (f *files) discard(s *segment) error {
	path := f.path(s.id)
	if len(f.spares) < f.maxSpares && s.refs == 0 {
		if info, err := f.fs.Stat(path); err == nil && info.Size() == f.spareSize {
			name := fmt.Sprintf("%s%06d", sparePrefix, s.id)
			if err := f.fs.Rename(path, f.sparePath(name)); err != nil {
				return fmt.Errorf("log: set segment %d aside: %w", s.id, err)
			}
			f.spares = append(f.spares, name)
			return nil
		}
	}
	if err := f.fs.Remove(path); err != nil {
		return fmt.Errorf("log: remove segment %d: %w", s.id, err)
	}
	return nil
}

// reuse gives a spare the name of a new segment; nil if there is none of that size.
func (f *files) reuse(id uint64, size int64) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.spares) == 0 || size != f.spareSize {
		return nil, nil
	}
	name := f.spares[len(f.spares)-1]
	f.spares = f.spares[:len(f.spares)-1]
	if err := f.fs.Rename(f.sparePath(name), f.path(id)); err != nil {
		return nil, fmt.Errorf("log: reuse %s: %w", name, err)
	}
	if err := f.fs.SyncDir(f.dir); err != nil {
		return nil, fmt.Errorf("log: sync %s: %w", f.dir, err)
	}
	file, err := f.fs.OpenFile(f.path(id), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("log: open segment %d: %w", id, err)
	}
	return file, nil
}
