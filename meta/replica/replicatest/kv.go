package replicatest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"holdfast/meta/fsm"
	"holdfast/meta/replica"
)

// ErrCrashed is what a crashed KV or log answers.
var ErrCrashed = errors.New("replicatest: crashed")

// KV is a KV that loses on a crash what was not flushed, as Badger does.
type KV struct {
	mu      sync.Mutex
	values  map[string][]memVersion // ascending
	keys    []string                // sorted, of values
	unsort  bool
	version uint64
	flushed uint64
	crashed bool

	// AutoFlush is the distance in versions at which the flushed version follows the newest;
	// 0 = it does not.
	AutoFlush uint64
	// Limit is how many bytes a transaction takes; 0 = any.
	Limit int
}

type memVersion struct {
	version uint64
	value   []byte // nil = deleted
}

// NewKV makes an empty KV.
func NewKV() *KV { return &KV{values: map[string][]memVersion{}} }

// Crash forgets what was not flushed and fails everything from now on, until Reopen.
func (m *KV) Crash() {
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

// Reopen ends a crash.
func (m *KV) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = false
}

// Flushed implements replica.KV.
func (m *KV) Flushed() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flushed
}

// Flush implements replica.KV.
func (m *KV) Flush(_ context.Context, version uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return ErrCrashed
	}
	m.flushed = max(m.flushed, m.version)
	return nil
}

// Begin implements replica.KV.
func (m *KV) Begin(write bool) replica.Txn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memTxn{kv: m, at: m.version, write: write, writes: map[string][]byte{}}
}

type memTxn struct {
	kv     *KV
	at     uint64
	write  bool
	writes map[string][]byte
	size   int
	ended  bool
}

func (t *memTxn) Version() uint64 { return t.at }

func (t *memTxn) Err() error { return nil }

func (t *memTxn) Get(key []byte) ([]byte, error) {
	if v, ok := t.writes[string(key)]; ok {
		return v, nil
	}
	t.kv.mu.Lock()
	defer t.kv.mu.Unlock()
	if t.kv.crashed {
		return nil, ErrCrashed
	}
	return t.kv.at(string(key), t.at), nil
}

func (m *KV) at(key string, version uint64) []byte {
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
	if t.kv.Limit > 0 && t.size > t.kv.Limit {
		return replica.ErrTxnTooBig
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
		return ErrCrashed
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
	if m.AutoFlush > 0 && m.version > m.AutoFlush {
		m.flushed = max(m.flushed, m.version-m.AutoFlush)
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
