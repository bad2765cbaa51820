package log

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/zeebo/xxh3"

	"holdfast/internal/vfs"
)

// The errors of a log. Others are those of the file system.
var (
	// ErrDamaged: bytes that had been synced do not check out.
	ErrDamaged = errors.New("log: damaged")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("log: closed")
	// ErrFailed: a write or fdatasync failed before; the log takes nothing any more.
	ErrFailed = errors.New("log: failed")
	// ErrNoSegment: the segment of a position is not there (any more).
	ErrNoSegment = errors.New("log: no such segment")
)

// Pos is the place of a record. The zero Pos is before every record.
type Pos struct {
	Segment uint64
	Offset  int64
}

// Less orders positions.
func (p Pos) Less(q Pos) bool {
	if p.Segment != q.Segment {
		return p.Segment < q.Segment
	}
	return p.Offset < q.Offset
}

// IsZero reports whether p is the zero Pos.
func (p Pos) IsZero() bool { return p == Pos{} }

func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Segment, p.Offset) }

// Config says how a log is kept.
type Config struct {
	// FS is the file system; vfs.OS outside tests.
	FS vfs.FS
	// Dir is the log's own directory; made if it is missing.
	Dir string
	// Identity is bound into every checksum, so that a segment of another log is refused: the ID
	// of the drive, and which of its logs this is.
	Identity string
	// SegmentBytes is the size of a segment; the first ones are smaller. Default 64 MiB.
	SegmentBytes int64
	// Spares is how many removed segments of full size are kept to be overwritten, instead of
	// filling new ones with zeros. Default none.
	Spares int
	// QueueBytes bounds what waits for the writer; Append blocks beyond it. Default 64 MiB.
	QueueBytes int64
	// Gaps allows segments to be missing in the middle (a log whose segments are collected in
	// any order). Without it a missing segment is damage.
	Gaps bool
	// Salvage, if set, is told of each damaged range [from, to) that Open finds, and Open goes
	// on behind it. Without it Open fails with ErrDamaged.
	Salvage func(from, to Pos, err error)
	// OnFailure is called once, by the goroutine that saw it, when a write or fdatasync fails.
	OnFailure func(error)
	// Logger takes warnings; default none.
	Logger *slog.Logger
}

const (
	defaultSegmentBytes = 64 << 20
	defaultQueueBytes   = 64 << 20
	// firstSegmentBytes is the size of a log's first segment; each is segmentGrowth times the
	// one before until SegmentBytes is reached.
	firstSegmentBytes = 1 << 20
	segmentGrowth     = 4
	// maxSegmentBytes keeps offsets within the 32 bits of a header.
	maxSegmentBytes = 1 << 30
)

func (c *Config) validate() error {
	if c.FS == nil || c.Dir == "" {
		return errors.New("log: Config needs FS and Dir")
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
	if c.SegmentBytes < 4096 || c.SegmentBytes > maxSegmentBytes {
		return fmt.Errorf("log: segments of %d bytes", c.SegmentBytes)
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = defaultQueueBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Log is an open log. Safe for concurrent use.
type Log struct {
	cfg  Config
	seed uint64

	queue queue
	files files
	next  chan prepared // the segment being filled ahead; see prepare.go

	w       writer
	stopped chan struct{} // closed when the writer has ended

	failOnce sync.Once
}

// Open opens the log in cfg.Dir, or makes one, and hands every record at or behind from (zero: the
// oldest) to replay, in order; the payload is valid during the call only. Segments before from's
// are not read; from's must be there unless Config.Gaps. A torn tail is cut. Damage is an error that wraps
// ErrDamaged; what came before it has been replayed.
func Open(cfg Config, from Pos, replay func(p Pos, kind uint8, payload []byte) error) (*Log, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Log{
		cfg:     cfg,
		seed:    xxh3.HashString(cfg.Identity),
		next:    make(chan prepared, 1),
		stopped: make(chan struct{}),
	}
	l.queue.init(cfg.QueueBytes)
	l.files.init(&cfg)
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("log: make %s: %w", cfg.Dir, err)
	}
	if err := l.recover(from, replay); err != nil {
		l.files.closeAll()
		return nil, err
	}
	go l.run()
	return l, nil
}

// Append hands a record to the writer and returns; done gets its place after the record is on
// stable storage, or the error. The parts are gathered into one payload and must not change before
// done. done is called in the order of Append, on the writer's goroutine, and must not block.
// Append blocks while Config.QueueBytes wait. After Close done is called at once with ErrClosed.
func (l *Log) Append(kind uint8, payload [][]byte, done func(Pos, error)) {
	size := 0
	for _, p := range payload {
		size += len(p)
	}
	if size > MaxPayload {
		done(Pos{}, fmt.Errorf("log: record of %d bytes is over the limit of %d", size, MaxPayload))
		return
	}
	e := entry{kind: kind, parts: payload, size: size, sum: payloadSum(payload), done: done}
	if !l.queue.put(e) {
		done(Pos{}, ErrClosed)
	}
}

// Close writes what waits, syncs, and closes the files. Appends after it fail.
func (l *Log) Close() error {
	l.queue.close()
	<-l.stopped
	l.files.closeAll()
	if l.w.failed != nil {
		return l.w.failed
	}
	return nil
}

// fail records the first failure and tells the owner.
func (l *Log) fail(err error) error {
	l.failOnce.Do(func() {
		l.cfg.Logger.Error("log failed", "dir", l.cfg.Dir, "error", err)
		if l.cfg.OnFailure != nil {
			l.cfg.OnFailure(err)
		}
	})
	return fmt.Errorf("%w: %w", ErrFailed, err)
}
