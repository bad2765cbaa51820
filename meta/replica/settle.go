package replica

import (
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// jointTicks is how long a leader leaves it to raft to get its group out of a joint
	// configuration. Raft proposes that when it applies an entry; if it was dropped then, because
	// leadership was about to be handed over, and no other entry comes, nobody would.
	jointTicks = 10
	// learnerTicks is how long a learner may stay that no move cares about any more: longer
	// than it takes to call an interrupted MoveReplica again.
	learnerTicks = 1200
)

// unsettled is since when a leader sees its group's members in between; 0 = it does not.
type unsettled struct{ joint, learner uint64 }

// settleMembers ends, at the leader, what an interrupted change of members left.
func (l *loop) settleMembers(r *replica) {
	if !r.leads() {
		return
	}
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
