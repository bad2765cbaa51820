package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"holdfast/meta/fsm"
	"holdfast/node/drive/kv"
)

// NewBadger is a drive's Badger as KV. flushed is drive.Flushed: up to which version the tables
// hold every transaction. The database must keep all values in its tables, which it does with
// those up to 1 MiB; larger ones are stored in pieces (see large.go).
func NewBadger(db *kv.DB, flushed func() uint64) KV {
	b := &badgerKV{db: db, flushed: flushed}
	txn := db.Begin(false)
	defer txn.Discard()
	it := (&badgerTxn{kv: b, txn: txn}).Iterate([]byte(keyPiece))
	defer it.Close()
	it.Seek([]byte(keyPiece))
	b.large.Store(it.Valid())
	return b
}

type badgerKV struct {
	db      *kv.DB
	flushed func() uint64
	large   atomic.Bool // there is, or was, a value in pieces
}

func (b *badgerKV) Flushed() uint64 { return b.flushed() }

func (b *badgerKV) Begin(write bool) Txn {
	return &badgerTxn{kv: b, txn: b.db.Begin(write)}
}

const (
	// fillerBytes is the size of one value written to push the memtable out; it must stay in
	// the tables, and a memtable takes about 60 of them.
	fillerBytes = 256 << 10
	// flushPoll is how often Flush looks again while Badger's own goroutine writes the table.
	flushPoll = 5 * time.Millisecond
)

// Flush fills the memtable with values of one key until Badger writes it out: it has no call
// for that but Close. They vanish in the next compaction. It is rare: after a snapshot was
// installed, and when a log could not be cut for long.
func (b *badgerKV) Flush(ctx context.Context, version uint64) error {
	pushes := int(2*b.db.Badger().Opts().MemTableSize/fillerBytes) + 1
	filler := make([]byte, min(fillerBytes, b.db.Badger().Opts().ValueThreshold/2))
	tick := time.NewTicker(flushPoll)
	defer tick.Stop()
	for b.flushed() < version {
		if pushes > 0 {
			pushes--
			err := b.db.Badger().Update(func(txn *badger.Txn) error { return txn.Set([]byte(keyFiller), filler) })
			if err != nil {
				return fmt.Errorf("replica: push memtable out: %w", err)
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

type badgerTxn struct {
	kv   *badgerKV
	open []*badgerIterator // at most one, with a well-behaved caller
	txn  *kv.Txn
}

func (t *badgerTxn) Version() uint64 { return t.txn.ReadTs() }
func (t *badgerTxn) Commit() error   { return t.txn.Commit() }
func (t *badgerTxn) Err() error      { return t.txn.Err() }

// Discard closes iterators that are still open, as after a panic: Badger would panic itself.
func (t *badgerTxn) Discard() {
	for _, it := range t.open {
		it.it.Close()
	}
	t.open = nil
	t.txn.Discard()
}

func (t *badgerTxn) Get(key []byte) ([]byte, error) {
	item, err := t.txn.Get(key)
	if err != nil || item == nil {
		return nil, err
	}
	return t.value(item)
}

// value avoids a copy: a value that lives in a table was copied into the item already.
func (t *badgerTxn) value(item *badger.Item) (value []byte, err error) {
	if item.UserMeta() == metaPieces {
		return t.join(item)
	}
	err = item.Value(func(v []byte) error { value = v; return nil })
	return value, err
}

func (t *badgerTxn) Set(key, value []byte) error {
	if err := t.clear(key); err != nil {
		return err
	}
	if len(value) > pieceBytes {
		return t.split(key, value)
	}
	return tooBig(t.txn.Set(key, value))
}

func (t *badgerTxn) Delete(key []byte) error {
	if err := t.clear(key); err != nil {
		return err
	}
	return tooBig(t.txn.Delete(key))
}

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return ErrTxnTooBig
	}
	return err
}

func (t *badgerTxn) Iterate(prefix []byte) fsm.Iterator {
	it := &badgerIterator{t: t, it: t.txn.Iterate(prefix)}
	t.open = append(t.open, it)
	return it
}

type badgerIterator struct {
	t  *badgerTxn
	it *kv.Iterator
}

func (i *badgerIterator) Seek(key []byte)        { i.it.Seek(key) }
func (i *badgerIterator) Valid() bool            { return i.it.Valid() }
func (i *badgerIterator) Next()                  { i.it.Next() }
func (i *badgerIterator) Key() []byte            { return i.it.Item().Key() }
func (i *badgerIterator) Value() ([]byte, error) { return i.t.value(i.it.Item()) }

func (i *badgerIterator) Close() {
	if n := slices.Index(i.t.open, i); n >= 0 {
		i.t.open = slices.Delete(i.t.open, n, n+1)
		i.it.Close()
	}
}
