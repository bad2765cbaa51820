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
	dropped bool
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

// opening is a drive between the replay of its log and the making of its replicas.
type opening struct {
	l      *loop
	rec    *recovery
	kv     map[uint32]*kvState
	ranges []uint64
}

// openDrive reads what a drive has.
func openDrive(h *Host, d DriveHandle) (*opening, error) {
	l := newLoop(h, d)
	kv, ranges, err := readKV(d.KV, h.cfg.Groups)
	if err != nil {
		return nil, fmt.Errorf("replica: drive %s: read state: %w", d.ID, err)
	}
	rec := &recovery{groups: map[uint32]*found{}, dead: map[uint32]deadReplica{}, newest: kv, cache: h.cfg.CacheBytes}
	if l.log, err = d.OpenLog(rec.record); err != nil {
		if l.log, err = l.replaceLog(rec, err); err != nil {
			return nil, err
		}
	}
	for group, d := range rec.dead {
		if d.raftID > l.dead[group].raftID {
			l.dead[group] = d
		}
	}
	return &opening{l, rec, kv, ranges}, nil
}

// started reports whether the drive has more than the beginnings of groups.
func (o *opening) started() bool {
	for _, g := range o.rec.groups {
		if g.started {
			return true
		}
	}
	return len(o.l.dead) > 0 || len(o.kv) > 0
}

// restore makes the replicas.
func (o *opening) restore() {
	l := o.l
	for _, rangeID := range o.ranges {
		l.nextRange.Store(max(l.nextRange.Load(), rangeID))
	}
	for _, st := range o.kv {
		l.nextRange.Store(max(l.nextRange.Load(), st.rangeID))
	}
	for group, g := range o.rec.groups {
		st, err := g.merge(o.kv[group])
		if err == nil {
			err = l.restore(group, g, st)
		}
		if err != nil {
			l.giveUp(group, g.raftID, err)
		}
	}
	owned := map[uint64]bool{}
	for _, r := range l.replicas {
		owned[r.rangeID.Load()] = true
	}
	for group, st := range o.kv {
		if r := l.replicas[group]; r != nil && r.id >= st.raftID {
			continue
		}
		if d := l.dead[group]; d.raftID >= st.raftID && !d.lost {
			l.bury(group, st.raftID) // the KV had not flushed that it was dropped
			continue
		}
		owned[st.rangeID] = true
		l.giveUp(group, st.raftID, fmt.Errorf("%w: there is no log of the replica", errLost))
	}
	l.orphans = slices.DeleteFunc(o.ranges, func(r uint64) bool { return owned[r] })
}

// giveUp notes a replica that must not vote again because it may have forgotten what it promised.
// What the KV has of it stays until a new replica takes its place: it is the last resort of people.
func (l *loop) giveUp(group uint32, raftID uint64, err error) {
	l.cfg.Logger.Error("replica lost", "drive", l.drive.ID, "group", group, "raft_id", raftID, "error", err)
	l.halted[group] = haltedReplica{max(raftID, l.halted[group].raftID), err}
	l.writeDead(group, raftID, true)
}

// replaceLog begins a new log in the place of a damaged one. All replicas on the drive are dead:
// what they voted for cannot be told any more.
func (l *loop) replaceLog(rec *recovery, cause error) (Log, error) {
	d := l.drive
	if d.ResetLog == nil || !errors.Is(cause, log.ErrDamaged) {
		return nil, fmt.Errorf("replica: drive %s: open raft log: %w", d.ID, cause)
	}
	l.cfg.Logger.Error("raft log damaged: its replicas are given up", "drive", d.ID, "error", cause)
	if err := d.ResetLog(); err != nil {
		return nil, fmt.Errorf("replica: drive %s: reset raft log: %w", d.ID, err)
	}
	for group, g := range rec.groups {
		if kv := rec.newest[group]; kv == nil || kv.raftID < g.raftID {
			l.giveUp(group, g.raftID, cause)
		}
	}
	for group, d := range rec.dead {
		if d.raftID > l.dead[group].raftID {
			l.writeDead(group, d.raftID, d.lost)
		}
	}
	rec.groups, rec.dead = map[uint32]*found{}, map[uint32]deadReplica{}
	return d.OpenLog(rec.record)
}

func readKV(kv KV, groups uint32) (map[uint32]*kvState, []uint64, error) {
	txn := kv.Begin(false)
	defer txn.Discard()
	states := map[uint32]*kvState{}
	for group := range groups + 1 {
		st, err := loadState(txn, group)
		if err != nil {
			return nil, nil, err
		}
		if st != nil {
			states[group] = st
		}
	}
	return states, rangeIDs(txn), nil
}

// restore makes the replica.
func (l *loop) restore(group uint32, g *found, st *kvState) error {
	r := &replica{group: group, id: g.raftID, st: &g.st, hard: g.hard, kept: g.hard, config: st.config, baseConfig: g.config}
	r.st.log, r.st.snapshot = l.log, r.makeSnapshot
	r.applied.Store(st.applied.index)
	r.stepped, r.installed = st.applied.index, st.installed
	if st.rangeID == 0 {
		st.rangeID = l.newRange()
		if err := l.storeState(group, *st); err != nil {
			return err
		}
	}
	r.rangeID.Store(st.rangeID)
	if err := r.newNode(l.cfg, st.applied.index); err != nil {
		return err
	}
	l.replicas[group] = r
	l.touch(r)
	return nil
}

func (l *loop) storeState(group uint32, st kvState) error {
	txn := l.drive.KV.Begin(true)
	defer txn.Discard()
	if err := saveState(txn, group, st); err != nil {
		return err
	}
	return txn.Commit()
}

// writeDead notes in the log that a raft ID must not come back on this drive.
func (l *loop) writeDead(group uint32, raftID uint64, lost bool) {
	if raftID >= l.dead[group].raftID {
		l.dead[group] = deadReplica{raftID, lost}
	}
	l.deadPos = 0
	l.dead[group].write(&l.current().record, group)
}

func (d deadReplica) write(w *recordWriter, group uint32) {
	s := section{flags: isDead, group: group, raftID: d.raftID}
	if d.lost {
		s.flags |= isLost
	}
	w.begin(&s, 0)
}

// bury does that, and has the KV forget the replica.
func (l *loop) bury(group uint32, raftID uint64) {
	l.writeDead(group, raftID, false)
	l.apply.push(applyJob{r: &replica{group: group, id: raftID}, drop: true})
}

// drop ends a replica on this drive for good.
func (l *loop) drop(r *replica, why string) {
	l.cfg.Logger.Info("replica dropped", "drive", l.drive.ID, "group", r.group, "raft_id", r.id, "why", why)
	l.silence(r)
	l.bury(r.group, r.id)
}

// silence takes a replica out of all that goes on; its data stay.
func (l *loop) silence(r *replica) {
	if r.leads() {
		l.host.resigns(l, r)
	}
	r.abandon()
	for _, c := range r.confirmed {
		c.fail()
	}
	r.gone, r.state, r.confirmed = true, 0, nil
	delete(l.replicas, r.group)
}

func (c *confirmedReads) fail() {
	for _, q := range c.reads {
		q.finish(readOutcome{err: ErrReadLost})
	}
}

// halt stops a replica whose state machine found damage. It votes no more, until a new one takes
// its place; its data stay, as the fault may be ours.
func (l *loop) halt(r *replica, err error) {
	l.silence(r)
	l.halted[r.group] = haltedReplica{r.id, err}
}

type haltedReplica struct {
	raftID uint64
	err    error
}

// forget deletes what the KV says of a dropped replica, unless that is of a newer one already.
func (a *applier) forget(r *replica) error {
	txn := a.kv.Begin(true)
	defer txn.Discard()
	st, err := loadState(txn, r.group)
	if err != nil || st == nil || st.raftID > r.id {
		return err
	}
	for _, key := range [][]byte{configKey(r.group), appliedKey(r.group)} {
		if err := txn.Delete(key); err != nil {
			return err
		}
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	a.l.sweep(st.rangeID)
	return nil
}

// begin makes an empty replica for a message, if it is from a leader to its new learner. old is
// the replica with a lower raft ID that is here still.
func (l *loop) begin(m *Message, old *replica) *replica {
	to := m.Raft.GetTo()
	switch m.Raft.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
	default:
		return nil
	}
	if !m.Learner || to <= l.dead[m.Group].raftID || m.Group > l.cfg.Groups {
		return nil
	}
	if old != nil {
		l.drop(old, "a new replica takes its place")
	}
	if h, ok := l.halted[m.Group]; ok {
		delete(l.halted, m.Group)
		l.bury(m.Group, h.raftID)
	}
	r := &replica{group: m.Group, id: to, config: emptyConfig(), st: &storage{log: l.log, cacheLimit: l.cfg.CacheBytes}}
	r.st.snapshot = r.makeSnapshot
	if err := r.newNode(l.cfg, 0); err != nil {
		l.cfg.Logger.Error("replica not begun", "drive", l.drive.ID, "group", m.Group, "error", err)
		return nil
	}
	l.replicas[m.Group] = r
	l.cfg.Logger.Info("replica begun", "drive", l.drive.ID, "group", m.Group, "raft_id", to)
	l.write(r, &pb.Message{}, &entryID{})
	return r
}
