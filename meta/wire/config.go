package wire

import (
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"
)

// Dialer has connections to nodes; *rpc.Pool is one. If it has Bulk, as that has, snapshots take those
// connections.
type Dialer interface {
	Conn(address string) grpc.ClientConnInterface
}

// Config says how groups' traffic travels. Transport and Router take the same.
type Config struct {
	// Dialer has the connections.
	Dialer Dialer
	// Peers says where drives are.
	Peers Peers
	// Logger takes what operators should know; default none.
	Logger *slog.Logger

	// QueueMessages and QueueBytes bound what waits for one node, in messages and bytes of entries;
	// the oldest are dropped. Default 16,384 and 32 MiB: what raft has under way to a node's
	// drives, and no more.
	QueueMessages, QueueBytes int
	// Stall is how long a node may take nothing of a stream before it is cut. Default 5 s.
	Stall time.Duration
	// SnapshotStall is how long a snapshot on its way out may make no progress. Default 30 s.
	SnapshotStall time.Duration
	// Silence is how long a node that owes answers may say nothing before it is taken for hung, and
	// what can be asked elsewhere is. Default 1 s, four times what a busy node is silent.
	Silence time.Duration
	// Patience is how long what nobody else can be asked about waits for a hung node, and how long
	// the stream to it is kept. Default 2.5 s.
	Patience time.Duration
	// MaxCalls bounds the requests under way to one node. Default 4096.
	MaxCalls int
}

func (c *Config) validate() error {
	if c.Dialer == nil || c.Peers == nil {
		return errors.New("wire: Config needs Dialer and Peers")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	fill(&c.QueueMessages, 16<<10)
	fill(&c.QueueBytes, 32<<20)
	fill(&c.Stall, 5*time.Second)
	fill(&c.SnapshotStall, 30*time.Second)
	fill(&c.Silence, time.Second)
	fill(&c.Patience, 2500*time.Millisecond)
	fill(&c.MaxCalls, 4096)
	return nil
}

func fill[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

const (
	// firstPause and lastPause bound the wait between attempts to open a stream.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	// maxTimeout is the longest time that a request may take: a replica's move.
	maxTimeout = time.Hour
	// idleLane is when a stream that carries nothing is given up: its node is gone, most likely.
	idleLane = 10 * time.Minute
	// logEvery is the distance between two log lines about the same node, and maxMuffled the number
	// of nodes that are told apart.
	logEvery   = time.Minute
	maxMuffled = 1024
)
