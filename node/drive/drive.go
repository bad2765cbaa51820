package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/vfs"
	"holdfast/node"
	"holdfast/node/drive/blob"
	"holdfast/node/drive/index"
	"holdfast/node/drive/kv"
	"holdfast/node/drive/log"
)

// The errors of Open.
var (
	// ErrForeign: the drive belongs to another cluster.
	ErrForeign = errors.New("drive: belongs to another cluster")
	// ErrFormat: a newer program wrote the drive.
	ErrFormat = errors.New("drive: format is newer than this program")
	// ErrLocked: another process uses the drive.
	ErrLocked = errors.New("drive: in use by another process")
	// ErrNotFormatted: the directory is no drive (and not empty, if Config.Create).
	ErrNotFormatted = errors.New("drive: not a drive")
)

// ErrStuck is an error of Close: a part of a drive that is out does not end. Its files may still be written
// to, so it must not be opened again by this process.
var ErrStuck = errors.New("drive: does not close")

// The names in a drive's directory.
const (
	identityName = "drive.json"
	lockName     = "lock"
	cleanName    = "clean"
	shardsName   = "shards"
	blobsName    = "blobs"
	raftName     = "raft"
	badgerName   = "badger"
	// fillerKey is the key in Badger of what only fills memtables.
	fillerKey = "sz"
)

// Config says which directory is the drive and how it is kept.
type Config struct {
	// Path is the drive's directory; made if Create.
	Path string
	// Cluster must be the drive's; zero accepts any (tools that only look).
	Cluster id.Cluster
	// Create formats an empty directory, and gives the drive this ID; zero: a random one.
	Create bool
	ID     id.Drive
	// ReserveBytes is the free space below which the drive takes no shards, so that Badger, which
	// writes through mmap, never meets a full file system. Default 1 % of it, at least 256 MiB,
	// at most 4 GiB.
	ReserveBytes int64
	// BlobBytes is the length from which on a shard gets a file of its own. Default 256 KiB.
	BlobBytes int64
	// SegmentBytes is the size of a log segment. Default 64 MiB.
	SegmentBytes int64
	// FS is the file system, but for Badger's. Default vfs.OS.
	FS vfs.FS
	// OnDamage, if set, is told once, on a goroutine of its own, that the database was found damaged: it takes
	// and gives nothing more until the drive is opened anew.
	OnDamage func(id.Drive, error)
	// Logger takes what operators should know; default none.
	Logger *slog.Logger
}

const (
	// defaultBlobBytes: below it the log wins (16 writers: 3 times at 64 KiB, 1.3 at 256 KiB, even at
	// 512 KiB), for a file costs an fdatasync, an inode and a share of a directory's; above it the
	// copy into the log and the zeros written ahead cost more. BenchmarkThreshold measures it.
	defaultBlobBytes = 256 << 10
	// maxBlobBytes keeps a shard within one record of the log.
	maxBlobBytes = log.MaxPayload / 2
)

func (c *Config) validate() error {
	if c.Path == "" {
		return errors.New("drive: Config needs Path")
	}
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.BlobBytes == 0 {
		c.BlobBytes = defaultBlobBytes
	}
	if c.BlobBytes < 1 || c.BlobBytes > maxBlobBytes {
		return fmt.Errorf("drive: BlobBytes of %d", c.BlobBytes)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Drive is an open drive.
type Drive struct {
	cfg      Config
	log      *slog.Logger
	identity Identity
	lock     io.Closer
	clean    bool // the last stop was
	fresh    bool // Badger was made anew

	db    *kv.DB
	index *index.Index
	blobs *blob.Store
	shard *log.Log // the shard log

	space   space
	gc      collector
	buffers buffers

	out        atomic.Pointer[error]
	gate       sync.RWMutex // held for reading by every operation, for writing by Close
	closed     bool
	damaged    atomic.Int64 // ranges of the shard log found damaged by Open
	flushMu    sync.Mutex
	flushed    uint64
	flushAsked time.Time
	raftMu     sync.Mutex
	raft       *log.Log
	closing    sync.Once
	closeErr   error
}

var _ node.Drive = (*Drive)(nil)

// Open opens the drive at cfg.Path. After an unclean stop it replays its logs.
func Open(ctx context.Context, cfg Config) (*Drive, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d, err := attempt(ctx, cfg)
	if kind.Is(err, kind.Damaged) {
		// The database was found damaged when it was read. It is marked, and replaced now.
		d, err = attempt(ctx, cfg)
	}
	return d, err
}

func attempt(ctx context.Context, cfg Config) (*Drive, error) {
	d := &Drive{cfg: cfg}
	d.gc.init(d)
	if err := d.open(ctx); err != nil {
		d.closeParts() // the mark of a clean stop is gone, so whatever they say is made good
		if d.lock != nil {
			d.lock.Close()
		}
		return nil, err
	}
	return d, nil
}

func (d *Drive) open(ctx context.Context) error {
	if d.cfg.Create {
		if err := d.cfg.FS.MkdirAll(d.cfg.Path, 0o700); err != nil {
			return fmt.Errorf("drive: make %s: %w", d.cfg.Path, err)
		}
	}
	if err := d.takeLock(); err != nil {
		return err
	}
	if err := d.identify(); err != nil {
		return err
	}
	d.log = d.cfg.Logger.With("drive", d.identity.Drive.String(), "path", d.cfg.Path)
	if err := d.takeClean(); err != nil {
		return err
	}
	if err := d.space.init(d.cfg); err != nil {
		return err
	}
	if err := d.openBadger(ctx); err != nil {
		return err
	}
	if err := d.openShards(ctx); err != nil {
		return err
	}
	d.gc.start()
	return nil
}

func (d *Drive) takeLock() error {
	if _, err := d.cfg.FS.Stat(d.cfg.Path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist", ErrNotFormatted, d.cfg.Path)
	}
	lock, err := d.cfg.FS.Lock(filepath.Join(d.cfg.Path, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("%w: %s", ErrLocked, d.cfg.Path)
	}
	if err != nil {
		return fmt.Errorf("drive: lock %s: %w", d.cfg.Path, err)
	}
	d.lock = lock
	return nil
}

// takeClean learns whether the last stop was clean, and sees to it that the next one is not
// unless Close says so.
func (d *Drive) takeClean() error {
	err := d.cfg.FS.Remove(filepath.Join(d.cfg.Path, cleanName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = d.cfg.FS.SyncDir(d.cfg.Path)
	}
	if err != nil {
		return fmt.Errorf("drive: remove the mark of a clean stop of %s: %w", d.cfg.Path, err)
	}
	d.clean = true
	return nil
}

// ID is the drive's identifier.
func (d *Drive) ID() id.Drive { return d.identity.Drive }

// Cluster is the cluster that the drive belongs to.
func (d *Drive) Cluster() id.Cluster { return d.identity.Cluster }

// Clean reports whether the stop before this Open was clean.
func (d *Drive) Clean() bool { return d.clean }

// Fresh reports whether Badger was made anew by this Open: the drive is new, or its database was
// missing or beyond use. The shard index has been rebuilt; what replicas kept there is gone.
func (d *Drive) Fresh() bool { return d.fresh }

// The raft log is cut as fast as it grows, every time Badger has flushed a memtable: small segments
// are cut soon, and a few that were cut are enough to go on with.
const (
	raftSegmentBytes = 16 << 20
	raftSpares       = 2
)

// OpenRaftLog opens the log of the drive's group replicas, and replays all of it.
func (d *Drive) OpenRaftLog(replay func(p log.Pos, kind uint8, payload []byte) error) (*log.Log, error) {
	d.raftMu.Lock()
	defer d.raftMu.Unlock()
	if d.raft != nil {
		return nil, errors.New("drive: raft log is open already")
	}
	cfg := d.logConfig(raftName)
	if cfg.Spares = raftSpares; cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = raftSegmentBytes
	}
	l, err := log.Open(cfg, log.Pos{}, replay)
	if err != nil {
		return nil, fmt.Errorf("drive: open raft log: %w", err)
	}
	d.raft = l
	return l, nil
}

// ResetRaftLog moves a raft log that does not open aside, in place of the one moved before it, so
// that OpenRaftLog begins an empty one. The replicas must then take new raft IDs.
func (d *Drive) ResetRaftLog() error {
	d.raftMu.Lock()
	defer d.raftMu.Unlock()
	if d.raft != nil {
		return errors.New("drive: raft log is open")
	}
	dir := filepath.Join(d.cfg.Path, raftName)
	aside := dir + ".damaged"
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("drive: clear %s: %w", aside, err)
	}
	if err := d.cfg.FS.Rename(dir, aside); err != nil {
		return fmt.Errorf("drive: move raft log aside: %w", err)
	}
	if err := d.cfg.FS.SyncDir(d.cfg.Path); err != nil {
		return d.fail(fmt.Errorf("drive: sync %s: %w", d.cfg.Path, err))
	}
	return nil
}

func (d *Drive) logConfig(name string) log.Config {
	return log.Config{
		FS:           d.cfg.FS,
		Dir:          filepath.Join(d.cfg.Path, name),
		Identity:     d.identity.Drive.String() + "/" + name,
		SegmentBytes: d.cfg.SegmentBytes,
		OnFailure:    d.Fail,
		Logger:       d.log.With("log", name),
	}
}

// Close stops the drive: what waits is written, Badger's memtables are flushed, and a mark says
// that the stop was clean.
func (d *Drive) Close() error {
	d.closing.Do(func() { d.closeErr = d.close() })
	return d.closeErr
}

func (d *Drive) close() error {
	d.gc.stop()
	d.gate.Lock() // what is under way ends first
	d.closed = true
	d.gate.Unlock()
	errs := d.stopParts()
	if len(errs) == 0 && d.Failed() == nil {
		if err := d.writeFile(cleanName, nil); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, d.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("drive: close %s: %w", d.cfg.Path, err)
	}
	return nil
}

// closeOutWait is how long Close waits for the parts of a drive that is out: Badger tries for ever
// to flush onto a dead disk, and nothing of it is needed.
const closeOutWait = 2 * time.Second

// stopParts is closeParts, but does not wait long for a drive that is out.
func (d *Drive) stopParts() []error {
	if err := d.Failed(); err == nil || kind.Is(err, kind.Damaged) {
		return d.closeParts()
	}
	done := make(chan []error, 1)
	go func() { done <- d.closeParts() }()
	select {
	case errs := <-done:
		return errs
	case <-time.After(closeOutWait):
		return []error{ErrStuck, d.Failed()}
	}
}

// closeParts closes what is open, in the order in which one feeds the other.
func (d *Drive) closeParts() []error {
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if d.shard != nil {
		add(d.shard.Close())
	}
	if d.index != nil {
		add(d.index.Close())
	}
	d.raftMu.Lock()
	if d.raft != nil {
		add(d.raft.Close())
	}
	d.raftMu.Unlock()
	if d.blobs != nil {
		d.blobs.Close()
	}
	if d.db != nil {
		add(d.db.Close())
	}
	return errs
}
