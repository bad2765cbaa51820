package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
	"holdfast/meta/replica"
)

// Stream implements replica.Transport: it carries a snapshot on a stream of its own, and returns
// when the receiver has it. It gives up when nothing moves for a while, however long all of it takes.
func (t *Transport) Stream(ctx context.Context, head replica.SnapshotHead, next func() ([]byte, error)) error {
	address, err := t.addressOf(head.To)
	if err != nil {
		return err
	}
	first, err := encodeHead(&head)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.cfg.SnapshotStall, func() { cancel(errStalled) })
	defer watch.Stop()
	defer context.AfterFunc(t.life, func() { cancel(replica.ErrClosed) })()
	progress := func() { watch.Reset(t.cfg.SnapshotStall) }
	s, err := openStream(ctx, t.bulk(address, head.Group), address, methodSnapshot)
	if err == nil {
		err = sendSnapshot(oneWay{s}, first, next, progress)
	}
	if err != nil {
		return fmt.Errorf("wire: snapshot of group %d to %s: %w", head.Group, address, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

var errStalled = kind.New(kind.Timeout, "the snapshot made no progress")

// bulk is a connection for what must not stand in front of messages, if the Dialer has such.
func (t *Transport) bulk(address string, group uint32) grpc.ClientConnInterface {
	if d, ok := t.cfg.Dialer.(interface {
		Bulk(address string, spread uint32) grpc.ClientConnInterface
	}); ok {
		return d.Bulk(address, group)
	}
	return t.cfg.Dialer.Conn(address)
}

func sendSnapshot(out oneWay, head []byte, next func() ([]byte, error), progress func()) (err error) {
	for chunk := head; ; {
		if err := out.Send(chunk); err != nil {
			return err
		}
		progress()
		if chunk, err = next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	out.Close()
	switch _, err := out.Recv(); err { // an empty frame says that it arrived
	case nil:
		return nil
	case io.EOF:
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}

// snapshot takes one from a peer.
func (s *Service) snapshot(stream grpc.ServerStream) error {
	select {
	case s.snapshots <- struct{}{}:
		defer func() { <-s.snapshots }()
	default:
		return kind.New(kind.Unavailable, "wire: too many snapshots come in at once")
	}
	in := frames{stream: stream}
	next := s.chunks(stream.Context(), &in)
	first, err := next()
	if err != nil {
		return err
	}
	head, err := decodeHead(first)
	if err != nil {
		return err
	}
	if err := s.cfg.Host.Receive(stream.Context(), head, next); err != nil {
		return err
	}
	return in.Send(nil)
}

// chunks returns what comes in, chunk by chunk, while it does.
func (s *Service) chunks(ctx context.Context, in *frames) func() ([]byte, error) {
	type piece struct {
		data []byte
		err  error
	}
	arrived := make(chan piece, 1)
	return func() ([]byte, error) {
		go func() {
			data, err := in.Recv()
			arrived <- piece{data, err}
		}()
		timer := time.NewTimer(s.cfg.Stall)
		defer timer.Stop()
		select {
		case p := <-arrived:
			return p.data, p.err
		case <-timer.C:
			return nil, errStalled // Recv returns when the handler has
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// encodeHead: version u8 | group u32 | flags u8 | from 16 | to 16 | raft's message.
func encodeHead(h *replica.SnapshotHead) ([]byte, error) {
	buf := binary.LittleEndian.AppendUint32([]byte{version}, h.Group)
	var flags byte
	if h.Learner {
		flags |= flagLearner
	}
	buf = append(append(append(buf, flags), h.From[:]...), h.To[:]...)
	buf, err := proto.MarshalOptions{}.MarshalAppend(buf, h.Message)
	if err != nil {
		return nil, fmt.Errorf("wire: encode snapshot of group %d: %w", h.Group, err)
	}
	return buf, nil
}

func decodeHead(frame []byte) (h replica.SnapshotHead, err error) {
	d, err := openFrame(frame)
	if err != nil {
		return h, err
	}
	h.Group = d.u32()
	flags := d.u8()
	h.Learner = flags&flagLearner != 0
	h.From, h.To = d.drive(), d.drive()
	raw := d.bytes(len(frame) - d.off)
	if d.failed || flags&^flagLearner != 0 {
		return h, errFrame
	}
	h.Message = &pb.Message{}
	if err := proto.Unmarshal(raw, h.Message); err != nil {
		return h, fmt.Errorf("%w: %w", errFrame, err)
	}
	if h.Message.GetType() != pb.MsgSnap || h.Message.GetSnapshot().GetMetadata() == nil || len(h.Message.GetEntries())+len(h.Message.GetResponses()) > 0 {
		return h, fmt.Errorf("%w: not a snapshot", errFrame)
	}
	return h, nil
}
