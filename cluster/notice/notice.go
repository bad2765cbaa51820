// Package notice tells the fronts of a cluster what they must forget at once.
//
// A front believes a bucket's record for a while. Who deletes a bucket tells all other nodes, and answers
// its client when all of them have said that they forgot it, or when the record is too old to be believed
// by one that did not: a bucket that is gone is gone on every front, whatever the network does.
package notice

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"holdfast/cluster"
	"holdfast/internal/rpc"
)

const service = "holdfast.Notice"

// callTimeout bounds one call; a node that takes longer is waited out.
const callTimeout = time.Second

// Config says who is told, and what is done here.
type Config struct {
	// Dialer has the connections; *rpc.Pool does.
	Dialer interface {
		Conn(address string) grpc.ClientConnInterface
	}
	// View is the cluster as it is known now.
	View func() *cluster.View
	// Forget is called when another node has deleted a bucket.
	Forget func(bucket string)
	// Believed is how long a front believes a record at most.
	Believed time.Duration
}

// Board gives and takes notices. Safe for concurrent use.
type Board struct{ cfg Config }

// New makes a Board.
func New(cfg Config) (*Board, error) {
	if cfg.Dialer == nil || cfg.View == nil || cfg.Forget == nil || cfg.Believed <= 0 {
		return nil, errors.New("notice: Config needs Dialer, View, Forget and Believed")
	}
	return &Board{cfg}, nil
}

// Register has a server take notices.
func (b *Board) Register(s *rpc.Server) error {
	desc := &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{rpc.Unary("BucketChanged", (*Board).taken)}}
	return s.Handle(desc, b, map[string]rpc.Roles{"BucketChanged": rpc.Members})
}

func (b *Board) taken(_ context.Context, name *wrapperspb.StringValue) (*emptypb.Empty, error) {
	b.cfg.Forget(name.Value)
	return &emptypb.Empty{}, nil
}

// BucketChanged returns when no other front believes in the bucket any more.
func (b *Board) BucketChanged(ctx context.Context, bucket string) error {
	until := time.NewTimer(b.cfg.Believed)
	defer until.Stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	missed := false
	for _, n := range b.cfg.View().Nodes {
		if n.Local || n.PeerAddress == "" {
			continue
		}
		if !n.Alive { // it may still serve clients that reach it
			missed = true
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			if _, err := rpc.Call[emptypb.Empty](ctx, b.cfg.Dialer.Conn(n.PeerAddress), "/"+service+"/BucketChanged", wrapperspb.String(bucket)); err != nil {
				mu.Lock()
				missed = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if !missed {
		return nil
	}
	select {
	case <-until.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
