package replica

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
	"holdfast/internal/kind"
)

// spareTicks is for how long a leader that has told a drive to go counts it as gone already: until
// it is, or the leader would have noticed that it is not.
const spareTicks = 50

// spareQuestion waits for the leader's answer.
type spareQuestion struct {
	drive id.Drive
	done  chan string // has room for one
}

// Spare says why a group would lose its majority, or is not sure to keep it, if the replica on a
// drive went away or were lost now; nil if it would not matter. The leader decides, wherever it is,
// and lets drives go one after the other. kind.NotLeader: nobody who knows could be asked.
func (h *Host) Spare(ctx context.Context, group uint32, drive id.Drive) error {
	if int(group) >= len(h.groups) {
		return fmt.Errorf("replica: no group %d", group)
	}
	if lead := h.leader(group); lead != nil {
		why, ok := onLoop(ctx, lead.l, func(l *loop) string {
			if r := l.replicas[group]; r != nil && r.leads() {
				return l.spare(r, drive)
			}
			return "its leader has just resigned"
		})
		if !ok {
			return ErrNotLeader
		}
		return refusedSpare(why)
	}
	return h.askSpare(ctx, group, drive)
}

func refusedSpare(why string) error {
	if why == "" {
		return nil
	}
	return kind.New(kind.Conflict, "%s", why)
}

// askSpare has a replica here ask its leader elsewhere.
func (h *Host) askSpare(ctx context.Context, group uint32, drive id.Drive) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Duration(h.cfg.ElectionTicks)*h.cfg.Tick)
	defer cancel()
	for _, l := range h.here() {
		q := &spareQuestion{drive: drive, done: make(chan string, 1)}
		if asked, _ := onLoop(ctx, l, func(l *loop) bool { return l.askSpare(group, q) }); !asked {
			continue
		}
		select {
		case why := <-q.done:
			return refusedSpare(why)
		case <-l.stopped:
		case <-ctx.Done():
			return ErrNotLeader
		}
	}
	if h.loopOf(drive) != nil && h.endedWith(drive) == nil && h.groups[group].replicas.Load() == 0 {
		return nil // the drive is well, and has no part in the group
	}
	return ErrNotLeader
}

// askSpare sends the question; false if there is nobody to ask.
func (l *loop) askSpare(group uint32, q *spareQuestion) bool {
	r := l.replicas[group]
	if r == nil || r.leads() {
		return false
	}
	drive, ok := r.driveOf(r.lead)
	if ok {
		r.sparing = append(r.sparing, q)
		l.out.add(Message{Group: group, From: l.drive.ID, To: drive, Raft: spareMessage(r.id, r.lead, q.drive[:])})
	}
	return ok
}

func spareMessage(from, to uint64, text []byte) *pb.Message {
	return &pb.Message{Type: pb.MsgUnreachable.Enum(), From: new(from), To: new(to), Context: text}
}

// onSpare takes a question, which is a drive, or an answer, which is a drive, a sign and why not.
func (l *loop) onSpare(r *replica, m *Message) {
	text := m.Raft.GetContext()
	if len(text) < id.Size {
		return
	}
	drive := id.Drive(text[:id.Size])
	if len(text) == id.Size {
		if r.leads() {
			answer := append(append(drive[:], '='), l.spare(r, drive)...)
			l.out.add(Message{Group: r.group, From: l.drive.ID, To: m.From, Raft: spareMessage(r.id, m.Raft.GetFrom(), answer)})
		}
		return
	}
	rest := r.sparing[:0]
	for _, q := range r.sparing {
		if q.drive == drive {
			q.done <- string(text[id.Size+1:])
		} else {
			rest = append(rest, q)
		}
	}
	clear(r.sparing[len(rest):])
	r.sparing = rest
}

// spare decides as the leader; "" lets the drive go.
func (l *loop) spare(r *replica, drive id.Drive) string {
	member := false
	for _, voters := range [][]uint64{r.config.conf.Voters, r.config.conf.VotersOutgoing} {
		well, here := 0, false
		for _, raftID := range voters {
			d := r.config.members[raftID]
			if d == drive {
				here = true
			} else if l.well(r, raftID) && r.spared[d] < l.tick {
				well++
			}
		}
		if member = member || here; here && well <= len(voters)/2 {
			return fmt.Sprintf("group %d has %d of %d replicas that are well on other drives, and needs more than half", r.group, well, len(voters))
		}
	}
	if member {
		if r.spared == nil {
			r.spared = make(map[id.Drive]uint64)
		}
		r.spared[drive] = l.tick + spareTicks
	}
	return ""
}

// well reports whether a member takes part and has all its state, as far as the leader knows.
func (l *loop) well(r *replica, raftID uint64) bool {
	if raftID == r.id {
		return r.suspect.Load() == 0
	}
	return l.active(r, raftID) && !r.lost[raftID]
}
