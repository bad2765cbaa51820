package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"holdfast/internal/vfs"
	"holdfast/node"
)

const (
	// page is the unit of direct I/O and the length of a file's head.
	page = node.BlockAlign
	// perDir is how many numbers share a directory.
	perDir = 4096
	// batch is how many files are made ahead at a time; more are made when half are used.
	batch = 16
)

// Config says where blobs are kept.
type Config struct {
	// FS is the file system.
	FS vfs.FS
	// Dir is the directory of the blobs; made if it is missing.
	Dir string
	// Next is the first number to give out: above every number ever given out.
	Next uint64
	// Logger takes warnings.
	Logger *slog.Logger
}

// Store is a directory of blobs. Safe for concurrent use.
type Store struct {
	cfg     Config
	flags   int // vfs.Direct, or 0 where it is refused
	handles handles
	pages   sync.Pool // *[]byte of one aligned page
	buffers sync.Pool // *[]byte, aligned

	mu      sync.Mutex
	changed sync.Cond // ready or making changed
	next    uint64
	dir     string // the directory known to be there and durable
	ready   []spare
	making  bool
	makeErr error
	closed  bool
}

// spare is a file made ahead.
type spare struct {
	number uint64
	file   vfs.File
}

// Open makes the directory if it is missing.
func Open(cfg Config) (*Store, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, flags: vfs.Direct, next: max(cfg.Next, 1)}
	s.changed.L = &s.mu
	s.handles.init(s.openForRead)
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob: make %s: %w", cfg.Dir, err)
	}
	return s, nil
}

// Close drops the files made ahead and closes the others.
func (s *Store) Close() {
	s.mu.Lock()
	for s.making {
		s.changed.Wait()
	}
	s.closed = true
	ready := s.ready
	s.ready = nil
	s.changed.Broadcast()
	s.mu.Unlock()
	for _, r := range ready {
		s.drop(r)
	}
	s.handles.close()
}

// Next is above every number given out so far.
func (s *Store) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// Skip sees to it that no number below next is given out.
func (s *Store) Skip(next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = max(s.next, next)
}

func (s *Store) dirOf(number uint64) string {
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("%02x", number/perDir))
}

func (s *Store) path(number uint64) string {
	return filepath.Join(s.dirOf(number), fmt.Sprintf("%016x", number))
}

func (s *Store) openForRead(number uint64) (vfs.File, error) {
	return s.cfg.FS.OpenFile(s.path(number), os.O_RDONLY, 0)
}

// take returns a file made ahead, waiting for one if need be.
func (s *Store) take() (spare, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closed {
			return spare{}, errors.New("blob: closed")
		}
		if len(s.ready) <= batch/2 && !s.making {
			s.making, s.makeErr = true, nil
			go s.makeBatch()
		}
		if len(s.ready) > 0 {
			r := s.ready[0]
			s.ready = append(s.ready[:0], s.ready[1:]...)
			return r, nil
		}
		s.changed.Wait()
		if s.makeErr != nil && len(s.ready) == 0 {
			return spare{}, s.makeErr
		}
	}
}

// makeBatch makes the next files, durable by one fsync of their directory.
func (s *Store) makeBatch() {
	s.mu.Lock()
	first := s.next
	count := min(batch, perDir-first%perDir) // all in one directory
	s.next += count
	s.mu.Unlock()
	made, err := s.makeFiles(first, count)
	s.mu.Lock()
	s.ready = append(s.ready, made...)
	s.making, s.makeErr = false, err
	s.changed.Broadcast()
	s.mu.Unlock()
}

func (s *Store) makeFiles(first, count uint64) ([]spare, error) {
	dir := s.dirOf(first)
	if err := s.makeDir(dir); err != nil {
		return nil, err
	}
	var made []spare
	for n := first; n < first+count; n++ {
		f, err := s.makeFile(n)
		if errors.Is(err, fs.ErrExist) {
			continue // left over from before a crash: the sweep sees to it
		}
		if err != nil {
			for _, m := range made {
				s.drop(m)
			}
			return nil, fmt.Errorf("blob: make file %d: %w", n, err)
		}
		made = append(made, spare{n, f})
	}
	if err := s.cfg.FS.SyncDir(dir); err != nil {
		return nil, &SyncError{fmt.Errorf("blob: sync %s: %w", dir, err)}
	}
	return made, nil
}

// SyncError is a failed fsync: what it should have made durable is lost, and the drive with it.
type SyncError struct{ Err error }

func (e *SyncError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *SyncError) Unwrap() error { return e.Err }

// makeDir makes a directory durable once.
func (s *Store) makeDir(dir string) error {
	if dir == s.dir { // only makeBatch comes here, one at a time
		return nil
	}
	if err := s.cfg.FS.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("blob: make %s: %w", dir, err)
	}
	if err := s.cfg.FS.SyncDir(s.cfg.Dir); err != nil {
		return &SyncError{fmt.Errorf("blob: sync %s: %w", s.cfg.Dir, err)}
	}
	s.dir = dir
	return nil
}

func (s *Store) makeFile(number uint64) (vfs.File, error) {
	const flags = os.O_CREATE | os.O_EXCL | os.O_RDWR
	f, err := s.cfg.FS.OpenFile(s.path(number), flags|s.flags, 0o600)
	if errors.Is(err, vfs.ErrNoDirect) {
		s.cfg.Logger.Info("no direct I/O here, writing through the page cache", "dir", s.cfg.Dir)
		s.flags = 0
		_ = s.cfg.FS.Remove(s.path(number)) // some systems make the file before they refuse
		f, err = s.cfg.FS.OpenFile(s.path(number), flags, 0o600)
	}
	return f, err
}

// drop removes a file that holds nothing anyone was promised.
func (s *Store) drop(r spare) {
	r.file.Close()
	_ = s.cfg.FS.Remove(s.path(r.number)) // if it stays, the sweep finds it
}

// Remove deletes a blob; one that is not there is no error. Not synced: the log remembers.
func (s *Store) Remove(number uint64) error {
	s.handles.forget(number)
	if err := s.cfg.FS.Remove(s.path(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: remove %d: %w", number, err)
	}
	return nil
}

// Numbers calls visit with the number of every file, in no order.
func (s *Store) Numbers(visit func(number uint64) error) error {
	dirs, err := s.cfg.FS.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("blob: list %s: %w", s.cfg.Dir, err)
	}
	for _, d := range dirs {
		dir := filepath.Join(s.cfg.Dir, d.Name())
		if !d.IsDir() {
			continue
		}
		files, err := s.cfg.FS.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("blob: list %s: %w", dir, err)
		}
		for _, f := range files {
			n, err := strconv.ParseUint(f.Name(), 16, 64)
			if err != nil || n == 0 || s.path(n) != filepath.Join(dir, f.Name()) {
				continue
			}
			if err := visit(n); err != nil {
				return err
			}
		}
	}
	return nil
}
