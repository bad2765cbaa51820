package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// errFrame is returned for bytes that are not a frame of this version.
var errFrame = errors.New("wire: malformed frame")

const (
	// version is the first byte of every frame.
	version = 1
	// frameTarget is where a frame is closed, in bytes: what is behind it waits for the next.
	frameTarget = 1 << 20
	// maxFrame bounds a frame in bytes: the target, and one item that holds the largest command.
	maxFrame = frameTarget + replica.MaxCommand + 1<<20
	// maxRun is how many messages of one drive for another stand behind one head.
	maxRun = math.MaxUint16
)

// Flags of a message.
const (
	flagLearner = 1 << iota
	flagGone
	flagAsk
	flagRaft
	allFlags = 1<<iota - 1
)

// messageEncoder appends messages to a frame; see doc.go for the format.
type messageEncoder struct {
	buf      []byte
	from, to id.Drive
	countAt  int // where the count of the open run stands; 0 = no run is open
	count    int
}

func (e *messageEncoder) reset(buf []byte) {
	*e = messageEncoder{buf: append(buf[:0], version)}
}

func (e *messageEncoder) empty() bool { return len(e.buf) <= 1 }

// add appends m, or nothing if raft's part cannot be encoded.
func (e *messageEncoder) add(m *replica.Message) error {
	mark := *e
	if e.countAt == 0 || e.count == maxRun || m.From != e.from || m.To != e.to {
		e.from, e.to, e.count = m.From, m.To, 0
		e.buf = append(append(e.buf, m.To[:]...), m.From[:]...)
		e.countAt = len(e.buf)
		e.buf = append(e.buf, 0, 0)
	}
	var flags byte
	if m.Learner {
		flags |= flagLearner
	}
	if m.Gone != 0 {
		flags |= flagGone
	}
	if m.Ask != 0 {
		flags |= flagAsk
	}
	if m.Raft != nil {
		flags |= flagRaft
	}
	e.buf = binary.LittleEndian.AppendUint32(append(e.buf, flags), m.Group)
	if m.Gone != 0 {
		e.buf = binary.LittleEndian.AppendUint64(e.buf, m.Gone)
	}
	if m.Ask != 0 {
		e.buf = binary.LittleEndian.AppendUint64(e.buf, m.Ask)
	}
	if m.Raft != nil {
		at := len(e.buf)
		buf, err := proto.MarshalOptions{}.MarshalAppend(append(e.buf, 0, 0, 0, 0), m.Raft)
		if err != nil || len(buf) > maxFrame {
			*e = mark
			return errors.Join(fmt.Errorf("wire: message of %d bytes for group %d", len(buf)-at, m.Group), err)
		}
		binary.LittleEndian.PutUint32(buf[at:], uint32(len(buf)-at-4))
		e.buf = buf
	}
	e.count++
	binary.LittleEndian.PutUint16(e.buf[e.countAt:], uint16(e.count))
	return nil
}

// decodeMessages appends the messages of a frame to out. Nothing in them refers to the frame.
func decodeMessages(out []replica.Message, frame []byte) ([]replica.Message, error) {
	d, err := openFrame(frame)
	if err != nil {
		return out, err
	}
	for d.off < len(d.buf) {
		to, from := d.drive(), d.drive()
		count := int(d.u16())
		if d.failed || count == 0 {
			return out, errFrame
		}
		for range count {
			m := replica.Message{From: from, To: to}
			if err := d.message(&m); err != nil {
				return out, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

func (d *decoder) message(m *replica.Message) error {
	flags := d.u8()
	m.Group = d.u32()
	m.Learner = flags&flagLearner != 0
	if flags&flagGone != 0 {
		m.Gone = d.u64()
	}
	if flags&flagAsk != 0 {
		m.Ask = d.u64()
	}
	var raw []byte
	if flags&flagRaft != 0 {
		raw = d.bytes(int(d.u32()))
	}
	if d.failed || flags&^allFlags != 0 || (m.Gone != 0 || m.Ask != 0) == (flags&flagRaft != 0) {
		return errFrame
	}
	if flags&flagRaft == 0 {
		return nil
	}
	m.Raft = &pb.Message{}
	if err := proto.Unmarshal(raw, m.Raft); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	if !travels(m.Raft.GetType()) || len(m.Raft.GetResponses()) > 0 || m.Raft.GetSnapshot() != nil {
		return fmt.Errorf("%w: a message of type %s", errFrame, m.Raft.GetType())
	}
	return nil
}

// travels lists what replicas say to each other by Send; MsgUnreachable among them is replica's own use
// of it. Everything else is local to a replica, or has a stream of its own (snapshots), and would
// harm one that takes it from here.
func travels(t pb.MessageType) bool {
	switch t {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgVote, pb.MsgVoteResp,
		pb.MsgPreVote, pb.MsgPreVoteResp, pb.MsgTimeoutNow, pb.MsgUnreachable:
		return true
	}
	return false
}
