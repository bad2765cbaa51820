package replica

import (
	"go.etcd.io/raft/v3"

	"holdfast/internal/id"
)

// hint is whom a replica here follows.
type hint struct {
	by    *loop
	term  uint64
	drive id.Drive
}

// LeaderHint is the drive, here or elsewhere, that the replicas here believe leads the group; false
// if none of them knows a leader. It may be out of date.
func (h *Host) LeaderHint(group uint32) (id.Drive, bool) {
	if int(group) >= len(h.groups) {
		return id.Drive{}, false
	}
	if lead := h.leader(group); lead != nil {
		return lead.l.drive.ID, true
	}
	return h.groups[group].hinted()
}

// hinted is the hint of the newest term.
func (g *groupState) hinted() (drive id.Drive, ok bool) {
	hints := g.hints.Load()
	if hints == nil {
		return drive, false
	}
	var term uint64
	for _, known := range *hints {
		if known.term >= term {
			drive, term, ok = known.drive, known.term, true
		}
	}
	return drive, ok
}

// hint notes whom a replica follows; the zero drive: nobody.
func (h *Host) hint(l *loop, r *replica, drive id.Drive) {
	g := &h.groups[r.group]
	h.mu.Lock()
	defer h.mu.Unlock()
	before, _ := g.hinted()
	var next []hint
	if old := g.hints.Load(); old != nil {
		for _, known := range *old {
			if known.by != l {
				next = append(next, known)
			}
		}
	}
	if !drive.IsZero() {
		next = append(next, hint{l, r.hard.term, drive})
	}
	g.hints.Store(&next)
	if after, _ := g.hinted(); after != before {
		h.wake()
	}
}

// driveOf is where a raft ID writes from, as far as the replica knows.
func (r *replica) driveOf(raftID uint64) (id.Drive, bool) {
	if raftID == raft.None {
		return id.Drive{}, false
	}
	drive, ok := r.config.members[raftID]
	if !ok {
		drive, ok = r.peers[raftID]
	}
	return drive, ok
}

// Suspect says that drives are probably gone, as gossip may have found out before raft does. Replicas
// that follow a leader on one of them campaign early, by rank, unless they hear from it after
// all. A wrong hint costs at most an election: PreVote and CheckQuorum decide.
func (h *Host) Suspect(drives []id.Drive) {
	out := make(map[id.Drive]bool, len(drives))
	for _, d := range drives {
		out[d] = true
	}
	for _, l := range h.here() {
		l.in.call(func(l *loop) {
			for _, r := range l.replicas {
				if drive, ok := r.driveOf(r.lead); ok && out[drive] && !r.leads() {
					r.suspects = out
				}
			}
		})
	}
}

// abandon has all other loops forget leaders on the drive of one that ended.
func (h *Host) abandon(ended *loop) {
	out := map[id.Drive]bool{ended.drive.ID: true}
	for _, l := range h.here() {
		if l != ended {
			l.in.call(func(l *loop) {
				for _, r := range l.replicas {
					l.abandonLeader(r, out)
				}
			})
		}
	}
}

// abandonLeader forgets the leader if it is on a drive that is out, and plans a campaign.
func (l *loop) abandonLeader(r *replica, out map[id.Drive]bool) {
	drive, ok := r.driveOf(r.lead)
	if !ok || !out[drive] || r.leads() || r.node.ForgetLeader() != nil {
		return
	}
	l.campaignByRank(r, out)
	l.touch(r)
}

// checkSuspicion acts on Suspect once the leader has missed a heartbeat; until then it may be alive.
func (l *loop) checkSuspicion(r *replica) {
	if r.suspects != nil && l.tick-r.heardLeader > uint64(l.cfg.HeartbeatTicks) {
		l.abandonLeader(r, r.suspects)
		r.suspects = nil
	}
}
