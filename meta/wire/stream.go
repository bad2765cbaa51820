package wire

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"holdfast/internal/rpc"
)

// The gRPC service, and its methods.
const (
	serviceName    = "holdfast.meta.Groups"
	methodMessages = "Messages"
	methodSnapshot = "Snapshot"
	methodCalls    = "Calls"
)

// maxPiece is where a frame is cut, in bytes, to stay within a gRPC message.
const maxPiece = 2 << 20

// more is the header of a piece that does not end its frame; the last one has none.
const more = 1

// transmitter is what streams of either side have.
type transmitter interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// frames cuts frames into messages of a stream, and joins them again. One goroutine may send while
// another receives.
type frames struct {
	stream transmitter
	buf    []byte // of the frame received last
	whole  mem.Buffer
}

// Send does not keep the frame.
func (f *frames) Send(frame []byte) error {
	for {
		piece := &rpc.Frame{}
		n := min(len(frame), maxPiece)
		if n < len(frame) {
			piece.Header = []byte{more}
		}
		piece.Payload = mem.BufferSlice{mem.Copy(frame[:n], mem.DefaultBufferPool())}
		if err := f.stream.SendMsg(piece); err != nil {
			return err
		}
		if frame = frame[n:]; len(frame) == 0 {
			return nil
		}
	}
}

// Recv returns the next frame. It is valid until the next Recv.
func (f *frames) Recv() ([]byte, error) {
	if f.whole != nil {
		f.whole.Free()
		f.whole = nil
	}
	if cap(f.buf) > 2*frameTarget {
		f.buf = nil
	}
	f.buf = f.buf[:0]
	for {
		var piece rpc.Frame
		if err := f.stream.RecvMsg(&piece); err != nil {
			return nil, err
		}
		last := len(piece.Header) == 0
		if last && len(f.buf) == 0 && len(piece.Payload) == 1 { // as usual
			f.whole = piece.Payload[0]
			return f.whole.ReadOnlyData(), nil
		}
		if len(f.buf)+piece.Len() > maxFrame {
			piece.Free()
			return nil, fmt.Errorf("%w: over %d bytes", errFrame, maxFrame)
		}
		for _, b := range piece.Payload {
			f.buf = append(f.buf, b.ReadOnlyData()...)
		}
		piece.Free()
		if last {
			return f.buf, nil
		}
	}
}

// clientFrames is a stream that was opened here.
type clientFrames struct {
	frames
	client grpc.ClientStream
}

func openStream(ctx context.Context, conn grpc.ClientConnInterface, address, method string) (*clientFrames, error) {
	s, err := rpc.OpenStream(ctx, conn, "/"+serviceName+"/"+method)
	if err != nil {
		return nil, fmt.Errorf("wire: open %s at %s: %w", method, address, err)
	}
	return &clientFrames{frames{stream: s}, s}, nil
}

// oneWay is a stream on which nothing comes back but its end.
type oneWay struct{ *clientFrames }

// Send returns why the stream ended, if it has.
func (o oneWay) Send(frame []byte) error {
	err := o.frames.Send(frame)
	if err == io.EOF {
		if why := o.client.RecvMsg(&rpc.Frame{}); why != nil {
			return why
		}
	}
	return err
}

// Close says that no more frames come.
func (o oneWay) Close() { _ = o.client.CloseSend() }

func (t *Transport) openMessages(ctx context.Context, address string) (frameStream, error) {
	s, err := openStream(ctx, t.cfg.Dialer.Conn(address), address, methodMessages)
	if err != nil {
		return nil, err
	}
	return oneWay{s}, nil
}
