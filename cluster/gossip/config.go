package gossip

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hashicorp/memberlist"

	"holdfast/internal/id"
	"holdfast/internal/secret"
)

// Config says who gossips with whom.
type Config struct {
	// Self is what this node tells the others.
	Self Node
	// Secret is the cluster's; the key of the gossip derives from it.
	Secret secret.Cluster
	// Listen is host:port, TCP and UDP. Advertise is the host:port that others reach it by; default
	// Listen's, with a private address of this machine where Listen names none.
	Listen, Advertise string
	// Seeds are host:port of others' gossip. It is asked again and again, and names are resolved anew
	// each time; it may block for a few seconds.
	Seeds func(ctx context.Context) []string
	// Transport is memberlist's own over Listen, outside tests.
	Transport memberlist.Transport
	Logger    *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Self.ID == (id.Node{}) || c.Self.Cluster.IsZero():
		return errors.New("gossip: Config needs the node's ID and its cluster")
	case c.Secret.IsZero():
		return errors.New("gossip: Config needs the cluster secret")
	case c.Listen == "" && c.Transport == nil:
		return errors.New("gossip: Config needs an address to listen on")
	}
	if c.Seeds == nil {
		c.Seeds = func(context.Context) []string { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// How fast a node that died is noticed. Every node asks one other each probeInterval, in random order,
// so a node is asked about once in that time by somebody. If there is no answer within probeTimeout
// others are asked to try, and TCP is tried, until the interval is over; then the node is suspected,
// and has suspicionMult intervals (times log10 of the nodes, if more than ten) to object. With six nodes
// that is 1.2 to 2.4 s, 1.6 s on average, from the death to the word of it. Shorter ones flap on a
// machine of two busy cores, where a process may wait a few hundred milliseconds for its turn.
const (
	probeInterval = 400 * time.Millisecond
	probeTimeout  = 250 * time.Millisecond
	suspicionMult = 2
	// indirectChecks others are asked to try, so that one bad link kills nobody.
	indirectChecks = 3
	// maxAwareness bounds how much a node that seems to be slow itself slows its probes down: to two
	// intervals, else the detection time would be gone.
	maxAwareness = 2
	// gossipInterval is the time between packets of news; gossipNodes get one each time.
	gossipInterval = 100 * time.Millisecond
	gossipNodes    = 3
	// toTheDead is how long after its death a node still gets news, so that it hears of its death and
	// objects: one that was paused is back without a join.
	toTheDead = 30 * time.Second
	// retransmitMult times log10 of the nodes is how often news is sent on. memberlist's 4 misses a node
	// of five every few starts, when many come at once.
	retransmitMult = 8
	// pushPull is the time between comparisons of everything with one other node: how long what news
	// has missed stays unknown. Longer in clusters of more than 32 nodes.
	pushPull = 5 * time.Second
	// streamTimeout bounds connecting, reading and writing a stream.
	streamTimeout = 3 * time.Second
)

// How those that are not there are looked for.
const (
	// joinPause and lastJoinPause bound the wait between attempts at one address: it doubles.
	joinPause     = time.Second
	lastJoinPause = 15 * time.Second
	// maxJoins is how many addresses are tried at the same time, and in one round.
	maxJoins = 16
	// resolveTimeout bounds the resolution of one name.
	resolveTimeout = 2 * time.Second
	// maxSeeds and maxKnown bound what is tried and remembered: nodes that have been dead longest are
	// forgotten first.
	maxSeeds = 256
	maxKnown = 4096
	// quiet is the time between two log lines about the same peer and reason.
	quiet = time.Minute
)

// options are memberlist's.
func (c *Config) options(name string, key []byte) *memberlist.Config {
	o := memberlist.DefaultLANConfig()
	o.Name, o.SecretKey = name, key
	o.ProbeInterval, o.ProbeTimeout = probeInterval, probeTimeout
	o.SuspicionMult, o.IndirectChecks, o.AwarenessMaxMultiplier = suspicionMult, indirectChecks, maxAwareness
	o.GossipInterval, o.GossipNodes, o.GossipToTheDeadTime = gossipInterval, gossipNodes, toTheDead
	o.RetransmitMult = retransmitMult
	o.PushPullInterval, o.TCPTimeout = pushPull, streamTimeout
	o.EnableCompression = false // messages are short and encrypted
	return o
}
