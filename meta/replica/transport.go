package replica

import (
	"context"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
)

// Message goes from a replica of a group on one drive to another on another drive. What it points to is
// shared by sender and receivers and is never changed.
type Message struct {
	Group    uint32
	From, To id.Drive
	// Learner says that To is a learner to the sender: only then may the receiver begin an empty
	// replica with the raft ID that the message is for.
	Learner bool
	// Gone, if not 0, says that this raft ID of To left the group for good. Raft is nil then.
	Gone uint64
	// Ask, if not 0, asks whether this raft ID of From has left the group. Raft is nil then.
	Ask uint64
	// Raft is a message of raft's; or MsgUnreachable, which raft sends to nobody and is of ours. Without a
	// context: its From has lost its log or state, or cannot read it, and is to be rebuilt under
	// another raft ID. With one: a question of Spare to the leader, or the answer.
	Raft *pb.Message

	staged *stagedRange // with a MsgSnap: what the chunks before it brought
}

// Transport carries messages to drives of other processes.
type Transport interface {
	// Send takes messages that are all for one drive. It must not block nor keep the slice; it
	// may drop, duplicate and reorder. It is called from several goroutines.
	Send(msgs []Message)
	// Stream carries a snapshot: head and the chunks that next returns until io.EOF. It returns
	// when the receiver has all of it, and passed the message in head to its replica.
	Stream(ctx context.Context, head SnapshotHead, next func() ([]byte, error)) error
}

// messageOverhead is what a message is counted as besides its entries, in bytes.
const messageOverhead = 256

func (m *Message) size() int {
	n := messageOverhead
	if m.Raft != nil {
		for _, e := range m.Raft.Entries {
			n += len(e.GetData())
		}
	}
	return n
}

// router hands messages for drives of this process straight to their loops, and others on.
type router struct{ h *Host }

func (t router) Send(msgs []Message) {
	if l := t.h.loopOf(msgs[0].To); l != nil {
		l.in.send(msgs)
	} else if t.h.cfg.Transport != nil {
		t.h.cfg.Transport.Send(msgs)
	}
}

func (t router) Stream(ctx context.Context, head SnapshotHead, next func() ([]byte, error)) error {
	if t.h.loopOf(head.To) == nil && t.h.cfg.Transport != nil {
		return t.h.cfg.Transport.Stream(ctx, head, next)
	}
	return t.h.Receive(ctx, head, next)
}
