package replica

import (
	"context"
	"maps"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"holdfast/internal/id"
)

// groupView is what a leader knows of its group.
type groupView struct {
	group           uint32
	drive           id.Drive
	leader          uint64
	term, commit    uint64
	applied, last   uint64
	config          *groupConfig
	progress        map[uint64]tracker.Progress
	active, lost    map[uint64]bool // were heard of lately; told that they are lost
	pendingProposal int
}

// caughtUpEntries is how many entries a learner may lack when it becomes a voter: it gets them
// while it is one already.
const caughtUpEntries = 256

func (v *groupView) caughtUp(raftID uint64) bool {
	p, ok := v.progress[raftID]
	return ok && p.State == tracker.StateReplicate && v.active[raftID] && p.Match+caughtUpEntries >= v.commit && p.Match > 0
}

// lookAt asks a group's leader how things stand.
func (h *Host) lookAt(ctx context.Context, group uint32) (*groupView, error) {
	lead := h.leader(group)
	if lead == nil {
		return nil, ErrNotLeader
	}
	v, ok := onLoop(ctx, lead.l, func(l *loop) *groupView { return l.look(group) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !ok || v == nil {
		return nil, ErrNotLeader
	}
	return v, nil
}

func (l *loop) look(group uint32) *groupView {
	r := l.replicas[group]
	if r == nil || !r.leads() {
		return nil
	}
	v := &groupView{
		active: map[uint64]bool{}, lost: maps.Clone(r.lost),
		group: group, drive: l.drive.ID, leader: r.id, term: r.hard.term, commit: r.hard.commit, applied: r.applied.Load(),
		last: r.st.last(), config: r.config, progress: map[uint64]tracker.Progress{},
		pendingProposal: len(r.awaiting),
	}
	for raftID := range r.config.members {
		v.active[raftID] = l.active(r, raftID)
	}
	r.node.WithProgress(func(raftID uint64, _ raft.ProgressType, p tracker.Progress) { v.progress[raftID] = p })
	return v
}
