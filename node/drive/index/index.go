package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"holdfast/node"
	"holdfast/node/drive/kv"
	"holdfast/node/drive/log"
)

const (
	// applyAt is how many pending ops make the applier start at once.
	applyAt = 256
	// applyAfter is how long an op may wait to share a transaction: it is visible and durable
	// without one, so waiting costs nothing but a little replay after a crash.
	applyAfter = 100 * time.Millisecond
	// maxPending is how many ops may be pending before Admit makes callers wait.
	maxPending = 32 << 10
	// maxTxnOps and maxTxnKeys bound one transaction, far below Badger's own limit.
	maxTxnOps  = 1024
	maxTxnKeys = 4096
)

// Config says where an index lives.
type Config struct {
	// DB is the drive's Badger.
	DB *kv.DB
	// FreeBlob removes a blob file that no shard needs any more. Called before the transaction
	// that forgets it commits; again after a crash.
	FreeBlob func(number uint64) error
	// OnDead, if set, is called by the applier after records of segments died.
	OnDead func()
	// OnApplied, if set, is told by the applier how many bytes of records were applied.
	OnApplied func(bytes int64)
	// OnStale, if set, is called by the applier with a copy that came too late: the shard had been
	// deleted meanwhile. The deletion given must go to the log, behind the copy.
	OnStale func(Deletion)
	// OnFailure is called when Badger or FreeBlob fails: the index then stands still.
	OnFailure func(error)
	// Logger takes warnings.
	Logger *slog.Logger
}

// Index is the index of one drive. Safe for concurrent use.
type Index struct {
	cfg Config

	mu      sync.RWMutex
	overlay map[node.Shard]overlaid
	pending []Op
	figures map[uint64]Figures
	gone    []uint64 // segments whose figures are to be removed from Badger
	state   state    // as in Badger
	busy    bool     // the applier is at work on a batch
	armed   bool     // the timer runs
	failed  error
	started bool
	closed  bool
	changed sync.Cond // pending, busy, failed or closed changed

	replaying *replay // during Open only
	kick      chan struct{}
	timer     *time.Timer
	done      chan struct{}
}

// overlaid is what the op at pos did to a shard; entry nil: it is deleted.
type overlaid struct {
	pos   log.Pos
	entry *Entry
}

// Open reads what Badger holds. The caller then replays the log from Applied on by Replay, and
// calls Start.
func Open(cfg Config) (*Index, error) {
	x := &Index{
		cfg:     cfg,
		overlay: make(map[node.Shard]overlaid),
		figures: make(map[uint64]Figures),
		kick:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	x.changed.L = &x.mu
	txn := cfg.DB.Begin(false)
	defer txn.Discard()
	if err := errors.Join(x.readState(txn), x.readFigures(txn), txn.Err()); err != nil {
		return nil, fmt.Errorf("index: open: %w", err)
	}
	x.replaying = &replay{from: x.state.applied, deleted: make(map[node.Shard]log.Pos)}
	return x, nil
}

func (x *Index) readState(txn *kv.Txn) error {
	item, err := txn.Get([]byte(stateKey))
	if err != nil || item == nil {
		return err
	}
	return item.Value(func(v []byte) error {
		x.state, err = decodeState(v)
		return err
	})
}

func (x *Index) readFigures(txn *kv.Txn) error {
	it := txn.Iterate([]byte(figuresPrefix))
	defer it.Close()
	for it.Seek([]byte(figuresPrefix)); it.Valid(); it.Next() {
		key := it.Item().Key()
		err := it.Item().Value(func(v []byte) error {
			f, err := decodeFigures(v)
			if len(key) != figuresKeyLen || err != nil {
				return fmt.Errorf("%w: figures of a segment", ErrFormat)
			}
			x.figures[binary.BigEndian.Uint64(key[2:])] = f
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Applied is the position of the last record whose effects are in Badger.
func (x *Index) Applied() log.Pos {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.state.applied
}

// Shards is the number of shards, but for those not applied yet.
func (x *Index) Shards() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.state.shards
}

// NextBlob is above every blob number that the index has seen.
func (x *Index) NextBlob() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.state.nextBlob
}

// Figures says what each segment holds that is needed. Segments of which nothing is are missing.
func (x *Index) Figures() map[uint64]Figures {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return maps.Clone(x.figures)
}

// Retain drops the figures of segments that are gone: all for which there is false.
func (x *Index) Retain(there func(segment uint64) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for segment := range x.figures {
		if !there(segment) {
			delete(x.figures, segment)
			x.gone = append(x.gone, segment) // with the next transaction; no harm if there is none
		}
	}
}

// Start ends the replay and starts the applier.
func (x *Index) Start() error {
	if err := x.drain(); err != nil {
		return err
	}
	x.replaying = nil
	x.timer = time.AfterFunc(time.Hour, x.wake)
	x.timer.Stop()
	x.started = true
	go x.run()
	return nil
}

// Get finds a shard.
func (x *Index) Get(s node.Shard) (Entry, bool, error) {
	x.mu.RLock()
	o, ok := x.overlay[s]
	x.mu.RUnlock()
	if ok {
		if o.entry == nil {
			return Entry{}, false, nil
		}
		return *o.entry, true, nil
	}
	txn := x.cfg.DB.Begin(false)
	defer txn.Discard()
	e, err := get(txn, s)
	if err != nil || e == nil {
		return Entry{}, false, err
	}
	return *e, true, nil
}

// get returns nil if the shard is not there.
func get(txn *kv.Txn, s node.Shard) (*Entry, error) {
	item, err := txn.Get(entryKey(s))
	if err != nil {
		return nil, fmt.Errorf("index: get %s: %w", s, err)
	}
	if item == nil {
		return nil, nil
	}
	var e Entry
	err = item.Value(func(v []byte) error {
		e, err = decodeEntry(s, v)
		return err
	})
	return &e, err
}

// List returns up to limit entries in ascending order after a shard.
func (x *Index) List(ctx context.Context, after node.Shard, limit int) ([]Entry, error) {
	if err := x.Flush(); err != nil {
		return nil, err
	}
	txn := x.cfg.DB.Begin(false)
	defer txn.Discard()
	it := txn.Iterate([]byte(entryPrefix))
	defer it.Close()
	from := entryKey(after)
	if after != (node.Shard{}) {
		from = append(from, 0) // the key right behind it
	}
	var list []Entry
	for it.Seek(from); it.Valid() && len(list) < limit; it.Next() {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		s, ok := decodeKey(it.Item().Key())
		if !ok {
			return list, fmt.Errorf("%w: key", ErrFormat)
		}
		err := it.Item().Value(func(v []byte) error {
			e, err := decodeEntry(s, v)
			list = append(list, e)
			return err
		})
		if err != nil {
			return list, err
		}
	}
	return list, txn.Err()
}
