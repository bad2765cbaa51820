package replica

import (
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/node/drive/log"
)

// found is what a raft log says of one group's replica.
type found struct {
	raftID  uint64
	st      storage
	config  []byte // at the base
	hard    hardState
	started bool // there is more than the initial section
	// floating: the section with the base was cut off. The entries that are left begin at or
	// before what the KV has applied, or they would not have been cut, and the base follows from that.
	floating bool
}

// recovery gathers what a drive's log says while it is replayed.
type recovery struct {
	groups map[uint32]*found
	dead   map[uint32]deadReplica
	// newest is, by group, what the KV has: entries up to its applied index need no memory.
	newest map[uint32]*kvState
	cache  int
}

func (r *recovery) record(pos log.Pos, kind uint8, payload []byte) error {
	if kind != kindSections {
		return fmt.Errorf("%w: kind %d at %s", errRecord, kind, pos)
	}
	return decodeRecord(payload, func(s *section) error { return r.section(pos, s) })
}

func (r *recovery) section(pos log.Pos, s *section) error {
	if s.flags&isDead != 0 {
		if s.raftID >= r.dead[s.group].raftID {
			r.dead[s.group] = deadReplica{s.raftID, s.flags&isLost != 0}
		}
		if g := r.groups[s.group]; g != nil && g.raftID <= s.raftID {
			delete(r.groups, s.group)
		}
		return nil
	}
	if s.raftID <= r.dead[s.group].raftID {
		return nil // written before it was dropped, carried behind by a rewrite
	}
	g := r.groups[s.group]
	if s.flags&hasBase != 0 {
		if g == nil || g.raftID != s.raftID {
			g = &found{raftID: s.raftID}
			r.groups[s.group] = g
		} else {
			g.started = true
		}
		g.floating = false
		g.st.reset(s.base)
		g.st.cacheLimit = r.cache
		g.config = slices.Clone(s.config)
	}
	if g == nil {
		g = &found{raftID: s.raftID, floating: true, started: true}
		g.st.cacheLimit = r.cache
		r.groups[s.group] = g
	}
	if g.raftID != s.raftID {
		return fmt.Errorf("%w: group %d: raft ID %d begins without a base at %s", errRecord, s.group, s.raftID, pos)
	}
	if s.flags&hasHard != 0 {
		g.hard, g.st.hardPos = s.hard, pos
	}
	if len(s.entries) > 0 {
		g.started = true
		return r.entries(g, pos, s)
	}
	if s.hard.term > initialTerm {
		g.started = true
	}
	return nil
}

func (r *recovery) entries(g *found, pos log.Pos, s *section) error {
	var applied uint64
	if kv := r.newest[s.group]; kv != nil && kv.raftID == s.raftID {
		applied = kv.applied.index
	}
	entries := make([]*pb.Entry, len(s.entries))
	for i, e := range s.entries {
		var data []byte
		if e.id.index > applied { // will be applied: keep it if there is room
			data = slices.Clone(e.data)
		}
		entries[i] = newEntry(e.typ, e.id, data)
	}
	if first := s.entries[0].id.index; g.floating && (len(g.st.refs) == 0 || first <= g.st.base.index) {
		g.st.reset(entryID{index: first - 1}) // of unknown term; merge moves it
	}
	if err := g.st.append(entries); err != nil {
		return fmt.Errorf("%w: group %d at %s: %w", errRecord, s.group, pos, err)
	}
	for i, e := range s.entries {
		g.st.ref(e.id.index).size = uint32(len(e.data))
		g.st.placed(e.id, pos, e.offset)
		if e.id.index <= applied {
			entries[i] = nil
		}
	}
	g.st.dropHollow(applied)
	g.st.shrink()
	return nil
}

// dropHollow forgets cached entries up to index, whose data were not kept.
func (s *storage) dropHollow(index uint64) {
	for len(s.cache) > 0 && s.cacheFirst() <= index {
		s.cacheBytes -= len(s.cache[0].GetData())
		s.cache = s.cache[1:]
	}
}

// initialTerm is the term of the base of a new group.
const initialTerm = 1

// errLost: the log and the KV do not fit together any more; the replica must not vote again.
var errLost = errors.New("replica: log or state lost")

// merge joins what the log and the KV say into where the replica stands. st is what the KV holds
// or, for a replica whose KV state was never flushed, the base of its log.
func (g *found) merge(kv *kvState) (*kvState, error) {
	st := kv
	if st == nil || st.raftID != g.raftID {
		if g.floating {
			return nil, fmt.Errorf("%w: the log was cut and the KV has no state", errLost)
		}
		config, err := decodeConfig(g.config)
		if err != nil {
			return nil, err
		}
		if g.st.base.index > 1 {
			return nil, fmt.Errorf("%w: the log begins behind %d and the KV has no state", errLost, g.st.base.index)
		}
		st = &kvState{raftID: g.raftID, applied: g.st.base, config: config}
	}
	if g.floating && len(g.st.refs) == 0 {
		g.st.reset(st.applied)
	}
	if st.applied.index < g.st.base.index {
		return nil, fmt.Errorf("%w: applied %d, the log begins behind %d", errLost, st.applied.index, g.st.base.index)
	}
	if g.floating && st.applied.index == g.st.base.index {
		g.st.base.term = st.applied.term
	}
	switch term, err := g.st.Term(st.applied.index); {
	case err == nil && term == st.applied.term:
	case st.applied.index == st.installed: // the record of the newest snapshot is not in the log
		g.st.reset(st.applied)
		if g.hard.term < st.applied.term { // nor the term in which it came, so it has not voted in it
			g.hard.term, g.hard.vote = st.applied.term, 0
		}
	default:
		return nil, fmt.Errorf("%w: applied %d of term %d, the log ends at %d", errLost, st.applied.index, st.applied.term, g.st.last())
	}
	if g.floating && g.st.base.index < st.applied.index {
		g.st.compact(st.applied.index) // whose term is known
	}
	if last, _ := g.st.Term(g.st.last()); g.hard.term < last {
		return nil, fmt.Errorf("%w: term %d, but the last entry is of term %d", errLost, g.hard.term, last)
	}
	// The commit index is persisted lazily.
	g.hard.commit = min(max(g.hard.commit, st.applied.index), g.st.last())
	return st, nil
}
