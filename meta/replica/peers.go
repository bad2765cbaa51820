package replica

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
)

// What a replica knows of those on other drives, here or elsewhere, by their messages.

// hears notes that a raft ID wrote.
func (r *replica) hears(from uint64, tick uint64) {
	r.heard = tick
	if from == r.lead {
		r.heardLeader, r.suspects = tick, nil
	}
	if r.leads() {
		r.heardFrom[from] = tick
	}
}

// beginLeading gives every member the benefit of the doubt.
func (r *replica) beginLeading(tick uint64) {
	r.lost, r.spared, r.leaving, r.unsettled = nil, nil, nil, unsettled{changed: true}
	r.ledFrom = tick
	r.heardFrom = make(map[uint64]uint64, len(r.config.members))
	for raftID := range r.config.members {
		r.heardFrom[raftID] = tick
	}
}

// active reports whether a leader heard of a member lately. Raft's own RecentActive is not it: that is
// cleared every ElectionTicks, and false until the next heartbeat is answered.
func (l *loop) active(r *replica, raftID uint64) bool {
	at, ok := r.heardFrom[raftID]
	return raftID == r.id || ok && l.tick-at <= 2*uint64(l.cfg.ElectionTicks)
}

// onLost notes what a member says of itself.
func (r *replica) onLost(m *Message) {
	from := m.Raft.GetFrom()
	if !r.leads() || r.config.members[from] != m.From {
		return
	}
	if r.lost == nil {
		r.lost = make(map[uint64]bool)
	}
	r.lost[from] = true
}

// answerLost tells a leader that the replica it writes to is not here and cannot come back: it is
// dead or stopped, or there is none although the leader sees it as one that votes or has entries.
func (l *loop) answerLost(m *Message) {
	switch m.Raft.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
	default:
		return
	}
	to := m.Raft.GetTo()
	acknowledged := m.Raft.GetType() == pb.MsgHeartbeat && m.Raft.GetCommit() > 0
	if l.halted[m.Group].raftID >= to || l.dead[m.Group].raftID >= to || !m.Learner || acknowledged {
		l.sayLost(m.Group, to, m.From, m.Raft.GetFrom())
	}
}

// confessLost tells leaders of replicas here that cannot read their state.
func (l *loop) confessLost() {
	for _, r := range l.replicas {
		if drive, ok := r.driveOf(r.lead); ok && !r.leads() && r.suspect.Load() != 0 {
			l.sayLost(r.group, r.id, drive, r.lead)
		}
	}
}

func (l *loop) sayLost(group uint32, lost uint64, to id.Drive, leader uint64) {
	l.out.add(Message{
		Group: group, From: l.drive.ID, To: to,
		Raft: &pb.Message{Type: pb.MsgUnreachable.Enum(), From: new(lost), To: new(leader)},
	})
}

// isFull reports whether a drive has reached its reserve.
func (l *loop) isFull(drive id.Drive) bool {
	if here := l.host.loopOf(drive); here != nil {
		return here.full.Load()
	}
	return l.cfg.Full != nil && l.cfg.Full(drive)
}
