package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// Frame is a message of raw bytes: a small header of its service's own, and a payload that is not
// copied on its way to TLS.
//
//	0 1          2              2+n
//	┌────────────┬──────────────┬─────────┐
//	│ n, 16 bits │ header (n)   │ payload │   big-endian
//	└────────────┴──────────────┴─────────┘
//
// A Frame that is sent is used up: its payload is freed once it is on its way, or once it is clear that
// it never will be. A Frame that was received is freed by who received it; a unary handler's request,
// after the handler.
type Frame struct {
	Header  []byte
	Payload mem.BufferSlice
}

// MaxFrameHeader is the longest header of a Frame in bytes.
const MaxFrameHeader = 4 << 10

const frameLead = 2

// Bytes makes a payload of b, without a copy. Nobody may change b any more.
func Bytes(b []byte) mem.BufferSlice {
	if len(b) == 0 {
		return nil
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}
}

// Len is the length of the payload.
func (f *Frame) Len() int { return f.Payload.Len() }

// CopyTo copies as much of the payload as dst holds.
func (f *Frame) CopyTo(dst []byte) int { return f.Payload.CopyTo(dst) }

// Free gives the payload back.
func (f *Frame) Free() {
	f.Payload.Free()
	f.Payload = nil
}

// codec carries Frames as they are and everything else as protobuf.
type codec struct{ messages encoding.CodecV2 }

// CodecName is part of the content type of our calls.
const CodecName = "holdfast"

var errNoProtobuf = errors.New("rpc: grpc has no protobuf codec")

func newCodec() (codec, error) {
	c := codec{encoding.GetCodecV2("proto")}
	if c.messages == nil {
		return c, errNoProtobuf
	}
	return c, nil
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return CodecName }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*Frame)
	if !ok {
		return c.messages.Marshal(v)
	}
	if len(f.Header) > MaxFrameHeader {
		return nil, fmt.Errorf("rpc: a frame's header of %d bytes, over %d", len(f.Header), MaxFrameHeader)
	}
	if size := frameLead + len(f.Header) + f.Len(); size > MaxMessage {
		return nil, fmt.Errorf("rpc: a frame of %d bytes, over %d", size, MaxMessage)
	}
	lead := make([]byte, frameLead, frameLead+len(f.Header))
	binary.BigEndian.PutUint16(lead, uint16(len(f.Header)))
	out := make(mem.BufferSlice, 1, 1+len(f.Payload))
	out[0] = mem.SliceBuffer(append(lead, f.Header...))
	out = append(out, f.Payload...)
	f.Payload = nil // its references are gRPC's now
	return out, nil
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*Frame)
	if !ok {
		return c.messages.Unmarshal(data, v)
	}
	var lead [frameLead]byte
	total := data.Len()
	if total < frameLead {
		return fmt.Errorf("rpc: a frame of %d bytes", total)
	}
	data.CopyTo(lead[:])
	n := int(binary.BigEndian.Uint16(lead[:]))
	if n > MaxFrameHeader || frameLead+n > total {
		return fmt.Errorf("rpc: a frame of %d bytes with a header of %d", total, n)
	}
	head := make([]byte, frameLead+n)
	data.CopyTo(head)
	f.Header, f.Payload = head[frameLead:], tail(data, frameLead+n)
	return nil
}

// tail takes references to all but the first skip bytes.
func tail(data mem.BufferSlice, skip int) mem.BufferSlice {
	out := make(mem.BufferSlice, 0, len(data))
	for _, b := range data {
		switch n := b.Len(); {
		case n <= skip:
			skip -= n
		case skip > 0:
			out = append(out, b.Slice(skip, n))
			skip = 0
		default:
			b.Ref()
			out = append(out, b)
		}
	}
	return out
}
