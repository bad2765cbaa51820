package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/node/drive/log"
)

// storage is raft.Storage for one replica: where each entry is in the drive's log, and the newest
// entries themselves. It belongs to the loop. It shows entries from the moment they are handed
// to the log, which is safe as raft looks at its own unstable tail first.
type storage struct {
	log   Log
	hard  hardState
	conf  *pb.ConfState // for InitialState only
	base  entryID       // the entry before the first
	refs  []entryRef    // of base.index+1 and so on
	cache []*pb.Entry   // the last entries
	// cacheBytes and cacheLimit bound the data in cache.
	cacheBytes int
	cacheLimit int

	hardPos log.Pos // the last record that holds the hard state
	bytes   int64   // of data in refs

	snapshot func() (*pb.Snapshot, error)
	scratch  []byte // for reading old records
}

// entryRef is where an entry is. pos is zero until the log has said where.
type entryRef struct {
	pos    log.Pos
	term   uint64
	offset uint32
	size   uint32
	typ    uint8
}

func (s *storage) last() uint64 { return s.base.index + uint64(len(s.refs)) }

func (s *storage) ref(index uint64) *entryRef { return &s.refs[index-s.base.index-1] }

// cached is the entry at index if it is in memory.
func (s *storage) cacheFirst() uint64 { return s.last() + 1 - uint64(len(s.cache)) }

// append adds entries, replacing those from the first new index on.
func (s *storage) append(entries []*pb.Entry) error {
	first := entries[0].GetIndex()
	if first > s.last()+1 || first <= s.base.index {
		return fmt.Errorf("replica: entry %d does not follow %d (base %d)", first, s.last(), s.base.index)
	}
	s.truncate(first)
	for _, e := range entries {
		size := len(e.GetData())
		s.refs = append(s.refs, entryRef{term: e.GetTerm(), size: uint32(size), typ: uint8(e.GetType())})
		s.cache = append(s.cache, e)
		s.cacheBytes += size
		s.bytes += int64(size)
	}
	s.shrink()
	return nil
}

// truncate forgets the entries from index on.
func (s *storage) truncate(index uint64) {
	for s.last() >= index {
		n := len(s.refs) - 1
		s.bytes -= int64(s.refs[n].size)
		s.refs = s.refs[:n]
		if c := len(s.cache) - 1; c >= 0 {
			s.cacheBytes -= len(s.cache[c].GetData())
			s.cache[c] = nil
			s.cache = s.cache[:c]
		}
	}
}

// shrink drops the oldest cached entries above the limit, if the log has them already.
func (s *storage) shrink() {
	drop := 0
	for s.cacheBytes > s.cacheLimit && drop < len(s.cache)-1 {
		if s.ref(s.cacheFirst() + uint64(drop)).pos.IsZero() {
			break
		}
		s.cacheBytes -= len(s.cache[drop].GetData())
		s.cache[drop] = nil
		drop++
	}
	s.cache = s.cache[drop:]
}

// placed notes where an entry was written, if it is still the one of that term.
func (s *storage) placed(e entryID, pos log.Pos, offset uint32) {
	if e.index <= s.base.index || e.index > s.last() {
		return
	}
	if r := s.ref(e.index); r.term == e.term {
		r.pos, r.offset = pos, offset
	}
}

// compact forgets the entries up to index.
func (s *storage) compact(index uint64) {
	if index <= s.base.index {
		return
	}
	n := index - s.base.index
	s.base = entryID{index, s.refs[n-1].term}
	for _, r := range s.refs[:n] {
		s.bytes -= int64(r.size)
	}
	if over := len(s.cache) - (len(s.refs) - int(n)); over > 0 {
		for i := range over {
			s.cacheBytes -= len(s.cache[i].GetData())
			s.cache[i] = nil
		}
		s.cache = s.cache[over:]
	}
	s.refs = append([]entryRef(nil), s.refs[n:]...)
}

// reset empties the log; it begins behind base.
func (s *storage) reset(base entryID) {
	s.base, s.refs, s.cache, s.cacheBytes, s.bytes = base, nil, nil, 0, 0
}

// oldest is the position that must stay in the log for this replica.
func (s *storage) oldest() log.Pos {
	oldest := s.hardPos
	if len(s.refs) > 0 && !s.refs[0].pos.IsZero() && s.refs[0].pos.Less(oldest) {
		oldest = s.refs[0].pos
	}
	return oldest
}

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return &pb.HardState{Term: new(s.hard.term), Vote: new(s.hard.vote), Commit: new(s.hard.commit)}, s.conf, nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if lo <= s.base.index {
		return nil, raft.ErrCompacted
	}
	if hi > s.last()+1 {
		return nil, raft.ErrUnavailable
	}
	var out []*pb.Entry
	var size uint64
	full := func(e *pb.Entry) bool {
		size += uint64(entrySize(e))
		if size > maxSize && len(out) > 0 {
			return true
		}
		out = append(out, e)
		return false
	}
	for lo < min(hi, s.cacheFirst()) {
		old, err := s.read(lo, min(hi, s.cacheFirst()))
		if err != nil {
			return nil, err
		}
		for _, e := range old {
			if full(e) {
				return out, nil
			}
		}
		lo += uint64(len(old))
	}
	if out == nil && lo < hi {
		out = make([]*pb.Entry, 0, min(hi-lo, 64))
	}
	for ; lo < hi; lo++ {
		if full(s.cache[lo-s.cacheFirst()]) {
			return out, nil
		}
	}
	return out, nil
}

// read fetches the entries from lo up to hi that lie in the same record as lo. This is the one
// place where a loop waits for a disk: for a follower that is far behind, and after a restart.
func (s *storage) read(lo, hi uint64) ([]*pb.Entry, error) {
	pos := s.ref(lo).pos
	kind, payload, err := s.log.Read(pos, s.scratch)
	if err != nil {
		return nil, fmt.Errorf("replica: read entry %d: %w", lo, err)
	}
	s.scratch = payload[:0]
	if kind != kindSections {
		return nil, fmt.Errorf("%w: kind %d at %s", errRecord, kind, pos)
	}
	if cap(s.scratch) > maxRecordBytes/4 {
		s.scratch = nil
	}
	var out []*pb.Entry
	for i := lo; i < hi && s.ref(i).pos == pos; i++ {
		r := s.ref(i)
		if int(r.offset)+int(r.size) > len(payload) {
			return nil, fmt.Errorf("%w: entry %d at %s", errRecord, i, pos)
		}
		out = append(out, newEntry(pb.EntryType(r.typ), entryID{i, r.term}, append([]byte(nil), payload[r.offset:r.offset+r.size]...)))
	}
	return out, nil
}

// newEntry keeps nil data nil, as raft's own entries have it.
func newEntry(typ pb.EntryType, at entryID, data []byte) *pb.Entry {
	e := &pb.Entry{Term: new(at.term), Index: new(at.index), Data: data}
	if typ != pb.EntryNormal {
		e.Type = typ.Enum()
	}
	return e
}

// entrySize is what raft counts: about the size of the entry on the wire.
func entrySize(e *pb.Entry) int { return len(e.GetData()) + 24 }

// Term implements raft.Storage.
func (s *storage) Term(index uint64) (uint64, error) {
	switch {
	case index < s.base.index:
		return 0, raft.ErrCompacted
	case index == s.base.index:
		return s.base.term, nil
	case index > s.last():
		return 0, raft.ErrUnavailable
	}
	return s.ref(index).term, nil
}

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.last(), nil }

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.base.index + 1, nil }

// Snapshot implements raft.Storage.
func (s *storage) Snapshot() (*pb.Snapshot, error) { return s.snapshot() }
