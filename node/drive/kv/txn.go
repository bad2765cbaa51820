package kv

import (
	"errors"

	"github.com/dgraph-io/badger/v4"

	"holdfast/internal/kind"
)

// Txn is a transaction. For one goroutine.
type Txn struct {
	db   *DB
	txn  *badger.Txn
	gone map[string]struct{} // deleted by it
	err  error
}

// Begin opens a transaction. A writing one sees its own writes.
func (d *DB) Begin(write bool) *Txn {
	return &Txn{db: d, txn: d.cfg.Badger.NewTransaction(write), err: d.Damage()}
}

// Err is the damage that the transaction met; what was read in it must not be used then.
func (t *Txn) Err() error { return t.err }

// ReadTs is the version up to which it sees.
func (t *Txn) ReadTs() uint64 { return t.txn.ReadTs() }

// Commit makes the writes visible, unless the transaction met damage.
func (t *Txn) Commit() error {
	if t.err != nil {
		return t.err
	}
	return t.txn.Commit()
}

// Discard drops it; after Commit it does nothing.
func (t *Txn) Discard() { t.txn.Discard() }

// Set writes a pair, which must not change until the transaction ends.
func (t *Txn) Set(key, value []byte) error { return t.SetEntry(badger.NewEntry(key, value)) }

// SetEntry is Set with what else Badger keeps of a pair.
func (t *Txn) SetEntry(e *badger.Entry) error {
	delete(t.gone, string(e.Key))
	return t.txn.SetEntry(e)
}

// Delete removes a key.
func (t *Txn) Delete(key []byte) error {
	if err := t.txn.Delete(key); err != nil {
		return err
	}
	if t.gone == nil {
		t.gone = make(map[string]struct{})
	}
	t.gone[string(key)] = struct{}{}
	return nil
}

// Get returns nil if the key is not there. The item is valid until the transaction ends.
func (t *Txn) Get(key []byte) (*badger.Item, error) {
	if t.err != nil {
		return nil, t.err
	}
	item, err := t.ask(key)
	if err != nil {
		return nil, err
	}
	var answered uint64
	if item != nil {
		answered = item.Version()
	} else if _, gone := t.gone[string(key)]; gone {
		return nil, nil
	}
	held, err := t.held(key, answered)
	if err != nil {
		return nil, t.met(err)
	}
	if held.ts > answered && (item != nil || !held.deleted) {
		if err := t.sort(key, answered, held); err != nil {
			return nil, err
		}
	}
	return item, nil
}

// ask is Badger's answer.
func (t *Txn) ask(key []byte) (item *badger.Item, err error) {
	err = guard(t.db.cfg.Dir, func() error {
		item, err = t.txn.Get(key)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if isDamage(err) {
		return nil, t.met(err)
	}
	return item, err
}

// held is what the tables hold of a key above a version.
func (t *Txn) held(key []byte, above uint64) (v version, err error) {
	s := t.db.acquire()
	defer t.db.release(s)
	err = guard(t.db.cfg.Dir, func() error {
		v, err = s.newest(key, above, t.ReadTs())
		return err
	})
	return v, err
}

// met ends the transaction, for it met damage.
func (t *Txn) met(err error) error {
	t.err = t.db.found(err)
	return t.err
}

// sortTries is how often the tables may change under sort.
const sortTries = 5

// sort decides why the tables hold a version of a key above the one that Badger answered, 0 for none: because it was
// deleted in memory, or in tables that are not known yet; else because Badger cannot read it.
func (t *Txn) sort(key []byte, answered uint64, held version) error {
	for range sortTries {
		shown, err := t.shown(key)
		if err != nil {
			return t.met(err)
		}
		if answered == 0 && shown.deleted && shown.ts >= held.ts {
			return nil
		}
		if err := t.db.refresh(); err != nil {
			return t.refused(err)
		}
		if held, err = t.held(key, answered); err != nil {
			return t.met(err)
		}
		if held.ts <= answered || answered == 0 && held.deleted {
			return nil
		}
	}
	return t.met(kind.New(kind.Damaged, "kv: version %d of a key is in a table in %s and was not found; %d was", held.ts, t.db.cfg.Dir, answered))
}

func (t *Txn) refused(err error) error {
	if isDamage(err) {
		return t.met(err)
	}
	return err
}

// shown is the newest version of a key that Badger has for the transaction, deletions included. It reads in a transaction of
// its own, for a writing one has room for one iterator; this one keeps Badger from dropping anything that it can see.
func (t *Txn) shown(key []byte) (v version, err error) {
	txn := t.db.cfg.Badger.NewTransaction(false)
	defer txn.Discard()
	err = guard(t.db.cfg.Dir, func() error {
		opt := badger.DefaultIteratorOptions
		opt.PrefetchValues = false
		it := txn.NewKeyIterator(key, opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if ts := it.Item().Version(); ts <= t.ReadTs() {
				v = version{ts, it.Item().IsDeletedOrExpired()}
				return nil
			}
		}
		return nil
	})
	return v, err
}

func isDamage(err error) bool { return kind.Is(err, kind.Damaged) }
