package kv

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"

	"holdfast/internal/kind"
)

// refreshEvery is how often the handles are brought up to date, at least.
const refreshEvery = 250 * time.Millisecond

// settleAfter is for how long after a change of the directory the tables are looked at at every refresh.
const settleAfter = 2 * time.Second

// tellEvery is how often it is told that this does not succeed.
const tellEvery = time.Minute

// Mark is the name of the file in Badger's directory that says that what is there must not be used.
const Mark = "DAMAGED"

// Config says which Badger is looked at.
type Config struct {
	// Badger is open, keeps no value in its value log, compresses and encrypts nothing.
	Badger *badger.DB
	// Dir is its directory.
	Dir string
	// OnDamage, if set, is told once, on a goroutine of its own.
	OnDamage func(error)
	// Logger takes what operators should know; default none.
	Logger *slog.Logger
}

// DB is a Badger that notices when its tables are damaged. Safe for concurrent use.
type DB struct {
	cfg    Config
	damage atomic.Pointer[error]

	refreshing sync.Mutex
	mu         sync.Mutex
	tables     map[uint64]*handle // in current
	current    *set
	shape      []place // of current, as Badger told it

	looked, told  time.Time // by run: the last refresh that went well, the last complaint
	stop, stopped chan struct{}
	closing       sync.Once
	closeErr      error
}

// place is a table and its level.
type place struct {
	id    uint64
	level int
}

// New takes hold of the tables. Close closes Badger too.
func New(cfg Config) (*DB, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &DB{cfg: cfg, tables: map[uint64]*handle{}, current: &set{users: 1}, stop: make(chan struct{}), stopped: make(chan struct{})}
	if err := d.refresh(); err != nil {
		return nil, err
	}
	go d.run()
	return d, nil
}

func (d *DB) run() {
	defer close(d.stopped)
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.stop:
			return
		}
		if d.Damage() == nil {
			d.look()
		}
	}
}

// look refreshes if there may be something new. What fails is tried again at the next tick, and told: the machine refuses
// a file or a mapping, and meanwhile newer tables are not looked after.
func (d *DB) look() {
	now := time.Now()
	if !d.stirred() {
		return
	}
	err := d.refresh()
	if err == nil {
		d.looked = now
		return
	}
	if d.Damage() == nil && now.Sub(d.told) >= tellEvery {
		d.told = now
		d.cfg.Logger.Error("new tables of the database are not checked: look at the limits on open files and on mappings", "dir", d.cfg.Dir, "error", err)
	}
}

// stirred is false while nothing comes or goes in the directory, which is much cheaper to learn than what tables there
// are. A table is taken in a moment after its file was made, and then something else goes: a log, or what was compacted.
func (d *DB) stirred() bool {
	info, err := os.Stat(d.cfg.Dir)
	return err != nil || d.looked.Sub(info.ModTime()) <= settleAfter
}

// Badger is the database itself, for what does not read.
func (d *DB) Badger() *badger.DB { return d.cfg.Badger }

// Damage is what was found; nil while the database is whole as far as is known.
func (d *DB) Damage() error {
	if err := d.damage.Load(); err != nil {
		return *err
	}
	return nil
}

// found makes damage known, and returns what was found first.
func (d *DB) found(err error) error {
	if !d.damage.CompareAndSwap(nil, &err) {
		return d.Damage()
	}
	// Should the mark not come to be, then the table is still bad, or the replicas are rebuilt by this process.
	_ = os.WriteFile(filepath.Join(d.cfg.Dir, Mark), []byte(err.Error()+"\n"), 0o600)
	if d.cfg.OnDamage != nil {
		go d.cfg.OnDamage(err)
	}
	return err
}

// refreshTries bounds how often the tables may change while they are looked at.
const refreshTries = 5

// refresh brings the handles up to date with what Badger has, and checks what it has no more.
func (d *DB) refresh() error {
	d.refreshing.Lock()
	defer d.refreshing.Unlock()
	shape := d.places()
	if slices.Equal(shape, d.shape) {
		return nil
	}
	for range refreshTries {
		let := d.pin()
		again := d.places()
		if slices.Equal(shape, again) {
			return d.update(shape, let)
		}
		let()
		shape = again
	}
	return nil // the next one may be luckier
}

// places are Badger's tables as they are, by level, then ID.
func (d *DB) places() []place {
	infos := d.cfg.Badger.Tables()
	shape := make([]place, len(infos))
	for i := range infos {
		shape[i] = place{infos[i].ID, infos[i].Level}
	}
	return shape
}

// pin keeps Badger from deleting the tables that there are until it is let go: it cuts a file down to nothing first, and
// then the mapping has nothing under it.
func (d *DB) pin() (let func()) {
	txn := d.cfg.Badger.NewTransaction(false)
	it := txn.NewIterator(badger.IteratorOptions{})
	return func() {
		it.Close()
		txn.Discard()
	}
}

// update makes a set of tables that are pinned the current one.
func (d *DB) update(shape []place, let func()) error {
	next, tables := &set{users: 1, let: let}, make(map[uint64]*handle, len(shape))
	for _, p := range shape {
		h := tables[p.id]
		if h != nil {
			continue // it was seen on its way from one level to the other
		}
		if h = d.tables[p.id]; h == nil {
			var err error
			if h, err = openTable(table.NewFilename(p.id, d.cfg.Dir)); err != nil {
				d.drop(next, tables)
				return d.refused(err)
			}
		}
		tables[p.id] = h
		for len(next.levels) <= p.level {
			next.levels = append(next.levels, nil)
		}
		next.levels[p.level] = append(next.levels[p.level], h)
	}
	for _, tables := range next.levels[min(1, len(next.levels)):] {
		slices.SortFunc(tables, func(a, b *handle) int { return y.CompareKeys(a.t.Smallest(), b.t.Smallest()) })
	}
	gone := d.exchange(next, tables, shape)
	defer d.release(gone)
	return d.verify(gone, func(id uint64) bool { return tables[id] == nil })
}

// drop gives up a set that did not come to be.
func (d *DB) drop(s *set, tables map[uint64]*handle) {
	for id, h := range tables {
		if d.tables[id] == nil {
			_ = h.close() // it was only read
		}
	}
	s.let()
}

// verify checks those of a set that were compacted.
func (d *DB) verify(s *set, compacted func(id uint64) bool) error {
	for _, tables := range s.levels {
		for _, h := range tables {
			if !compacted(h.t.ID()) {
				continue
			}
			if err := h.verify(); err != nil {
				return d.found(fmt.Errorf("kv: it was compacted already: %w", err))
			}
		}
	}
	return nil
}

// refused sorts out why a table does not open.
func (d *DB) refused(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = kind.Wrap(kind.Damaged, err, "kv: a table is missing")
	}
	if isDamage(err) {
		return d.found(err)
	}
	return err
}

// exchange makes next the current set, and returns the one before, which is the caller's to release.
func (d *DB) exchange(next *set, tables map[uint64]*handle, shape []place) *set {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range tables {
		h.sets++
	}
	before := d.current
	d.current, d.tables, d.shape = next, tables, shape
	return before
}

// acquire takes the current set into use.
func (d *DB) acquire() *set {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current.users++
	return d.current
}

func (d *DB) release(s *set) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	for _, tables := range s.levels {
		for _, h := range tables {
			if h.sets--; h.sets == 0 {
				_ = h.close() // it was only read
			}
		}
	}
	if s.let != nil {
		s.let()
	}
}

// Close closes Badger, and checks what it compacted meanwhile. No transaction may be open.
func (d *DB) Close() error {
	d.closing.Do(func() { d.closeErr = d.close() })
	return d.closeErr
}

func (d *DB) close() error {
	close(d.stop)
	<-d.stopped
	err := d.cfg.Badger.Close()
	last := d.exchange(&set{users: 1}, nil, nil)
	defer d.release(last)
	if d.Damage() != nil {
		return err
	}
	left, merr := d.manifest()
	if merr != nil {
		return errors.Join(err, merr)
	}
	_ = d.verify(last, func(id uint64) bool { _, ok := left[id]; return !ok }) // the mark tells the next Open
	return err
}

// manifest are the tables that Badger has left behind.
func (d *DB) manifest() (map[uint64]badger.TableManifest, error) {
	f, err := os.Open(filepath.Join(d.cfg.Dir, badger.ManifestFilename))
	if err != nil {
		return nil, fmt.Errorf("kv: %w", err)
	}
	defer f.Close()
	opt := d.cfg.Badger.Opts()
	m, _, err := badger.ReplayManifestFile(f, opt.ExternalMagicVersion, opt)
	if err != nil {
		return nil, fmt.Errorf("kv: read %s: %w", f.Name(), err)
	}
	return m.Tables, nil
}
