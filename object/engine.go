package object

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"holdfast/erasure"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// DefaultInlineLimit is the largest (cipher)text in bytes that is kept in the manifest. While
// values stay in Badger's tables 8 KiB is where a record beats six shards and a record.
const DefaultInlineLimit = 8 << 10

// DefaultBucketCacheAge is how long a front believes a bucket's record that nobody told it to forget.
const DefaultBucketCacheAge = 2 * time.Second

// Metadata is what the engine needs of the metadata groups.
type Metadata interface {
	Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error)
	Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error)
	Groups() uint32
}

// Shards writes and reads erasure-coded data.
type Shards interface {
	Put(ctx context.Context, spec fanout.PutSpec, src io.Reader) ([]id.Drive, error)
	Get(ctx context.Context, ref fanout.Ref, off, n int64, sink func(b []byte) error) error
	// Discard deletes what nothing will name, and waits for that only a little.
	Discard(ctx context.Context, data id.Data, drives []id.Drive)
}

// Placer says on which drives the shards of a data ID go: n of them in shard order, and spares.
// Fewer than n are chosen when fewer are healthy; the rest are zero.
type Placer interface {
	Place(data id.Data, n int) (chosen, spares []id.Drive)
	// Full reports whether metadata must not grow by inlined bytes.
	Full() bool
}

// Config is what an Engine is made of.
type Config struct {
	Metadata Metadata
	Shards   Shards
	Placer   Placer
	// Scheme of new data.
	Scheme erasure.Scheme
	// InlineLimit in bytes of (cipher)text; 0 means DefaultInlineLimit, negative none.
	InlineLimit int
	// BucketCacheAge bounds how long a bucket's record is believed; 0 means
	// DefaultBucketCacheAge.
	BucketCacheAge time.Duration
	// Keys of the server, for SSE-S3 and SSE-KMS; nil: there are none.
	Keys Keys
	// BucketChanged returns when no other front believes the record of a bucket that was changed or deleted
	// here. May be nil.
	BucketChanged func(ctx context.Context, name string) error
	// Rand is crypto/rand.Reader, guarded against repeating itself, but in tests.
	Rand io.Reader
	// Now is time.Now but in tests.
	Now    func() time.Time
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Metadata == nil || c.Shards == nil || c.Placer == nil {
		return fmt.Errorf("object: Config needs Metadata, Shards and Placer")
	}
	if err := c.Scheme.Validate(); err != nil {
		return fmt.Errorf("object: %w", err)
	}
	if c.InlineLimit == 0 {
		c.InlineLimit = DefaultInlineLimit
	}
	if c.BucketCacheAge == 0 {
		c.BucketCacheAge = DefaultBucketCacheAge
	}
	if c.Rand == nil {
		c.Rand = seal.Guard(rand.Reader)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Engine implements the operations of an object store. Safe for concurrent use.
type Engine struct {
	cfg     Config
	buckets bucketCache
	quota   sync.Mutex // one request at a time moves shares of a quota
}

// New makes an engine.
func New(cfg Config) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, buckets: newBucketCache()}, nil
}

// target is a key of a known bucket and the group that owns it.
type target struct {
	bucket id.Bucket
	name   string // of the bucket
	key    string
	group  uint32
	// versioning of the bucket, as far as this front knows.
	versioning metapb.Versioning
}

func (e *Engine) target(ctx context.Context, bucket, key string) (target, error) {
	if key == "" {
		return target{}, kind.New(kind.InvalidArgument, "The object key is empty.")
	}
	if len(key) > MaxKeyLen {
		return target{}, kind.New(kind.KeyTooLong, "Your key is too long")
	}
	b, err := e.lookup(ctx, bucket)
	if err != nil {
		return target{}, err
	}
	return target{bucket: b.id, name: bucket, key: key, group: meta.GroupOf(e.cfg.Metadata.Groups(), b.id, key), versioning: b.Versioning}, nil
}

// command begins a command on a key.
func (e *Engine) command(t target) *metapb.Command {
	return &metapb.Command{NowMs: e.cfg.Now().UnixMilli(), Bucket: t.bucket[:], Key: t.key}
}

// commitTries bounds how often a command is proposed again to a bucket that is being deleted or
// to a version that changed under a rewrap.
const commitTries = 5

// commit proposes a command on a key. A group that has closed the bucket answers NoSuchBucket; if
// the bucket is still there (its deletion was called off) the command is proposed again.
func (e *Engine) commit(ctx context.Context, t target, cmd *metapb.Command) (*metapb.Result, error) {
	for try := 1; ; try++ {
		res, err := e.cfg.Metadata.Apply(ctx, t.group, cmd)
		if kind.Is(err, kind.Unavailable) {
			res, err = e.settle(ctx, t, cmd, err)
		}
		if kind.Is(err, kind.QuotaExceeded) && try <= quotaTries {
			if err := e.makeRoom(ctx, t, growth(cmd)); err != nil {
				return nil, err
			}
			continue
		}
		if !kind.Is(err, kind.NoSuchBucket) {
			return res, err
		}
		e.ForgetBucket(t.name)
		b, lookupErr := e.lookup(ctx, t.name)
		switch {
		case lookupErr != nil:
			return nil, lookupErr
		case b.id != t.bucket:
			return nil, err
		case try == commitTries:
			return nil, kind.Wrap(kind.Unavailable, err, "the bucket is being deleted")
		}
		if err := pause(ctx, time.Duration(try)*20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return kind.Wrap(kind.Canceled, ctx.Err(), "the request ended")
	case <-t.C:
		return nil
	}
}

// surely reports whether a failed commit certainly did not happen, so that its shards may go.
func surely(err error) bool {
	k := kind.Of(err)
	return k >= 100 || k == kind.Conflict
}
