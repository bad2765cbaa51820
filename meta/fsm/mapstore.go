package fsm

import (
	"slices"
	"strings"
)

// MapStore is a Store in memory, for tests. The zero value is not usable: NewMapStore.
// It is not safe for concurrent use.
type MapStore struct {
	values map[string][]byte
	sorted []string // keys in order; may hold deleted ones, lacks those in added
	added  []string
	dead   int // deleted keys in sorted, at least
}

// NewMapStore makes an empty store.
func NewMapStore() *MapStore { return &MapStore{values: map[string][]byte{}} }

// Get implements Reader.
func (s *MapStore) Get(key []byte) ([]byte, error) { return s.values[string(key)], nil }

// Set implements Store.
func (s *MapStore) Set(key, value []byte) error {
	if _, ok := s.values[string(key)]; !ok {
		s.added = append(s.added, string(key))
	}
	s.values[string(key)] = value
	return nil
}

// Delete implements Store.
func (s *MapStore) Delete(key []byte) error {
	if _, ok := s.values[string(key)]; ok {
		delete(s.values, string(key))
		s.dead++
	}
	return nil
}

// Len is the number of records.
func (s *MapStore) Len() int { return len(s.values) }

// order brings sorted up to date.
func (s *MapStore) order() {
	if len(s.added) == 0 && s.dead == 0 {
		return
	}
	if s.dead > 0 {
		gone := func(k string) bool { _, ok := s.values[k]; return !ok }
		s.sorted = slices.DeleteFunc(slices.Clone(s.sorted), gone)
		s.added = slices.DeleteFunc(s.added, gone)
	}
	slices.Sort(s.added)
	merged := make([]string, 0, len(s.sorted)+len(s.added))
	a, b := s.sorted, slices.Compact(s.added)
	for len(a) > 0 && len(b) > 0 {
		switch strings.Compare(a[0], b[0]) {
		case -1:
			merged, a = append(merged, a[0]), a[1:]
		case 1:
			merged, b = append(merged, b[0]), b[1:]
		default: // deleted and set again
			b = b[1:]
		}
	}
	s.sorted, s.added, s.dead = append(append(merged, a...), b...), nil, 0
}

// Iterate implements Reader.
func (s *MapStore) Iterate(prefix []byte) Iterator {
	s.order()
	return &mapIterator{s: s, keys: s.sorted, prefix: string(prefix), at: -1}
}

type mapIterator struct {
	s      *MapStore
	keys   []string
	prefix string
	at     int
}

func (i *mapIterator) Seek(key []byte) { i.at, _ = slices.BinarySearch(i.keys, string(key)) }
func (i *mapIterator) Next()           { i.at++ }
func (i *mapIterator) Valid() bool {
	return i.at >= 0 && i.at < len(i.keys) && strings.HasPrefix(i.keys[i.at], i.prefix)
}
func (i *mapIterator) Key() []byte            { return []byte(i.keys[i.at]) }
func (i *mapIterator) Value() ([]byte, error) { return i.s.values[i.keys[i.at]], nil }
func (i *mapIterator) Close()                 {}
