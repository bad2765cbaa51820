package replica

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// A write needs a majority. The leader sends new entries at once to as many followers as make one
// with itself, and to one more, so that no single slow disk holds a write up; to the others with the
// next tick: those then take many entries with one wake-up and one fdatasync. What an answer promises
// is the same: it has always meant a majority.
//
// The prompt followers are the next ones in the ring of voters, so that every drive has its share of
// both. A leader that sees one of them behind sends to everyone at once until it has caught up.

// division is how a leader treats its followers until the next tick.
type division struct {
	late   []uint64 // get entries with the next tick
	urgent bool     // a prompt one is behind: nobody waits
	last   uint64   // index at the last tick, which a prompt one has by the next
}

func (d *division) has(follower uint64) bool { return !d.urgent && slices.Contains(d.late, follower) }

// divide chooses anew. What was late has been sent, so that no follower gets entries out of order.
func (l *loop) divide(r *replica) {
	d := &r.late
	d.late, d.urgent = d.late[:0], false
	if !r.leads() || r.config.joint() {
		return
	}
	voters := r.config.voters()
	self := slices.Index(voters, r.id)
	if self < 0 {
		return
	}
	behind := make(map[uint64]bool, len(voters))
	r.node.WithProgress(func(raftID uint64, _ raft.ProgressType, p tracker.Progress) {
		behind[raftID] = p.State != tracker.StateReplicate || !l.active(r, raftID) || p.Match < d.last
	})
	for k := 1; k < len(voters); k++ {
		follower := voters[(self+k)%len(voters)]
		if k > len(voters)/2+1 {
			d.late = append(d.late, follower)
		} else if behind[follower] {
			d.urgent = true
		}
	}
	d.last = r.st.last()
}

// maxLateBytes bounds what waits for the next tick in one loop, in bytes of entries.
const maxLateBytes = 1 << 20

// lateBox is the append messages that wait for the next tick, in order.
type lateBox struct {
	messages []response
	bytes    int
}

func (b *lateBox) add(r *replica, m *pb.Message) {
	for _, e := range m.GetEntries() {
		b.bytes += len(e.GetData())
	}
	b.messages = append(b.messages, response{r, m})
}

func (b *lateBox) release(l *loop) {
	for _, m := range b.messages {
		if !m.r.gone {
			l.post(m.r, m.m)
		}
	}
	clear(b.messages)
	b.messages, b.bytes = b.messages[:0], 0
}
