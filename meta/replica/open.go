package replica

import (
	"errors"
	"fmt"
	"slices"

	"holdfast/node/drive/log"
)

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
	return states, rangeIDs(txn), txn.Err()
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
	l.place(r)
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
