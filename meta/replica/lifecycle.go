package replica

import (
	"holdfast/internal/id"

	pb "go.etcd.io/raft/v3/raftpb"
)

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
	l.host.hint(l, r, id.Drive{})
	r.abandon()
	for _, c := range r.confirmed {
		c.fail()
	}
	r.gone, r.state, r.confirmed = true, 0, nil
	if l.replicas[r.group] == r {
		delete(l.replicas, r.group)
		l.host.groups[r.group].replicas.Add(-1)
	}
}

// place puts a replica among those that run.
func (l *loop) place(r *replica) {
	l.replicas[r.group] = r
	l.host.groups[r.group].replicas.Add(1)
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
	l.host.damaged(l.drive.ID, err)
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
	// A heartbeat tells how much the leader believes that the learner has. Only one that has
	// acknowledged nothing may begin empty: else it has been here, and what it acknowledged is lost.
	if m.Raft.GetType() != pb.MsgHeartbeat || m.Raft.GetCommit() != 0 {
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
	l.place(r)
	l.cfg.Logger.Info("replica begun", "drive", l.drive.ID, "group", m.Group, "raft_id", to)
	l.write(r, &pb.Message{}, &entryID{})
	return r
}
