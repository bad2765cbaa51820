package server

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/node"
	"holdfast/node/wire"
	"holdfast/proto/nodepb"
)

// put writes a shard of at most one block.
func (s *Server) put(ctx context.Context, q *rpc.Frame) (*rpc.Frame, error) {
	l, spec, err := s.open(q)
	if err != nil {
		return nil, err
	}
	if spec.Blocks() > 1 || uint64(q.Len()) != spec.Length {
		return nil, kind.New(kind.InvalidArgument, "server: put of %d bytes for shard %s of %d", q.Len(), spec.Shard, spec.Length)
	}
	block := s.block(q)
	defer s.buffers.Put(block)
	err = l.do(ctx, func(d node.Drive) error {
		w, err := d.Create(ctx, spec)
		if err != nil {
			return err
		}
		defer w.Abort()
		if spec.Blocks() == 1 {
			if err := w.WriteBlock(ctx, *block); err != nil {
				return err
			}
		}
		return w.Commit(ctx)
	})
	return &rpc.Frame{}, err
}

// open reads the header of a shard's first frame.
func (s *Server) open(f *rpc.Frame) (*lane, node.Spec, error) {
	var h nodepb.Write
	if err := wire.ParseHeader(f.Header, &h); err != nil {
		return nil, node.Spec{}, err
	}
	if h.Open == nil {
		return nil, node.Spec{}, kind.New(kind.InvalidArgument, "server: a shard without geometry")
	}
	spec, err := wire.ToSpec(h.GetOpen())
	if err != nil {
		return nil, spec, err
	}
	l, err := s.lane(h.GetDrive())
	return l, spec, err
}

// block copies a frame's payload to where a drive can write it from, and frees the frame.
func (s *Server) block(f *rpc.Frame) *[]byte {
	n := f.Len()
	b := s.buffers.Get(n + node.BlockTrailer)
	*b = (*b)[:n]
	f.CopyTo(*b)
	f.Free()
	return b
}

// write writes a shard of several blocks, as they come.
func (s *Server) write(ss grpc.ServerStream) error {
	ctx := ss.Context()
	var f rpc.Frame
	if err := ss.RecvMsg(&f); err != nil {
		return err
	}
	defer func() { f.Free() }()
	l, spec, err := s.open(&f)
	if err != nil {
		return err
	}
	var w node.Writer
	if err := l.do(ctx, func(d node.Drive) error { w, err = d.Create(ctx, spec); return err }); err != nil {
		return err
	}
	defer w.Abort()
	for n := 0; ; n++ {
		if uint64(f.Len()) > uint64(spec.BlockLen) {
			return kind.New(kind.InvalidArgument, "server: a block of %d bytes for shard %s", f.Len(), spec.Shard)
		}
		block := s.block(&f)
		err := l.do(ctx, func(node.Drive) error { return w.WriteBlock(ctx, *block) })
		s.buffers.Put(block)
		if err != nil {
			return err
		}
		if n == 0 { // the drive has taken it: until here the writer could go elsewhere
			if err := ss.SendMsg(&rpc.Frame{}); err != nil {
				return err
			}
		}
		last, err := next(ss, &f)
		if err != nil {
			return err
		}
		if last {
			return l.do(ctx, func(node.Drive) error { return w.Commit(ctx) })
		}
	}
}

// errNoCommit ends a shard whose writer went away.
var errNoCommit = errors.New("server: the stream ended without a commit")

// next receives a frame after the first; last says that it is the commit.
func next(ss grpc.ServerStream, f *rpc.Frame) (last bool, err error) {
	*f = rpc.Frame{}
	if err := ss.RecvMsg(f); err != nil {
		if err == io.EOF {
			return false, kind.Wrap(kind.Canceled, errNoCommit, "server")
		}
		return false, err
	}
	if len(f.Header) == 0 {
		return false, nil
	}
	var h nodepb.Write
	if err := wire.ParseHeader(f.Header, &h); err != nil {
		return false, err
	}
	if h.Open != nil || !h.GetCommit() || f.Len() > 0 {
		return false, kind.New(kind.InvalidArgument, "server: a frame that is neither a block nor a commit")
	}
	return true, nil
}

// read answers bytes of a block.
func (s *Server) read(ctx context.Context, q *rpc.Frame) (*rpc.Frame, error) {
	var h nodepb.Read
	if err := wire.ParseHeader(q.Header, &h); err != nil {
		return nil, err
	}
	l, err := s.lane(h.GetDrive())
	if err != nil {
		return nil, err
	}
	want, err := wire.ToSpec(h.GetWant())
	if err != nil {
		return nil, err
	}
	if h.GetLen() > node.MaxBlockLen || h.GetOff() > node.MaxBlockLen || uint64(h.GetBlock()) >= uint64(want.Blocks()) {
		return nil, kind.New(kind.InvalidArgument, "server: read of %d bytes of block %d of shard %s", h.GetLen(), h.GetBlock(), want.Shard)
	}
	b := s.buffers.Get(int(h.GetLen()))
	err = l.do(ctx, func(d node.Drive) error { return d.ReadBlock(ctx, want, int(h.GetBlock()), int(h.GetOff()), *b) })
	if err != nil {
		s.buffers.Put(b)
		return nil, err
	}
	return &rpc.Frame{Payload: mem.BufferSlice{mem.NewBuffer(b, s.buffers)}}, nil
}
