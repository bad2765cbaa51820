package forming

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/proto/formpb"
)

// Self is this node.
type Self struct {
	ID         id.Node
	Name, Zone string
	// PeerAddress, GossipAddress and S3Address are host:port, as others reach them.
	PeerAddress, GossipAddress, S3Address string
	// Paths of its drives; a node without any is a front, which joins and never forms.
	Paths []string
}

// Caller reaches other nodes; NewCaller makes one over rpc.
type Caller interface {
	Hello(ctx context.Context, address string, h *formpb.Hello) (*formpb.Hello, error)
	Accept(ctx context.Context, address string, p *formpb.Plan) (*formpb.Outcome, error)
	Decide(ctx context.Context, address string, d *formpb.Decision) (*formpb.Outcome, error)
}

// Store keeps what must not be forgotten. Save is durable before it returns.
type Store interface {
	Load() (*formpb.Saved, error) // nil if there is nothing
	Save(*formpb.Saved) error
}

// Design is what a cluster is made of, by the drives of its nodes.
type Design struct {
	Scheme           erasure.Scheme
	Groups, Replicas int // of object keys, and of each group
}

// Config says what a node brings to a cluster, and with whom it makes one.
type Config struct {
	Self Self
	// Expect is the number of storage nodes that form the cluster; 0: wait for one to join.
	Expect int
	// Scheme that was asked for; zero: by the number of drives. All nodes must ask for the same.
	Scheme erasure.Scheme
	// Join are host:port of others' gRPC. This node's own may be among them.
	Join []string
	// Cluster that this node belongs to already: then it only answers.
	Cluster id.Cluster
	Caller  Caller
	Store   Store
	// Design decides for the coordinator. scheme is Config.Scheme.
	Design func(drivesPerNode []int, scheme erasure.Scheme) (Design, error)
	// Rand draws identifiers; default crypto/rand.
	Rand   io.Reader
	Logger *slog.Logger
}

// The times of the protocol, and its bounds.
const (
	// roundPause is the time between rounds of greetings.
	roundPause = time.Second
	// fresh is how long a node counts as in sight after it was heard.
	fresh = 5 * time.Second
	// callTimeout bounds one call to one node.
	callTimeout = 2 * time.Second
	// acceptPatience is how long a plan waits for nodes that do not answer. They were in sight when it
	// was made.
	acceptPatience = 20 * time.Second
	// commitPatience is how long a coordinator tries to tell the others before it goes on; they ask.
	commitPatience = 5 * time.Second
	// backoff is the longest pause after a plan that was given up; drawn at random, so that two
	// coordinators do not meet again and again.
	backoff = 3 * time.Second
	// sayEvery is the time between log lines about what is waited for.
	sayEvery = 10 * time.Second
	// maxCalls is how many nodes are called at the same time.
	maxCalls = 16
	// maxAddresses bounds the addresses that others may make this node call.
	maxAddresses = 1024
	// maxExpect and maxPaths bound a plan.
	maxExpect = 1024
	maxPaths  = 256
)

func (c *Config) validate() error {
	switch {
	case c.Self.ID == (id.Node{}) || c.Self.PeerAddress == "":
		return errors.New("forming: Config needs the node's ID and its address")
	case c.Caller == nil:
		return errors.New("forming: Config needs a Caller")
	case c.Expect < 0 || c.Expect > maxExpect || len(c.Self.Paths) > maxPaths:
		return errors.New("forming: --expect or the number of drives is out of range")
	case c.Expect > 0 && len(c.Self.Paths) == 0:
		return errors.New("forming: --expect counts storage nodes; a node without drives only joins")
	case c.Cluster.IsZero() && len(c.Self.Paths) > 0 && c.Store == nil:
		return errors.New("forming: Config needs a Store")
	case c.Expect > 0 && c.Design == nil:
		return errors.New("forming: Config needs a Design")
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
