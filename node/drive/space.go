package drive

import (
	"fmt"
	"sync"
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/vfs"
)

const (
	minReserve = 256 << 20
	maxReserve = 4 << 30
	// spaceFor is how long a statfs is believed, less what was written since.
	spaceFor = time.Second
)

// space watches the room of the file system.
type space struct {
	fs      vfs.FS
	path    string
	reserve int64

	mu     sync.Mutex
	last   vfs.Space
	asked  time.Time
	taken  int64 // since asked
	failed error
}

func (s *space) init(cfg Config) error {
	s.fs, s.path, s.reserve = cfg.FS, cfg.Path, cfg.ReserveBytes
	now, err := s.fs.Space(s.path)
	if err != nil {
		return fmt.Errorf("drive: room of %s: %w", s.path, err)
	}
	if s.reserve == 0 {
		s.reserve = min(max(now.Total/100, minReserve), maxReserve)
	}
	s.last, s.asked = now, time.Now()
	return nil
}

// now is the room of the file system.
func (s *space) now() vfs.Space {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	return vfs.Space{Total: s.last.Total, Free: max(0, s.last.Free-s.taken)}
}

func (s *space) refresh() {
	if time.Since(s.asked) < spaceFor {
		return
	}
	now, err := s.fs.Space(s.path)
	if s.failed = err; err == nil {
		s.last, s.asked, s.taken = now, time.Now(), 0
	}
}

// forget makes the next question go to the file system.
func (s *space) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Time{}
}

// ReadOnly reports whether the reserve is reached. What else writes to the drive (group replicas)
// must then take nothing but what frees space. Cheap: the answer is up to a second old.
func (d *Drive) ReadOnly() bool { return d.space.now().Free < d.space.reserve }

// admit takes n bytes, or says that there is no room.
func (s *space) admit(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	if s.failed != nil {
		return s.failed
	}
	if s.last.Free-s.taken-n < s.reserve {
		return kind.New(kind.Full, "drive: %s: %d bytes free, %d are reserved", s.path, s.last.Free-s.taken, s.reserve)
	}
	s.taken += n
	return nil
}
