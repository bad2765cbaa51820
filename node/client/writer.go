package client

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/node"
	"holdfast/node/wire"
	"holdfast/proto/nodepb"
)

// Create implements node.Drive. Nothing is asked of the drive before the first block.
func (r *Remote) Create(ctx context.Context, spec node.Spec) (node.Writer, error) {
	if err := wire.Check(spec); err != nil {
		return nil, err
	}
	if err := r.admit(); err != nil {
		return nil, err
	}
	if s := r.status.Load(); s.ReadOnly && r.heard.Load() {
		return nil, kind.New(kind.Full, "client: drive %s at %s: %s", r.cfg.Drive, r.cfg.Address, s.Reason)
	}
	if ctx.Err() != nil {
		return nil, ended(ctx, "client: create %s", spec.Shard)
	}
	if spec.Blocks() <= 1 {
		return &single{r: r, spec: spec}, nil
	}
	return &writer{r: r, spec: spec}, nil
}

var errOver = errors.New("client: the shard was committed or aborted before, or has failed")

// next refuses a block that is not the next one.
func next(spec node.Spec, n int, block []byte) error {
	if n >= spec.Blocks() || len(block) != spec.BlockSize(n) {
		return kind.New(kind.InvalidArgument, "client: block %d of %d bytes does not fit shard %s", n, len(block), spec.Shard)
	}
	return nil
}

// openHeader is the header of a shard's first frame.
func (r *Remote) openHeader(spec node.Spec) ([]byte, error) {
	return wire.Header(&nodepb.Write{Drive: r.cfg.Drive[:], Open: wire.FromSpec(spec)})
}

// lend copies a block into a buffer that is free again when it was sent, or given up.
func (r *Remote) lend(block []byte) mem.BufferSlice {
	if len(block) == 0 {
		return nil
	}
	b := r.buffers.Get(len(block))
	copy(*b, block)
	return mem.BufferSlice{mem.NewBuffer(b, r.buffers)}
}

// single is a shard of at most one block.
type single struct {
	r    *Remote
	spec node.Spec
	kept mem.BufferSlice
	n    int // blocks taken
	over bool
}

// WriteBlock implements node.Writer.
func (w *single) WriteBlock(_ context.Context, block []byte) error {
	if w.over {
		return errOver
	}
	if err := next(w.spec, w.n, block); err != nil {
		return err
	}
	w.kept = w.r.lend(block)
	w.n++
	return nil
}

// Commit implements node.Writer.
func (w *single) Commit(ctx context.Context) error {
	if w.over {
		return errOver
	}
	if w.n != w.spec.Blocks() {
		return kind.New(kind.InvalidArgument, "client: commit %s after %d of %d blocks", w.spec.Shard, w.n, w.spec.Blocks())
	}
	w.over = true
	f := &rpc.Frame{Payload: w.kept}
	w.kept = nil
	defer f.Free()
	var err error
	if f.Header, err = w.r.openHeader(w.spec); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.r.cfg.CallTimeout)
	defer cancel()
	if err := w.r.enter(ctx, w.r.writes); err != nil {
		return err
	}
	defer func() { <-w.r.writes }()
	answer, err := rpc.Call[rpc.Frame](ctx, w.r.bulk, wire.Method(wire.Put), f)
	if err != nil {
		return err
	}
	answer.Free()
	return nil
}

// Abort implements node.Writer.
func (w *single) Abort() {
	w.over = true
	w.kept.Free()
	w.kept = nil
}

// writer is a shard of several blocks: one stream, opened with the first.
type writer struct {
	r      *Remote
	spec   node.Spec
	stream grpc.ClientStream
	cancel context.CancelCauseFunc
	ctx    context.Context // of the stream; its cause says why it was given up
	n      int             // blocks sent
	over   bool
}

// WriteBlock implements node.Writer.
func (w *writer) WriteBlock(ctx context.Context, block []byte) error {
	if w.over {
		return errOver
	}
	if err := next(w.spec, w.n, block); err != nil {
		return err
	}
	if w.stream == nil {
		w.ctx, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	}
	stop := w.bound(ctx, w.r.cfg.BlockTimeout)
	defer stop()
	payload, err := w.copy(ctx, block)
	if err != nil {
		return w.failed(err)
	}
	f := &rpc.Frame{Payload: payload}
	defer f.Free()
	if w.n == 0 {
		if err := w.open(f); err != nil {
			return w.failed(err)
		}
	}
	if err := w.stream.SendMsg(f); err != nil {
		return w.failed(err)
	}
	if w.n == 0 {
		var taken rpc.Frame
		if err := w.stream.RecvMsg(&taken); err != nil {
			return w.failed(err)
		}
		taken.Free()
	}
	w.n++
	return nil
}

// open begins the stream.
func (w *writer) open(f *rpc.Frame) (err error) {
	if f.Header, err = w.r.openHeader(w.spec); err != nil {
		return err
	}
	w.stream, err = rpc.OpenStream(w.ctx, w.r.bulk, wire.Method(wire.Write))
	return err
}

// bound gives the stream up when a call takes too long or its context ends; stop ends the watch.
func (w *writer) bound(ctx context.Context, limit time.Duration) (stop func()) {
	timer := time.AfterFunc(limit, func() { w.cancel(context.DeadlineExceeded) })
	unhook := context.AfterFunc(ctx, func() { w.cancel(ctx.Err()) })
	return func() {
		timer.Stop()
		unhook()
	}
}

// copy copies a block in its turn. The turn lasts until the copy was sent or the stream is over.
func (w *writer) copy(ctx context.Context, block []byte) (mem.BufferSlice, error) {
	if err := w.r.enter(w.ctx, w.r.writes); err != nil {
		return nil, err
	}
	t := &turn{r: w.r}
	unhook := context.AfterFunc(w.ctx, t.end)
	b := w.r.buffers.Get(len(block))
	copy(*b, block)
	t.done = unhook
	return mem.BufferSlice{mem.NewBuffer(b, t)}, nil
}

// turn is one block on its way. It is the pool to which gRPC gives the block's buffer back.
type turn struct {
	r     *Remote
	done  func() bool
	ended atomic.Bool
}

// Get implements mem.BufferPool.
func (t *turn) Get(n int) *[]byte { return t.r.buffers.Get(n) }

// Put implements mem.BufferPool.
func (t *turn) Put(b *[]byte) {
	t.r.buffers.Put(b)
	t.done()
	t.end()
}

func (t *turn) end() {
	if t.ended.CompareAndSwap(false, true) {
		<-t.r.writes
	}
}

// failed ends the shard, and finds out why.
func (w *writer) failed(err error) error {
	w.over = true
	if err == io.EOF && w.stream != nil { // the peer ended the stream: it says why when it is asked
		for err == io.EOF {
			if err = w.stream.RecvMsg(new(rpc.Frame)); err == nil {
				err = io.EOF
			} else if err == io.EOF {
				err = kind.New(kind.Unavailable, "client: drive %s at %s: the stream of %s ended early", w.r.cfg.Drive, w.r.cfg.Address, w.spec.Shard)
			}
		}
	}
	cause := context.Cause(w.ctx)
	w.cancel(errOver)
	if cause == nil {
		return err
	}
	k := kind.Canceled
	if errors.Is(cause, context.DeadlineExceeded) {
		k = kind.Timeout
	}
	return kind.Wrap(k, cause, "client: drive %s at %s: write %s, block %d", w.r.cfg.Drive, w.r.cfg.Address, w.spec.Shard, w.n)
}

// Commit implements node.Writer.
func (w *writer) Commit(ctx context.Context) error {
	if w.over {
		return errOver
	}
	if w.n != w.spec.Blocks() {
		return kind.New(kind.InvalidArgument, "client: commit %s after %d of %d blocks", w.spec.Shard, w.n, w.spec.Blocks())
	}
	stop := w.bound(ctx, w.r.cfg.CallTimeout)
	defer stop()
	header, err := wire.Header(&nodepb.Write{Commit: true})
	if err != nil {
		return w.failed(err)
	}
	if err := w.stream.SendMsg(&rpc.Frame{Header: header}); err != nil {
		return w.failed(err)
	}
	if err := w.stream.CloseSend(); err != nil {
		return w.failed(err)
	}
	if err := w.stream.RecvMsg(new(rpc.Frame)); err != io.EOF {
		if err == nil {
			err = kind.New(kind.Unavailable, "client: drive %s at %s answers too much", w.r.cfg.Drive, w.r.cfg.Address)
		}
		return w.failed(err)
	}
	w.over = true
	w.cancel(errOver)
	return nil
}

// Abort implements node.Writer.
func (w *writer) Abort() {
	if !w.over {
		w.over = true
		if w.cancel != nil {
			w.cancel(errOver)
		}
	}
}
