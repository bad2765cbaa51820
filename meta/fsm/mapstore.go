package fsm

import (
	"slices"
	"sort"
	"strings"
)

// MapStore is a Store in memory, for tests. It keeps the slices that it is given. It is not safe
// for concurrent use.
type MapStore struct {
	values map[string][]byte
	// chunks hold the keys in order, none is empty.
	chunks [][]string
}

// chunkLen bounds what an insertion moves.
const chunkLen = 512

// NewMapStore makes an empty store.
func NewMapStore() *MapStore { return &MapStore{values: map[string][]byte{}} }

// Len is the number of records.
func (s *MapStore) Len() int { return len(s.values) }

// Get implements Reader.
func (s *MapStore) Get(key []byte) ([]byte, error) { return s.values[string(key)], nil }

// place is the chunk and the index in it where key is or would be.
func (s *MapStore) place(key string) (chunk, at int, found bool) {
	chunk = sort.Search(len(s.chunks), func(i int) bool { c := s.chunks[i]; return c[len(c)-1] >= key })
	if chunk == len(s.chunks) {
		return chunk, 0, false
	}
	at, found = slices.BinarySearch(s.chunks[chunk], key)
	return chunk, at, found
}

// Set implements Store.
func (s *MapStore) Set(key, value []byte) error {
	if _, ok := s.values[string(key)]; ok {
		s.values[string(key)] = value
		return nil
	}
	k := string(key)
	s.values[k] = value
	c, at, _ := s.place(k)
	if c == len(s.chunks) { // above all others
		if c == 0 {
			s.chunks = append(s.chunks, []string{k})
			return nil
		}
		c--
		at = len(s.chunks[c])
	}
	s.chunks[c] = slices.Insert(s.chunks[c], at, k)
	if full := s.chunks[c]; len(full) > chunkLen {
		s.chunks[c] = full[: chunkLen/2 : chunkLen/2]
		s.chunks = slices.Insert(s.chunks, c+1, slices.Clone(full[chunkLen/2:]))
	}
	return nil
}

// Delete implements Store.
func (s *MapStore) Delete(key []byte) error {
	if _, ok := s.values[string(key)]; !ok {
		return nil
	}
	delete(s.values, string(key))
	c, at, _ := s.place(string(key))
	s.chunks[c] = slices.Delete(s.chunks[c], at, at+1)
	if len(s.chunks[c]) == 0 {
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
	return nil
}

// Iterate implements Reader.
func (s *MapStore) Iterate(prefix []byte) Iterator {
	return &mapIterator{s: s, prefix: string(prefix), chunk: len(s.chunks)}
}

type mapIterator struct {
	s         *MapStore
	prefix    string
	chunk, at int
}

func (i *mapIterator) Seek(key []byte) { i.chunk, i.at, _ = i.s.place(string(key)) }

func (i *mapIterator) Next() {
	if i.at++; i.at >= len(i.s.chunks[i.chunk]) {
		i.chunk, i.at = i.chunk+1, 0
	}
}

func (i *mapIterator) Valid() bool {
	return i.chunk < len(i.s.chunks) && strings.HasPrefix(i.s.chunks[i.chunk][i.at], i.prefix)
}

func (i *mapIterator) Key() []byte            { return []byte(i.s.chunks[i.chunk][i.at]) }
func (i *mapIterator) Value() ([]byte, error) { return i.s.values[string(i.Key())], nil }
func (i *mapIterator) Close()                 {}
