package rpc

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/secret"
)

// Role is what a node is to its peers. It stands in its certificate.
type Role uint8

// The roles. Their bits are used in memory alone; a certificate has the word.
const (
	Storage Role = 1 << iota // has drives, belongs to a cluster
	Front                    // has no drives, belongs to a cluster
	Forming                  // belongs to no cluster yet
)

// Roles is a set of roles, made by |.
type Roles = Role

// The sets that most methods want.
const (
	Members = Storage | Front
	Anyone  = Members | Forming
)

func (r Role) String() string {
	var words []string
	for _, w := range []struct {
		role Role
		word string
	}{{Storage, "storage"}, {Front, "front"}, {Forming, "forming"}} {
		if r&w.role != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, "|")
}

// single reports whether r is one role.
func (r Role) single() bool { return r == Storage || r == Front || r == Forming }

// parseRole takes a role from its word; 0 if it is none, which no method allows.
func parseRole(word string) Role {
	for _, r := range []Role{Storage, Front, Forming} {
		if r.String() == word {
			return r
		}
	}
	return 0
}

// Config says who this process is among its peers.
type Config struct {
	// Secret is the cluster secret: the authority of all peers' certificates derives from it.
	Secret secret.Cluster
	// Node is this node's ID; every peer learns it from the certificate.
	Node id.Node
	// Role is what this node is at first; see Identity.SetRole.
	Role Role
	// Cluster is the cluster that this node belongs to, zero while it forms one. Asked at every call.
	Cluster func() id.Cluster
	// Now is the clock by which certificates are made and checked. Default time.Now.
	Now func() time.Time
	// Rand is crypto/rand.Reader, outside tests.
	Rand io.Reader
	// Logger takes what operators should know; default none.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Secret.IsZero():
		return errors.New("rpc: no cluster secret")
	case c.Node == id.Node{}:
		return errors.New("rpc: no node ID")
	case !c.Role.single():
		return errors.New("rpc: Config needs one Role")
	case c.Cluster == nil || c.Rand == nil:
		return errors.New("rpc: Config needs Cluster and Rand")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Limits and times that both sides share.
const (
	// MaxMessage is the largest message in bytes, a Frame's header included: a block of a shard
	// (2 MiB) and room. Whoever has more sends several.
	MaxMessage = 4 << 20
	// CallTimeout is given to unary calls whose context has no deadline, on both sides.
	CallTimeout = 10 * time.Second

	// streamWindow is how much one stream may send ahead of its reader: four usual blocks. It is also
	// what a stalled stream may pile up in the receiver's memory, so it is not larger.
	streamWindow = 1 << 20
	// connWindow fills a link of 10 Gbit/s and 10 ms. The receiver opens it whether or not the streams
	// are read, so one stalled stream never stops the others.
	connWindow = 16 << 20
	// ioBuffer is what a connection gathers before it encrypts, and reads ahead. Other sizes, none for reading,
	// and joining TLS records below gRPC were within noise (BenchmarkWriteBlock of node/server).
	ioBuffer = 64 << 10
	// maxHeaders bounds the metadata of a call in bytes.
	maxHeaders = 16 << 10

	// pingAfter quiet, a peer is asked whether it lives (gRPC takes no less at a client), and has
	// pingTimeout to answer. Bytes that are not acknowledged for as long end a connection as well.
	pingAfter   = 10 * time.Second
	pingTimeout = 3 * time.Second
	// handshakeTimeout bounds connecting, TLS and HTTP/2 preface.
	handshakeTimeout = 3 * time.Second
)

// ServerConfig bounds what peers may ask of a Server.
type ServerConfig struct {
	// MaxStreams is the number of calls under way on one connection; further ones wait at their
	// callers. Default 1,024.
	MaxStreams int
	// MaxConns is the number of connections. Default 4,096: a cluster of a thousand nodes.
	MaxConns int
}

func (c *ServerConfig) validate() error {
	if c.MaxStreams == 0 {
		c.MaxStreams = 1024
	}
	if c.MaxConns == 0 {
		c.MaxConns = 4096
	}
	if c.MaxStreams < 1 || c.MaxStreams > math.MaxInt32 || c.MaxConns < 1 {
		return errors.New("rpc: ServerConfig has a limit below 1")
	}
	return nil
}

// PoolConfig bounds what a Pool keeps.
type PoolConfig struct {
	// Idle is how long a connection is kept without calls. Default 10 minutes.
	Idle time.Duration
	// BulkConns is the number of connections to a peer for Bulk: one connection's encryption is the
	// work of one core. Default 2.
	BulkConns int
}

func (c *PoolConfig) validate() error {
	if c.Idle == 0 {
		c.Idle = 10 * time.Minute
	}
	if c.BulkConns == 0 {
		c.BulkConns = 2
	}
	if c.Idle < 0 || c.BulkConns < 1 || c.BulkConns > 64 {
		return errors.New("rpc: PoolConfig is out of range")
	}
	return nil
}
