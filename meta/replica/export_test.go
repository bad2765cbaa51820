package replica

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
)

// SwapThenTransfer proposes, at the leader, to put the learner on one drive into the place of the voter on
// another, and in the same breath to hand over to a third.
func (h *Host) SwapThenTransfer(group uint32, in, out, to id.Drive) bool {
	lead := h.leader(group)
	if lead == nil {
		return false
	}
	done, _ := onLoop(h.life, lead.l, func(l *loop) bool {
		r := l.replicas[group]
		p := newProposal(group, nil)
		p.conf = &pb.ConfChangeV2{
			Transition: pb.ConfChangeTransitionAuto.Enum(),
			Changes: slices.Concat(change(pb.ConfChangeAddNode, r.config.learnerOn(in)),
				change(pb.ConfChangeRemoveNode, r.config.voterOn(out))),
		}
		l.proposeChange(p)
		r.node.TransferLeader(r.config.voterOn(to))
		l.touch(r)
		return true
	})
	return done
}

// RemoveDriveAtOnce is RemoveDrive without the attempt to hand over.
func (h *Host) RemoveDriveAtOnce(drive id.Drive) error { return h.remove(drive, func(*loop) {}) }

// TransferTo has the leader hand over to the member on a drive.
func (h *Host) TransferTo(group uint32, drive id.Drive) {
	if lead := h.leader(group); lead != nil {
		lead.l.in.call(func(l *loop) {
			if r := l.replicas[group]; r != nil {
				r.node.TransferLeader(r.config.voterOn(drive))
				l.touch(r)
			}
		})
	}
}
