package client

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/node"
	"holdfast/node/wire"
	"holdfast/proto/nodepb"
)

// Remote is a drive of another node. Safe for concurrent use.
type Remote struct {
	cfg     Config
	calls   grpc.ClientConnInterface // for what is small
	bulk    grpc.ClientConnInterface // for bytes of shards
	buffers *rpc.Buffers
	reads   chan struct{}
	writes  chan struct{}
	status  atomic.Pointer[node.Status]
	heard   atomic.Bool // a status was set
}

var _ node.Drive = (*Remote)(nil)

// NewRemote makes the way to a drive of another node. It does not connect. Until SetStatus is called the
// drive counts as out for those who ask Status, but its calls are tried.
func NewRemote(cfg Config) (*Remote, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Remote{
		cfg: cfg, calls: cfg.Pool.Conn(cfg.Address), bulk: cfg.Pool.Bulk(cfg.Address, binary.BigEndian.Uint32(cfg.Drive[:4])),
		buffers: rpc.NewBuffers(), reads: make(chan struct{}, cfg.MaxReads), writes: make(chan struct{}, cfg.MaxWrites),
	}
	r.status.Store(&node.Status{ID: cfg.Drive, Out: true, Reason: "its node was not heard of yet"})
	return r, nil
}

// Address is where the drive's node listens.
func (r *Remote) Address() string { return r.cfg.Address }

// Status implements node.Drive: the last one that was set.
func (r *Remote) Status() node.Status { return *r.status.Load() }

// SetStatus takes in what the drive's node says of it.
func (r *Remote) SetStatus(s node.Status) {
	s.ID = r.cfg.Drive
	r.status.Store(&s)
	r.heard.Store(true)
}

// SetSilent says that the drive's node does not answer. The rest of the last status stays.
func (r *Remote) SetSilent(reason string) {
	s := r.Status()
	s.Out, s.Reason = true, reason
	r.SetStatus(s)
}

// admit refuses what a drive that is out would only fail.
func (r *Remote) admit() error {
	if s := r.status.Load(); s.Out && r.heard.Load() {
		return kind.New(kind.Unavailable, "client: drive %s at %s is out: %s", r.cfg.Drive, r.cfg.Address, s.Reason)
	}
	return nil
}

// call makes a unary call of the service.
func call[A any](ctx context.Context, r *Remote, limit time.Duration, name string, q any) (*A, error) {
	if err := r.admit(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return rpc.Call[A](ctx, r.calls, wire.Method(name), q)
}

// Stat implements node.Drive.
func (r *Remote) Stat(ctx context.Context, s node.Shard) (node.Spec, error) {
	a, err := call[nodepb.Spec](ctx, r, r.cfg.CallTimeout, wire.Stat, r.request(s))
	if err != nil {
		return node.Spec{}, err
	}
	return r.spec(a)
}

func (r *Remote) request(s node.Shard) *nodepb.ShardRequest {
	return &nodepb.ShardRequest{Drive: r.cfg.Drive[:], Shard: wire.FromShard(s)}
}

// spec takes in a geometry that the peer answered. Its mistakes are not the caller's.
func (r *Remote) spec(m *nodepb.Spec) (node.Spec, error) {
	s, err := wire.ToSpec(m)
	if err != nil {
		return node.Spec{}, kind.Wrap(kind.Unavailable, err, "client: the node at %s answers what makes no sense", r.cfg.Address)
	}
	return s, nil
}

// Verify implements node.Drive.
func (r *Remote) Verify(ctx context.Context, s node.Shard) error {
	_, err := call[nodepb.Empty](ctx, r, r.cfg.VerifyTimeout, wire.Verify, r.request(s))
	return err
}

// Delete implements node.Drive. More than a page of shards takes several calls.
func (r *Remote) Delete(ctx context.Context, shards []node.Shard) error {
	for len(shards) > 0 {
		page := shards[:min(len(shards), wire.MaxPage)]
		shards = shards[len(page):]
		q := &nodepb.DeleteRequest{Drive: r.cfg.Drive[:], Shards: make([]*nodepb.Shard, len(page))}
		for i, s := range page {
			q.Shards[i] = wire.FromShard(s)
		}
		if _, err := call[nodepb.Empty](ctx, r, r.cfg.CallTimeout, wire.Delete, q); err != nil {
			return err
		}
	}
	return nil
}

// List implements node.Drive. More than a page takes several calls.
func (r *Remote) List(ctx context.Context, after node.Shard, limit int) ([]node.Spec, error) {
	var specs []node.Spec
	for len(specs) < limit {
		want := min(limit-len(specs), wire.MaxPage)
		q := &nodepb.ListRequest{Drive: r.cfg.Drive[:], Limit: uint32(want)}
		if after != (node.Shard{}) {
			q.After = wire.FromShard(after)
		}
		page, err := call[nodepb.Specs](ctx, r, r.cfg.CallTimeout, wire.List, q)
		if err != nil {
			return nil, err
		}
		for _, m := range page.GetSpecs() {
			s, err := r.spec(m)
			if err != nil {
				return nil, err
			}
			specs = append(specs, s)
		}
		if len(page.GetSpecs()) < want {
			break
		}
		after = specs[len(specs)-1].Shard
	}
	return specs, nil
}

// errShort is an answer of another length than was asked for.
var errShort = errors.New("client: an answer of the wrong length")

// ReadBlock implements node.Drive.
func (r *Remote) ReadBlock(ctx context.Context, want node.Spec, n, off int, dst []byte) error {
	if n < 0 || n >= want.Blocks() || off < 0 || off+len(dst) > want.BlockSize(n) {
		return kind.New(kind.InvalidArgument, "client: bytes %d to %d of block %d of %s: out of range", off, off+len(dst), n, want.Shard)
	}
	if err := r.admit(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.BlockTimeout)
	defer cancel()
	if err := r.enter(ctx, r.reads); err != nil {
		return err
	}
	defer func() { <-r.reads }()
	header, err := wire.Header(&nodepb.Read{
		Drive: r.cfg.Drive[:], Want: wire.FromSpec(want), Block: uint32(n), Off: uint32(off), Len: uint32(len(dst)),
	})
	if err != nil {
		return err
	}
	var answer rpc.Frame
	if err := r.bulk.Invoke(ctx, wire.Method(wire.Read), &rpc.Frame{Header: header}, &answer); err != nil {
		return err
	}
	defer answer.Free()
	if answer.Len() != len(dst) {
		return kind.Wrap(kind.Unavailable, errShort, "client: drive %s at %s", r.cfg.Drive, r.cfg.Address)
	}
	answer.CopyTo(dst)
	return nil
}

// enter waits for a slot.
func (r *Remote) enter(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx, "client: %d blocks are on their way between here and drive %s at %s", cap(slots), r.cfg.Drive, r.cfg.Address)
	}
}

// ended is the error of a context that is over.
func ended(ctx context.Context, format string, args ...any) error {
	k := kind.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		k = kind.Timeout
	}
	return kind.Wrap(k, ctx.Err(), format, args...)
}

// Statuses asks a node how its drives are.
func Statuses(ctx context.Context, conn grpc.ClientConnInterface) ([]node.Status, error) {
	a, err := rpc.Call[nodepb.Statuses](ctx, conn, wire.Method(wire.Drives), &nodepb.Empty{})
	if err != nil {
		return nil, err
	}
	all := make([]node.Status, len(a.GetDrives()))
	for i, m := range a.GetDrives() {
		if all[i], err = wire.ToStatus(m); err != nil {
			return nil, kind.Wrap(kind.Unavailable, err, "client: a status that makes no sense")
		}
	}
	return all, nil
}
