package replica

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"holdfast/internal/id"
)

const (
	// jointTicks is how long a leader leaves it to raft to get its group out of a joint
	// configuration. Raft proposes that when it applies an entry; if it was dropped then, because
	// leadership was about to be handed over, and no other entry comes, nobody would.
	jointTicks = 10
	// learnerTicks is how long a learner may stay that no move cares about any more: longer
	// than it takes to call an interrupted MoveReplica again.
	learnerTicks = 300
)

// unsettled is what a leader remembers of changes of members.
type unsettled struct {
	joint, learner uint64 // ticks since when there are such; 0 = there are none
	changed        bool   // since the last look
	// spread is the index of the first entry that cannot reach a follower without the news that the
	// present configuration is in force: it is appended after that was so.
	spread uint64
}

// noteRemoved remembers who left by a change of configuration.
func (r *replica) noteRemoved(old *groupConfig) {
	r.unsettled.changed = true
	for raftID, drive := range old.members {
		if !r.config.has(raftID) {
			r.removed(raftID, drive)
		}
	}
}

// removed has a replica told that it left, when that may be.
func (r *replica) removed(raftID uint64, drive id.Drive) {
	if !r.leads() {
		return
	}
	if r.leaving == nil {
		r.leaving = make(map[uint64]id.Drive)
	}
	r.leaving[raftID] = drive
}

// dismiss tells replicas that left the group so, upon which they drop themselves. Until a majority of
// the voters knows that the present configuration is in force, they are kept: should the leader
// vanish, those who do not know need the votes of the old members to learn it.
func (l *loop) dismiss(r *replica) {
	if r.unsettled.changed {
		l.drain() // everything that was appended before is in r.st
		r.unsettled.changed, r.unsettled.spread = false, r.st.last()+1
	}
	if len(r.leaving) == 0 || r.config.joint() || !r.leads() {
		return
	}
	if r.st.last() < r.unsettled.spread {
		_ = r.node.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: new(r.id), Entries: []*pb.Entry{{}}})
		l.touch(r)
		return
	}
	know := 0
	r.node.WithProgress(func(raftID uint64, _ raft.ProgressType, p tracker.Progress) {
		if slices.Contains(r.config.conf.Voters, raftID) && p.Match >= r.unsettled.spread {
			know++
		}
	})
	if know <= len(r.config.conf.Voters)/2 {
		return
	}
	for raftID, drive := range r.leaving {
		l.out.add(Message{Group: r.group, From: l.drive.ID, To: drive, Gone: raftID})
	}
	clear(r.leaving) // should the message get lost, they will ask
}

// settleMembers ends, at the leader, what an interrupted change of members left.
func (l *loop) settleMembers(r *replica) {
	if !r.leads() {
		return
	}
	l.dismiss(r)
	now, since := l.tick, &r.unsettled
	switch {
	case !r.config.joint():
		since.joint = 0
	case since.joint == 0:
		since.joint = now
	case now-since.joint >= jointTicks:
		since.joint = now
		l.leaveJoint(r)
	}
	switch {
	case len(r.config.conf.Learners) == 0:
		since.learner = 0
	case since.learner == 0 || len(l.host.groups[r.group].moving) > 0:
		since.learner = now
	case now-since.learner >= learnerTicks:
		since.learner = now
		learner := r.config.conf.Learners[0]
		l.cfg.Logger.Warn("a learner that nobody needs is removed", "group", r.group, "raft_id", learner, "drive", r.config.members[learner])
		p := newProposal(r.group, nil)
		p.conf = &pb.ConfChangeV2{Transition: pb.ConfChangeTransitionAuto.Enum(), Changes: change(pb.ConfChangeRemoveNode, learner)}
		l.proposeChange(p)
	}
}

// leaveJoint proposes what raft itself proposes: raft refuses it while another change is on its way.
func (l *loop) leaveJoint(r *replica) {
	l.cfg.Logger.Info("leaving a joint configuration", "drive", l.drive.ID, "group", r.group)
	_ = r.node.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: new(r.id), Entries: []*pb.Entry{{Type: pb.EntryConfChangeV2.Enum()}}})
	l.touch(r)
}
