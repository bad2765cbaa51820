package replica

import (
	"context"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Resign hands the groups that are led here over to members in other processes, so that a host that is
// about to close costs its groups no election. It returns when they are led elsewhere or have nobody to
// go to, or when ctx ends: what is left then is found out by timeouts, as after a crash.
func (h *Host) Resign(ctx context.Context) {
	poll := time.NewTicker(h.cfg.Tick)
	defer poll.Stop()
	for {
		left := 0
		for _, l := range h.here() {
			n, _ := onLoop(ctx, l, (*loop).resign)
			left += n
		}
		if left == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// resign asks the best member elsewhere to lead, for each group that is led here; it returns how many
// have one.
func (l *loop) resign() (n int) {
	for _, r := range l.replicas {
		if !r.leads() {
			continue
		}
		var best, match uint64
		r.node.WithProgress(func(raftID uint64, _ raft.ProgressType, p tracker.Progress) {
			elsewhere := l.host.loopOf(r.config.members[raftID]) == nil
			if elsewhere && r.config.isVoter(raftID) && l.active(r, raftID) && p.State == tracker.StateReplicate && p.Match >= match {
				best, match = raftID, p.Match
			}
		})
		if best == 0 {
			continue
		}
		n++
		r.node.TransferLeader(best) // nothing, if it is under way to that one
		l.touch(r)
	}
	l.drain()
	return n
}
