package kv

import (
	"bytes"
	"sort"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// Iterator walks the keys with a prefix in ascending order, Badger's beside those of the tables.
type Iterator struct {
	t       *Txn
	it      *badger.Iterator
	prefix  []byte
	set     *set
	cursors []*cursor
	last    []byte // scratch
}

// Iterate opens an iterator, which stands nowhere. A writing transaction has one at a time, and
// nothing is written while it is open. When it ends, look at the transaction's Err.
func (t *Txn) Iterate(prefix []byte) *Iterator {
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues = false
	opt.Prefix = prefix
	i := &Iterator{t: t, it: t.txn.NewIterator(opt), prefix: prefix, set: t.db.acquire()}
	for level, tables := range i.set.levels {
		tables = with(prefix, tables)
		if level > 0 {
			if len(tables) > 0 {
				i.cursors = append(i.cursors, &cursor{tables: tables})
			}
			continue
		}
		for _, h := range tables {
			i.cursors = append(i.cursors, &cursor{tables: []*handle{h}})
		}
	}
	return i
}

// Close lets go of it.
func (i *Iterator) Close() {
	i.it.Close()
	for _, c := range i.cursors {
		c.close()
	}
	i.t.db.release(i.set)
}

// Item is the pair it stands on, until it moves.
func (i *Iterator) Item() *badger.Item { return i.it.Item() }

// Valid is false behind the last key, and when there is damage.
func (i *Iterator) Valid() bool { return i.t.err == nil && i.it.ValidForPrefix(i.prefix) }

// Seek moves to the first key at or behind key.
func (i *Iterator) Seek(key []byte) {
	i.move(func() error {
		i.it.Seek(key)
		from := y.KeyWithTs(key, i.t.ReadTs())
		for _, c := range i.cursors {
			if err := c.seek(from, i.prefix, i.t.ReadTs()); err != nil {
				return err
			}
		}
		return i.compare()
	})
}

// Next moves on.
func (i *Iterator) Next() {
	i.move(func() error {
		i.last = i.it.Item().KeyCopy(i.last)
		i.it.Next()
		if err := i.skip(i.last); err != nil {
			return err
		}
		return i.compare()
	})
}

func (i *Iterator) move(f func() error) {
	if i.t.err != nil {
		return
	}
	if err := guard(i.t.db.cfg.Dir, f); err != nil && i.t.err == nil {
		i.t.err = i.t.refused(err)
	}
}

// compare looks at what the tables hold from where they stand up to where Badger stands.
func (i *Iterator) compare() error {
	var at []byte // nil: behind all keys
	if i.it.ValidForPrefix(i.prefix) {
		at = i.it.Item().Key()
	}
	for {
		key, held := i.least()
		if key == nil {
			return nil
		}
		order := -1
		if at != nil {
			order = bytes.Compare(key, at)
		}
		switch {
		case order > 0:
			return nil
		case order == 0:
			if answered := i.it.Item().Version(); held.ts > answered {
				return i.t.sort(key, answered, held)
			}
			return nil
		}
		key = bytes.Clone(key)
		if _, gone := i.t.gone[string(key)]; !gone && !held.deleted {
			if err := i.t.sort(key, 0, held); err != nil {
				return err
			}
		}
		if err := i.skip(key); err != nil {
			return err
		}
	}
}

// least is the first key that a cursor stands on, and its newest version; nil behind the last.
func (i *Iterator) least() (key []byte, v version) {
	for _, c := range i.cursors {
		if !c.valid {
			continue
		}
		k := y.ParseKey(c.it.Key())
		order := -1
		if key != nil {
			order = bytes.Compare(k, key)
		}
		if ts := y.ParseTs(c.it.Key()); order < 0 || order == 0 && ts > v.ts {
			key, v = k, version{ts: ts, deleted: c.it.Value().Meta&bitDelete != 0}
		}
	}
	return key, v
}

// skip moves all cursors behind a key.
func (i *Iterator) skip(key []byte) error {
	for _, c := range i.cursors {
		for c.valid && bytes.Compare(y.ParseKey(c.it.Key()), key) <= 0 {
			if err := c.next(i.prefix, i.t.ReadTs()); err != nil {
				return err
			}
		}
	}
	return nil
}

// cursor walks tables in order that do not overlap, over what was there at a time.
type cursor struct {
	tables []*handle
	n      int // the one it is in
	it     *table.Iterator
	valid  bool
}

func (c *cursor) close() {
	if c.it != nil {
		c.it.Close()
		c.it = nil
	}
}

// open stands nowhere in the table at n; false behind the last.
func (c *cursor) open(n int) bool {
	c.close()
	c.n, c.valid = n, false
	if n == len(c.tables) {
		return false
	}
	c.it = c.tables[n].t.NewIterator(table.NOCACHE)
	return true
}

func (c *cursor) seek(from, prefix []byte, at uint64) error {
	n := sort.Search(len(c.tables), func(n int) bool { return y.CompareKeys(c.tables[n].t.Biggest(), from) >= 0 })
	if !c.open(n) {
		return nil
	}
	c.it.Seek(from)
	return c.settle(prefix, at)
}

func (c *cursor) next(prefix []byte, at uint64) error {
	c.step()
	return c.settle(prefix, at)
}

// step moves by one entry.
func (c *cursor) step() {
	if y.CompareKeys(c.it.Key(), c.tables[c.n].t.Biggest()) < 0 {
		c.it.Next()
	} else if c.open(c.n + 1) {
		c.it.Rewind()
	}
}

// settle moves on to an entry that was there at a time. There is one in the table: a cursor never steps behind the biggest.
func (c *cursor) settle(prefix []byte, at uint64) error {
	for c.it != nil {
		if !c.it.Valid() {
			return damaged(c.tables[c.n].path, errBlock)
		}
		if comparePrefix(y.ParseKey(c.it.Key()), prefix) > 0 {
			c.valid = false
			return nil
		}
		if y.ParseTs(c.it.Key()) <= at {
			c.valid = true
			return nil
		}
		c.step()
	}
	return nil
}
