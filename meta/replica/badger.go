package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"holdfast/meta/fsm"
)

// NewBadger is a drive's Badger as KV. flushed is drive.Flushed: up to which version the tables
// hold every transaction. The database must keep all values in its tables.
func NewBadger(db *badger.DB, flushed func() uint64) KV { return &badgerKV{db, flushed} }

type badgerKV struct {
	db      *badger.DB
	flushed func() uint64
}

func (b *badgerKV) Flushed() uint64 { return b.flushed() }

func (b *badgerKV) Begin(write bool) Txn {
	return &badgerTxn{txn: b.db.NewTransaction(write)}
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
	pushes := int(2*b.db.Opts().MemTableSize/fillerBytes) + 1
	filler := make([]byte, min(fillerBytes, b.db.Opts().ValueThreshold/2))
	tick := time.NewTicker(flushPoll)
	defer tick.Stop()
	for b.flushed() < version {
		if pushes > 0 {
			pushes--
			err := b.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(keyFiller), filler) })
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
	txn *badger.Txn
}

func (t *badgerTxn) Version() uint64 { return t.txn.ReadTs() }
func (t *badgerTxn) Commit() error   { return t.txn.Commit() }
func (t *badgerTxn) Discard()        { t.txn.Discard() }

func (t *badgerTxn) Get(key []byte) ([]byte, error) {
	item, err := t.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return itemValue(item)
}

// itemValue avoids a copy: a value that lives in a table was copied into the item already.
func itemValue(item *badger.Item) (value []byte, err error) {
	err = item.Value(func(v []byte) error { value = v; return nil })
	return value, err
}

func (t *badgerTxn) Set(key, value []byte) error { return tooBig(t.txn.Set(key, value)) }
func (t *badgerTxn) Delete(key []byte) error     { return tooBig(t.txn.Delete(key)) }

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return ErrTxnTooBig
	}
	return err
}

func (t *badgerTxn) Iterate(prefix []byte) fsm.Iterator {
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues = false
	opt.Prefix = prefix
	return &badgerIterator{it: t.txn.NewIterator(opt), prefix: prefix}
}

type badgerIterator struct {
	it     *badger.Iterator
	prefix []byte
}

func (i *badgerIterator) Seek(key []byte)        { i.it.Seek(key) }
func (i *badgerIterator) Valid() bool            { return i.it.ValidForPrefix(i.prefix) }
func (i *badgerIterator) Next()                  { i.it.Next() }
func (i *badgerIterator) Key() []byte            { return i.it.Item().Key() }
func (i *badgerIterator) Value() ([]byte, error) { return itemValue(i.it.Item()) }
func (i *badgerIterator) Close()                 { i.it.Close() }
