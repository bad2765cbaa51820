package log

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"holdfast/internal/vfs"
)

// maxOpen bounds the sealed segments a log keeps open for reading: a large drive has thousands.
const maxOpen = 64

// segment is one file of the log. Its fields are guarded by files.mu.
type segment struct {
	id      uint64
	end     int64 // bytes in use; for a sealed segment at most this
	sealed  bool
	file    vfs.File // nil while closed
	refs    int
	removed bool
	used    uint64 // of files.clock, for eviction
}

// files is the set of segments, and which of them are open.
type files struct {
	fs    vfs.FS
	dir   string
	mu    sync.Mutex
	byID  map[uint64]*segment
	open  []*segment
	clock uint64

	spares    []string // names of segments that may be overwritten; see recycle.go
	maxSpares int
	spareSize int64
}

func (f *files) init(c *Config) {
	f.fs, f.dir, f.byID = c.FS, c.Dir, make(map[uint64]*segment)
	f.maxSpares, f.spareSize = c.Spares, c.SegmentBytes
}

func (f *files) path(id uint64) string { return filepath.Join(f.dir, fmt.Sprintf("%06d.log", id)) }

// parseName is the segment number of a file name.
func parseName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok || len(digits) < 6 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, err == nil && id > 0
}

// add registers a segment. file may be nil.
func (f *files) add(id uint64, file vfs.File, end int64, sealed bool) *segment {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &segment{id: id, file: file, end: end, sealed: sealed}
	f.byID[id] = s
	if file != nil {
		f.open = append(f.open, s)
	}
	return s
}

// acquire opens a segment, or finds it open, and pins it until release.
func (f *files) acquire(id uint64) (*segment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.byID[id]
	if s == nil {
		return nil, fmt.Errorf("%w: %d", ErrNoSegment, id)
	}
	if s.file == nil {
		file, err := f.fs.OpenFile(f.path(id), os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("log: open segment %d: %w", id, err)
		}
		s.file = file
		f.open = append(f.open, s)
		f.evict(s)
	}
	f.clock++
	s.used = f.clock
	s.refs++
	return s, nil
}

// evict closes the longest unused sealed segment when too many are open; not keep.
func (f *files) evict(keep *segment) {
	if len(f.open) <= maxOpen {
		return
	}
	oldest := -1
	for i, s := range f.open {
		if s.refs > 0 || !s.sealed || s == keep {
			continue
		}
		if oldest < 0 || s.used < f.open[oldest].used {
			oldest = i
		}
	}
	if oldest >= 0 {
		f.shut(f.open[oldest])
	}
}

// shut closes a segment's file.
func (f *files) shut(s *segment) {
	if s.file == nil {
		return
	}
	_ = s.file.Close() // whatever mattered was synced
	s.file = nil
	f.open = slices.DeleteFunc(f.open, func(o *segment) bool { return o == s })
}

func (f *files) release(s *segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.refs--
	if s.refs == 0 && s.removed {
		f.shut(s)
	}
}

// update sets how much of a segment is in use, and whether it is sealed.
func (f *files) update(s *segment, end int64, sealed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.end, s.sealed = end, sealed
}

// remove takes out sealed segments for which pick is true; the caller syncs the directory.
func (f *files) remove(pick func(id uint64) bool) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	removed := 0
	for id, s := range f.byID {
		if !s.sealed || !pick(id) {
			continue
		}
		if err := f.discard(s); err != nil {
			return removed, err
		}
		removed++
		delete(f.byID, id)
		s.removed = true
		if s.refs == 0 {
			f.shut(s)
		}
	}
	return removed, nil
}

// drop deletes a segment that holds nothing, and whose number is given out again.
func (f *files) drop(id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fs.Remove(f.path(id)); err != nil {
		return fmt.Errorf("log: remove segment %d: %w", id, err)
	}
	f.shut(f.byID[id])
	delete(f.byID, id)
	return nil
}

func (f *files) list() []SegmentInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]SegmentInfo, 0, len(f.byID))
	for _, s := range f.byID {
		all = append(all, SegmentInfo{ID: s.id, Bytes: s.end, Sealed: s.sealed})
	}
	slices.SortFunc(all, func(a, b SegmentInfo) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return all
}

func (f *files) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.open) > 0 {
		f.shut(f.open[0])
	}
}
