package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"holdfast/internal/id"
)

// GroupStatus is what the leader of a group says, and what the drives here do.
type GroupStatus struct {
	Group uint32
	// Leader is the zero ID if no drive here leads the group; the fields up to Members are unset then.
	Leader        id.Drive
	LeaderRaftID  uint64
	Term          uint64
	Commit, Last  uint64 // indexes
	Members       []MemberStatus
	Joint         bool            // the members are about to change
	Replicas      []ReplicaStatus // on the drives here
	PendingWrites int
}

// MemberStatus is what a leader knows of a member.
type MemberStatus struct {
	RaftID uint64
	Drive  id.Drive
	Voter  bool
	Match  uint64 // index up to which its log is known to agree
	Active bool   // was heard of lately
	Lost   bool   // said that it has lost its log or state, or cannot read it
	State  string // of replication: StateProbe, StateReplicate, StateSnapshot
}

// ReplicaStatus is what a drive here says of its replica.
type ReplicaStatus struct {
	Drive         id.Drive
	RaftID        uint64
	Leader        uint64 // raft ID that it follows, 0 = none
	Term          uint64
	Applied       uint64
	Flushed       uint64 // applied index that survives a power cut without the log
	First, Last   uint64 // indexes in its log
	LogBytes      int64  // of entry data that its log refers to
	Failed        string // why it stopped
	HasMembership bool   // false: has not got its first snapshot yet
	Suspect       bool   // it could not read its own state once
}

// DriveStatus is a drive's part in the groups.
type DriveStatus struct {
	Drive    id.Drive
	Out      string // why it has no part
	Replicas int
	Leads    int
	LogBytes int64
}

// Status is a picture of all groups and of this process's drives.
type Status struct {
	Groups []GroupStatus
	Drives []DriveStatus
}

// Status asks every loop.
func (h *Host) Status(ctx context.Context) Status {
	s := Status{Groups: make([]GroupStatus, len(h.groups))}
	for group := range s.Groups {
		s.Groups[group].Group = uint32(group)
	}
	h.mu.Lock()
	drives := slices.Clone(h.drives)
	h.mu.Unlock()
	for _, drive := range drives {
		ds := DriveStatus{Drive: drive}
		l := h.loopOf(drive)
		if err := h.endedWith(drive); err != nil {
			ds.Out = err.Error()
		} else if l == nil || !l.enter() {
			ds.Out = "the drive is being added or removed"
		} else {
			if r, ok := onLoop(ctx, l, (*loop).report); ok {
				ds = r.drive
				for group, found := range r.groups {
					s.Groups[group].merge(found)
				}
			}
			for _, seg := range l.log.Segments() {
				ds.LogBytes += seg.Bytes
			}
			l.leave()
		}
		s.Drives = append(s.Drives, ds)
	}
	return s
}

// merge adds what one drive says of a group.
func (g *GroupStatus) merge(found GroupStatus) {
	replicas := append(g.Replicas, found.Replicas...)
	if !found.Leader.IsZero() {
		*g = found
	}
	g.Replicas = replicas
}

func (h *Host) endedWith(drive id.Drive) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended[drive]
}

// onLoop runs f on a loop and waits for what it returns; false if the loop ended, or ctx.
func onLoop[T any](ctx context.Context, l *loop, f func(*loop) T) (T, bool) {
	var none T
	done := make(chan T, 1)
	if !l.in.call(func(l *loop) { done <- f(l) }) {
		return none, false
	}
	select {
	case v := <-done:
		return v, true
	case <-l.stopped:
	case <-ctx.Done():
	}
	return none, false
}

type loopReport struct {
	drive  DriveStatus
	groups map[uint32]GroupStatus
}

func (l *loop) report() loopReport {
	out := loopReport{DriveStatus{Drive: l.drive.ID, Replicas: len(l.replicas)}, map[uint32]GroupStatus{}}
	for group, r := range l.replicas {
		g := GroupStatus{Group: group}
		if v := l.look(group); v != nil {
			out.drive.Leads++
			g.Leader, g.LeaderRaftID, g.Term, g.Commit, g.Last = v.drive, v.leader, v.term, v.commit, v.last
			g.PendingWrites, g.Members, g.Joint = v.pendingProposal, v.members(), v.config.joint()
		}
		g.Replicas = []ReplicaStatus{{
			Drive: l.drive.ID, RaftID: r.id, Leader: r.lead, Term: r.hard.term, Applied: r.applied.Load(),
			Flushed: r.flushed, First: r.st.base.index + 1, Last: r.st.last(), LogBytes: r.st.bytes,
			HasMembership: len(r.config.members) > 0, Suspect: r.suspect.Load() != 0,
		}}
		out.groups[group] = g
	}
	for group, halted := range l.halted {
		out.groups[group] = GroupStatus{Group: group, Replicas: []ReplicaStatus{{
			Drive: l.drive.ID, RaftID: halted.raftID, Failed: halted.err.Error(),
		}}}
	}
	return out
}

func (v *groupView) members() []MemberStatus {
	var out []MemberStatus
	for _, raftID := range slices.Sorted(maps.Keys(v.config.members)) {
		p := v.progress[raftID]
		out = append(out, MemberStatus{
			RaftID: raftID, Drive: v.config.members[raftID], Voter: v.config.isVoter(raftID),
			Match: p.Match, Active: v.active[raftID], Lost: v.lost[raftID], State: p.State.String(),
		})
	}
	return out
}

// Leaders is the drive that leads each group from here, the zero ID where there is none.
func (h *Host) Leaders() []id.Drive {
	out := make([]id.Drive, len(h.groups))
	for i := range h.groups {
		if lead := h.groups[i].leader.Load(); lead != nil {
			out[i] = lead.l.drive.ID
		}
	}
	return out
}

// MissingReplica is a member of a group that does not take part.
type MissingReplica struct {
	Group  uint32
	RaftID uint64
	Drive  id.Drive
	Why    string
}

// Missing lists the members, of groups that are led from here, whose drive is not in this process
// (nor heard of, if it may be in another), or is out, or has lost its replica. Each can be given to
// MoveReplica; to the same drive, if that is well.
func (h *Host) Missing(ctx context.Context) []MissingReplica {
	var out []MissingReplica
	for group := range h.groups {
		v, err := h.lookAt(ctx, uint32(group))
		if err != nil {
			continue
		}
		for _, m := range v.members() {
			if why := h.missing(v, m); why != "" && m.Voter {
				out = append(out, MissingReplica{uint32(group), m.RaftID, m.Drive, why})
			}
		}
	}
	return out
}

func (h *Host) missing(v *groupView, m MemberStatus) string {
	if err := h.endedWith(m.Drive); err != nil {
		return "the drive is out: " + err.Error()
	}
	if h.loopOf(m.Drive) == nil {
		if h.cfg.Transport == nil {
			return "the drive is not here"
		}
		if m.Lost {
			return "the drive has lost its replica, or cannot read it"
		}
		if !m.Active {
			return "the replica was not heard of lately"
		}
		return ""
	}
	if !h.alive(v, m.Drive, m.RaftID) {
		return "the drive has lost its replica, or cannot read it"
	}
	return ""
}

// Trouble is a group that has not all it should have.
type Trouble struct {
	Group uint32
	Why   string
}

// Troubles lists, for the groups that are led from here, missing members, and what is left of an interrupted
// change of members; and the groups of which the replicas here know no leader.
func (h *Host) Troubles(ctx context.Context) []Trouble {
	var out []Trouble
	add := func(group int, format string, args ...any) {
		out = append(out, Trouble{uint32(group), fmt.Sprintf(format, args...)})
	}
	for group := range h.groups {
		v, err := h.lookAt(ctx, uint32(group))
		if err != nil {
			drive, led := h.LeaderHint(uint32(group))
			elsewhere := h.cfg.Transport != nil && (led && h.loopOf(drive) == nil || h.groups[group].replicas.Load() == 0)
			if !elsewhere {
				add(group, "no leader is known")
			}
			continue
		}
		if v.config.joint() {
			add(group, "it is between two configurations")
		}
		for _, m := range v.members() {
			if why := h.missing(v, m); why != "" && m.Voter {
				add(group, "replica %d on drive %s: %s", m.RaftID, m.Drive, why)
			} else if !m.Voter {
				add(group, "replica %d on drive %s is a learner that is not yet in the place of another", m.RaftID, m.Drive)
			}
		}
	}
	return out
}

// Hash is the XXH3 of a group's keys and values on a drive here, and the index at which it was
// taken: replicas at the same index must have the same.
func (h *Host) Hash(ctx context.Context, group uint32, drive id.Drive) (index, sum uint64, err error) {
	l := h.loopOf(drive)
	if l == nil || !l.enter() {
		return 0, 0, fmt.Errorf("replica: no drive %s here", drive)
	}
	defer l.leave()
	r, ok := onLoop(ctx, l, func(l *loop) *replica { return l.replicas[group] })
	if !ok || r == nil {
		return 0, 0, fmt.Errorf("replica: no replica of group %d on drive %s", group, drive)
	}
	txn := l.drive.KV.Begin(false)
	defer txn.Discard()
	st, err := loadState(txn, group)
	if err != nil || st == nil {
		return 0, 0, fmt.Errorf("replica: no state of group %d on drive %s: %w", group, drive, err)
	}
	prefix := rangePrefix(st.rangeID)
	it := txn.Iterate(prefix)
	defer it.Close()
	var w chunkWriter
	for it.Seek(prefix); it.Valid() && ctx.Err() == nil; it.Next() {
		value, err := it.Value()
		if err != nil {
			return 0, 0, err
		}
		w.begin()
		w.add(it.Key()[rangeLen:], value)
	}
	return st.applied.index, w.sum.Sum64(), errors.Join(txn.Err(), ctx.Err())
}
