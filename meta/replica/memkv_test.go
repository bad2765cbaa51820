package replica

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"holdfast/meta/fsm"
)

var errCrashed = errors.New("crashed")

// memKV is a KV that loses on a crash what was not flushed, as Badger does.
type memKV struct {
	mu      sync.Mutex
	values  map[string][]memVersion // ascending
	keys    []string                // sorted, of values
	unsort  bool
	version uint64
	flushed uint64
	crashed bool
	broken  error // what Get returns, if set
	// autoFlush is the distance in versions at which flushed follows by itself; 0 = never.
	autoFlush uint64
	limit     int // bytes a transaction takes; 0 = no limit
}

type memVersion struct {
	version uint64
	value   []byte // nil = deleted
}

func newMemKV() *memKV { return &memKV{values: map[string][]memVersion{}} }

// crash forgets what was not flushed and fails everything from now on; reopen ends that.
func (m *memKV) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	for k, vs := range m.values {
		for len(vs) > 0 && vs[len(vs)-1].version > m.flushed {
			vs = vs[:len(vs)-1]
		}
		if len(vs) == 0 {
			delete(m.values, k)
			m.unsort = true
		} else {
			m.values[k] = vs
		}
	}
	m.version = m.flushed
}

func (m *memKV) reopen() { m.mu.Lock(); m.crashed = false; m.mu.Unlock() }

func (m *memKV) Flushed() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flushed
}

func (m *memKV) Flush(_ context.Context, version uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return errCrashed
	}
	m.flushed = max(m.flushed, m.version)
	return nil
}

func (m *memKV) Begin(write bool) Txn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memTxn{kv: m, at: m.version, write: write, writes: map[string][]byte{}}
}

type memTxn struct {
	kv     *memKV
	at     uint64
	write  bool
	writes map[string][]byte
	size   int
	ended  bool
}

func (t *memTxn) Version() uint64 { return t.at }

func (t *memTxn) Get(key []byte) ([]byte, error) {
	if v, ok := t.writes[string(key)]; ok {
		return v, nil
	}
	t.kv.mu.Lock()
	defer t.kv.mu.Unlock()
	if t.kv.crashed {
		return nil, errCrashed
	}
	if t.kv.broken != nil {
		return nil, t.kv.broken
	}
	return t.kv.at(string(key), t.at), nil
}

func (m *memKV) at(key string, version uint64) []byte {
	vs := m.values[key]
	for i := len(vs) - 1; i >= 0; i-- {
		if vs[i].version <= version {
			return vs[i].value
		}
	}
	return nil
}

func (t *memTxn) Set(key, value []byte) error {
	if !t.write || t.ended {
		return errors.New("not a writing transaction")
	}
	t.size += len(key) + len(value)
	if t.kv.limit > 0 && t.size > t.kv.limit {
		return ErrTxnTooBig
	}
	t.writes[string(key)] = value
	return nil
}

func (t *memTxn) Delete(key []byte) error { return t.Set(key, nil) }

func (t *memTxn) Commit() error {
	m := t.kv
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return errCrashed
	}
	if t.ended || len(t.writes) == 0 {
		return nil
	}
	t.ended = true
	m.version++
	for k, v := range t.writes {
		if _, ok := m.values[k]; !ok {
			m.keys = append(m.keys, k)
			m.unsort = true
		}
		m.values[k] = append(m.values[k], memVersion{m.version, v})
	}
	if m.autoFlush > 0 && m.version > m.autoFlush {
		m.flushed = max(m.flushed, m.version-m.autoFlush)
	}
	return nil
}

func (t *memTxn) Discard() { t.ended = true }

func (t *memTxn) Iterate(prefix []byte) fsm.Iterator {
	m := t.kv
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unsort {
		m.keys = m.keys[:0]
		for k := range m.values {
			m.keys = append(m.keys, k)
		}
		slices.Sort(m.keys)
		m.unsort = false
	}
	var keys []string
	p := string(prefix)
	from, _ := slices.BinarySearch(m.keys, p)
	for _, k := range m.keys[from:] {
		if !strings.HasPrefix(k, p) {
			break
		}
		if _, own := t.writes[k]; !own && m.at(k, t.at) != nil {
			keys = append(keys, k)
		}
	}
	for k, v := range t.writes {
		if v != nil && strings.HasPrefix(k, p) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return &memIterator{t: t, keys: keys}
}

type memIterator struct {
	t    *memTxn
	keys []string
	i    int
}

func (i *memIterator) Seek(key []byte)        { i.i, _ = slices.BinarySearch(i.keys, string(key)) }
func (i *memIterator) Valid() bool            { return i.i < len(i.keys) }
func (i *memIterator) Next()                  { i.i++ }
func (i *memIterator) Key() []byte            { return []byte(i.keys[i.i]) }
func (i *memIterator) Value() ([]byte, error) { return i.t.Get([]byte(i.keys[i.i])) }
func (i *memIterator) Close()                 {}
