package gossip

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"holdfast/internal/id"
)

// Gossip is this node's part in it. Safe for concurrent use.
type Gossip struct {
	cfg     Config
	name    string // of this start
	list    *memberlist.Memberlist
	nudges  memberlist.TransmitLimitedQueue
	limited limiter
	stop    context.CancelFunc
	done    chan struct{}
	living  atomic.Int64 // nodes that are there: memberlist asks while it holds locks

	mu      sync.Mutex
	self    Node
	starts  map[string]*start
	changed chan struct{}
	heard   [heardNudges]string
	heardAt int
	nudged  uint64
}

// start is one start of a node's process.
type start struct{ Member }

// heardNudges is how many of the latest nudges are remembered, so that each is passed on once.
const heardNudges = 64

// Start begins to gossip. Seeds are tried in the background.
func Start(cfg Config) (*Gossip, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if _, err := cfg.Self.encode(); err != nil {
		return nil, err
	}
	key, err := cfg.Secret.Derive("gossip", 32)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	var once [8]byte
	if _, err := rand.Read(once[:]); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g := &Gossip{cfg: cfg, self: cfg.Self, name: hex.EncodeToString(cfg.Self.ID[:]) + "-" + hex.EncodeToString(once[:]),
		starts: map[string]*start{}, changed: make(chan struct{}), done: make(chan struct{})}
	g.limited.last = map[string]time.Time{}
	options := cfg.options(g.name, key)
	options.LogOutput = &logLines{g: g}
	options.Delegate, options.Events, options.Merge, options.Alive = (*delegate)(g), (*events)(g), (*delegate)(g), (*delegate)(g)
	if options.Transport = cfg.Transport; options.Transport == nil {
		if err := addresses(options, cfg.Listen, cfg.Advertise); err != nil {
			return nil, err
		}
	}
	g.nudges = memberlist.TransmitLimitedQueue{NumNodes: func() int { return int(g.living.Load()) }, RetransmitMult: options.RetransmitMult}
	if g.list, err = memberlist.Create(options); err != nil {
		return nil, fmt.Errorf("gossip: listen on %s: %w", cfg.Listen, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	go g.keepJoining(ctx)
	return g, nil
}

// addresses takes host:port texts apart; memberlist wants addresses, not names.
func addresses(o *memberlist.Config, listen, advertise string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("gossip: the address to listen on: %w", err)
	}
	if o.BindPort, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("gossip: the port of %s: %w", listen, err)
	}
	o.BindAddr, o.AdvertisePort = "0.0.0.0", o.BindPort
	if host != "" {
		if o.BindAddr, err = address(host); err != nil {
			return err
		}
	}
	if advertise == "" {
		return nil
	}
	if host, port, err = net.SplitHostPort(advertise); err != nil {
		return fmt.Errorf("gossip: the address to advertise: %w", err)
	}
	if o.AdvertisePort, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("gossip: the port of %s: %w", advertise, err)
	}
	o.AdvertiseAddr, err = address(host)
	return err
}

// address resolves a host of this machine.
func address(host string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return "", fmt.Errorf("gossip: resolve %s: %w", host, err)
	}
	// The other nodes' way may be of the older kind only.
	slices.SortStableFunc(ips, func(a, b net.IP) int { return cmp.Compare(len(a.To4()), len(b.To4())) * -1 })
	return ips[0].String(), nil
}

// Address is host:port where this node's gossip is reached.
func (g *Gossip) Address() string { return g.list.LocalNode().Address() }

// Members are the other nodes that are or were there, one a node.
func (g *Gossip) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	best := map[id.Node]Member{}
	for name, s := range g.starts {
		if name == g.name || s.ID == g.self.ID {
			continue
		}
		if old, ok := best[s.ID]; !ok || s.Alive && !old.Alive || s.Alive == old.Alive && s.Since.After(old.Since) {
			best[s.ID] = s.Member
		}
	}
	all := make([]Member, 0, len(best))
	for _, m := range best {
		all = append(all, m)
	}
	return all
}

// Changed is closed when Members changes, and when a node says that the layout has changed.
func (g *Gossip) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// tell wakes those who wait for a change. The lock is held.
func (g *Gossip) tell() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// Update changes what this node tells of itself; its IDs stay.
func (g *Gossip) Update(self Node) error {
	if self.ID != g.cfg.Self.ID || self.Cluster != g.cfg.Self.Cluster {
		return errors.New("gossip: a node does not change its ID or cluster")
	}
	if _, err := self.encode(); err != nil {
		return err
	}
	g.mu.Lock()
	g.self = self
	g.mu.Unlock()
	if err := g.list.UpdateNode(time.Second); err != nil {
		g.cfg.Logger.Debug("what this node says of itself has not reached another yet", "error", err)
	}
	return nil
}

// leavePatience is how long Leave repeats the news: ten packets to one other node, more to several.
const leavePatience = time.Second

// Leave tells the others that this node goes, so that they need not find out.
func (g *Gossip) Leave() error {
	g.stop()
	<-g.done
	if err := g.list.Leave(leavePatience); err != nil { // not as often as memberlist likes
		g.cfg.Logger.Debug("the news that this node leaves was cut short", "error", err)
	}
	return nil
}

// Close ends it. Without Leave the others take this node for dead after a while.
func (g *Gossip) Close() error {
	g.stop()
	<-g.done
	return g.list.Shutdown()
}
