package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node/drive/kv"
)

const (
	// memTableBytes is the least size of one of Badger's memtables; a transaction may hold 15 % of it.
	memTableBytes = 16 << 20
	// memTableSteps of memTableStep bytes come on top, by the drive's ID: drives of a group fill at the same
	// pace, and would all flush at the same moment, with twice the memory and a stall for everybody.
	memTableSteps = 8
	memTableStep  = 512 << 10
	// tableBytes is the size of a table of the lower levels, and levelBytes that of the first of these. Badger keeps the
	// buffers that tables are made in, begins each at twice tableBytes and doubles it as it must: with its default of 2 MiB they all end up at 60 MiB.
	tableBytes = 16 << 20
	levelBytes = 64 << 20
	// memTables is how many may wait to be flushed beside the one that is written.
	memTables = 2
	// valueThreshold keeps every value below it in the tables: Badger's own limit.
	valueThreshold = 1 << 20
)

// badgerOptions are Badger's, as doc.go demands them.
func badgerOptions(dir string, drive id.Drive, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(false). // its own log is never trusted
		WithMemTableSize(memTableBytes + int64(drive[id.Size-1]%memTableSteps)*memTableStep).
		WithNumMemtables(memTables).
		WithBaseTableSize(tableBytes).
		WithBaseLevelSize(levelBytes).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(1 << 20). // never used; the smallest there is
		WithChecksumVerificationMode(options.OnBlockRead).
		WithCompression(options.None). // sealed bytes do not compress
		WithBlockCacheSize(0).         // the page cache does it; blocks are mapped
		WithIndexCacheSize(0).
		WithDetectConflicts(false). // every key has one writer
		WithNumCompactors(2).       // the fewest it allows; each polls every 50 ms
		WithMetricsEnabled(false).
		WithBypassLockGuard(true). // the drive's own lock covers it
		WithLogger(badgerLogger{log.With("part", "badger")})
}

// openBadger opens the database, whose state is then exactly what its tables hold. If it is
// missing, or so damaged that it does not open, a new one takes its place and fresh is true.
func (d *Drive) openBadger(ctx context.Context) error {
	dir := filepath.Join(d.cfg.Path, badgerName)
	if err := d.cfg.FS.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("drive: make %s: %w", dir, err)
	}
	manifest := filepath.Join(dir, badger.ManifestFilename)
	if _, err := d.cfg.FS.Stat(manifest); errors.Is(err, fs.ErrNotExist) {
		d.fresh = true
	} else if err != nil {
		return fmt.Errorf("drive: stat %s: %w", manifest, err)
	}
	if err := dropMemtables(dir); err != nil {
		return err
	}
	var db *kv.DB
	err := marked(dir)
	if err == nil {
		err = verifyTables(ctx, dir)
	}
	if err == nil {
		db, err = d.openKV(dir)
	}
	if kind.Is(err, kind.Canceled) {
		return err
	}
	if ofMachine(err) {
		return fmt.Errorf("drive: open database: %w", err)
	}
	if err != nil {
		d.log.Error("database does not open, beginning a new one", "error", err)
		if db, err = d.replaceBadger(dir, err); err != nil {
			return err
		}
	}
	d.db = db
	return nil
}

// marked says why a database must not be used again, if it was found damaged while it was in use.
func marked(dir string) error {
	why, err := os.ReadFile(filepath.Join(dir, kv.Mark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("drive: read the mark of damage: %w", err)
	}
	return kind.New(kind.Damaged, "drive: found while it was in use: %s", strings.TrimSpace(string(why)))
}

func (d *Drive) openKV(dir string) (*kv.DB, error) {
	db, err := badger.Open(badgerOptions(dir, d.identity.Drive, d.log))
	if err != nil {
		return nil, err
	}
	opened, err := kv.New(kv.Config{Badger: db, Dir: dir, OnDamage: d.onDamage, Logger: d.log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return opened, nil
}

func (d *Drive) onDamage(err error) {
	d.log.Error("database is damaged", "error", err)
	if d.cfg.OnDamage != nil {
		d.cfg.OnDamage(d.identity.Drive, err)
	}
}

// dropMemtables deletes the logs of Badger's memtables before it can see them: they were never
// synced, so after a power cut an older transaction in them may be gone while a newer one is
// there. What they held is replayed from the drive's own logs. After a clean stop there are none.
func dropMemtables(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("drive: list %s: %w", dir, err)
	}
	for _, n := range names {
		if !strings.HasSuffix(n.Name(), ".mem") {
			continue
		}
		if err := os.Remove(filepath.Join(dir, n.Name())); err != nil {
			return fmt.Errorf("drive: drop memtable log: %w", err)
		}
	}
	return nil
}

// ofMachine reports whether err is the machine's and not the database's: then it may be whole.
func ofMachine(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno != syscall.ENOENT
}

// replaceBadger moves a database that does not open aside, in place of the one moved before it.
func (d *Drive) replaceBadger(dir string, cause error) (*kv.DB, error) {
	aside := dir + ".damaged"
	if err := os.RemoveAll(aside); err != nil {
		return nil, fmt.Errorf("drive: clear %s: %w", aside, err)
	}
	if err := d.cfg.FS.Rename(dir, aside); err != nil {
		return nil, fmt.Errorf("drive: move %s aside: %w", dir, err)
	}
	d.fresh = true
	db, err := d.openKV(dir)
	if err != nil {
		return nil, fmt.Errorf("drive: open a new database after %w: %w", cause, err)
	}
	return db, nil
}

// badgerLogger is slog for Badger. What it calls information is for developers.
type badgerLogger struct{ log *slog.Logger }

func (l badgerLogger) Errorf(f string, a ...any) {
	l.log.Error(strings.TrimSpace(fmt.Sprintf(f, a...)))
}

func (l badgerLogger) Warningf(f string, a ...any) {
	l.log.Warn(strings.TrimSpace(fmt.Sprintf(f, a...)))
}

func (l badgerLogger) Infof(string, ...any)  {}
func (l badgerLogger) Debugf(string, ...any) {}

// KV is the database that the shard index ('s…' keys) and the group replicas ('g…' and 'r…'
// keys) share. See doc.go for what a writer must heed.
func (d *Drive) KV() *kv.DB { return d.db }

// Version is at or above the version of every transaction that was committed before the call.
func (d *Drive) Version() uint64 {
	txn := d.db.Badger().NewTransaction(false)
	defer txn.Discard()
	return txn.ReadTs()
}

// flushedFor is how long the answer of Flushed is believed: to ask Badger costs a look at every
// table, and callers ask often.
const flushedFor = 20 * time.Millisecond

// Flushed is up to which version Badger's tables hold every transaction: those survive
// anything, the others live on in the drive's logs alone. It never goes down.
func (d *Drive) Flushed() uint64 {
	d.flushMu.Lock()
	defer d.flushMu.Unlock()
	if time.Since(d.flushAsked) < flushedFor {
		return d.flushed
	}
	d.flushAsked = time.Now()
	highest := d.flushed
	for _, t := range d.db.Badger().Tables() {
		highest = max(highest, t.MaxVersion)
	}
	if highest > d.flushed {
		// Badger syncs a table's bytes but leaves its name to the file system.
		if err := d.cfg.FS.SyncDir(filepath.Join(d.cfg.Path, badgerName)); err != nil {
			d.Fail(fmt.Errorf("drive: sync %s: %w", badgerName, err))
			return d.flushed
		}
		d.flushed = highest
	}
	return d.flushed
}
