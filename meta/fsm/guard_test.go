package fsm

import (
	"bytes"
	"hash/maphash"

	"holdfast/proto/metapb"
)

// guardStore is a MapStore that holds Apply to the contract of Store: it spoils each slice it gave
// out at the next call, allows one iterator at a time and no write beside it, and remembers what
// it was given, to see that nobody writes to that.
type guardStore struct {
	*MapStore
	t      failer
	lent   []byte
	open   bool
	writes int
	kept   []keptSlice
}

// failer is what testing.T and rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

type keptSlice struct {
	b   []byte
	sum uint64
}

var hashSeed = maphash.MakeSeed()

func newGuard(t failer) *guardStore { return &guardStore{MapStore: NewMapStore(), t: t} }

func (s *guardStore) spoil() {
	for i := range s.lent {
		s.lent[i] ^= 0x5a
	}
	s.lent = nil
}

func (s *guardStore) lend(b []byte) []byte {
	s.spoil()
	s.lent = bytes.Clone(b)
	return s.lent
}

func (s *guardStore) Get(key []byte) ([]byte, error) {
	b, err := s.MapStore.Get(key)
	if b == nil {
		s.spoil()
		return nil, err
	}
	return s.lend(b), err
}

func (s *guardStore) write(b []byte) {
	if s.open {
		s.t.Fatal("a write beside an open iterator")
	}
	s.spoil()
	s.kept = append(s.kept, keptSlice{b, maphash.Bytes(hashSeed, b)})
}

func (s *guardStore) Set(key, value []byte) error {
	s.writes++
	s.write(key)
	s.write(value)
	if len(value) == 0 {
		s.t.Fatalf("an empty value under %q", key)
	}
	return s.MapStore.Set(key, value)
}

func (s *guardStore) Delete(key []byte) error {
	s.writes++
	s.write(key)
	return s.MapStore.Delete(key)
}

func (s *guardStore) Iterate(prefix []byte) Iterator {
	if s.open {
		s.t.Fatal("two iterators at once")
	}
	s.open = true
	return &guardIterator{Iterator: s.MapStore.Iterate(prefix), s: s}
}

type guardIterator struct {
	Iterator
	s    *guardStore
	last []byte
}

func (i *guardIterator) Seek(key []byte) {
	if i.last != nil && bytes.Compare(key, i.last) < 0 {
		i.s.t.Fatalf("seek backwards from %q to %q", i.last, key)
	}
	i.last = bytes.Clone(key)
	i.s.spoil()
	i.Iterator.Seek(key)
}

func (i *guardIterator) Next() {
	i.last = bytes.Clone(i.Iterator.Key())
	i.s.spoil()
	i.Iterator.Next()
}

func (i *guardIterator) Value() ([]byte, error) {
	b, err := i.Iterator.Value()
	return i.s.lend(b), err
}

func (i *guardIterator) Close() { i.s.open = false; i.s.spoil() }

// apply runs a command with a small batch and checks that a refusal has written nothing, and that
// no iterator was left open.
func (s *guardStore) apply(batch int, index uint64, cmd *metapb.Command) *metapb.Result {
	s.t.Helper()
	s.writes = 0
	a := applier{s: s, group: 1, index: index, cmd: cmd, batch: batch, record: maxPartBytes}
	if batch < releaseBatch {
		a.record = 100 * batch // about as many parts in one record
	}
	res, err := a.apply()
	if err != nil {
		s.t.Fatalf("apply %d %v: %v", index, cmd, err)
	}
	if s.open {
		s.t.Fatalf("%v left an iterator open", cmd)
	}
	if res.Kind != 0 && s.writes > 0 && cmd.GetCloseBucket() == nil {
		s.t.Fatalf("%v was refused (%s) after %d writes", cmd, res.Message, s.writes)
	}
	return res
}

func (s *guardStore) checkKept() {
	for _, k := range s.kept {
		if maphash.Bytes(hashSeed, k.b) != k.sum {
			s.t.Fatalf("a slice given to the store was changed: %q", k.b)
		}
	}
	s.kept = s.kept[:0]
}
