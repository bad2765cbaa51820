package gossip

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"

	"holdfast/internal/id"
)

// events is what memberlist tells. It holds its lock meanwhile: nothing here may block or ask it.
type events Gossip

func (e *events) NotifyJoin(n *memberlist.Node)   { (*Gossip)(e).see(n, true) }
func (e *events) NotifyUpdate(n *memberlist.Node) { (*Gossip)(e).see(n, true) }
func (e *events) NotifyLeave(n *memberlist.Node)  { (*Gossip)(e).see(n, false) }

// see takes in the state of a member.
func (g *Gossip) see(m *memberlist.Node, alive bool) {
	n, err := decode(m.Meta)
	if err != nil || n.Cluster != g.cfg.Self.Cluster {
		return // NotifyAlive has said so
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.starts[m.Name]
	if s == nil {
		s = &start{}
		g.starts[m.Name] = s
	}
	if s.Alive != alive || s.Since.IsZero() {
		s.Since = time.Now()
		if m.Name != g.name {
			g.say(m, n, alive)
		}
	}
	s.Node, s.Alive, s.Address, s.Left = n, alive, m.Address(), !alive && m.State == memberlist.StateLeft
	g.forget()
	g.tell()
}

func (g *Gossip) say(m *memberlist.Node, n Node, alive bool) {
	switch {
	case alive:
		g.cfg.Logger.Info("a node is there", "node", n.ID, "name", n.Name, "address", m.Address())
	case m.State == memberlist.StateLeft:
		g.cfg.Logger.Info("a node has left", "node", n.ID, "name", n.Name, "address", m.Address())
	default:
		g.cfg.Logger.Warn("a node does not answer the gossip", "node", n.ID, "name", n.Name, "address", m.Address())
	}
}

// forget drops dead starts of nodes that live, and those that have been dead longest when there are
// too many.
func (g *Gossip) forget() {
	living := map[id.Node]bool{}
	for _, s := range g.starts {
		if s.Alive {
			living[s.ID] = true
		}
	}
	g.living.Store(int64(len(living)))
	var oldest string
	for name, s := range g.starts {
		switch {
		case s.Alive:
		case living[s.ID]:
			delete(g.starts, name)
		case oldest == "" || s.Since.Before(g.starts[oldest].Since):
			oldest = name
		}
	}
	if len(g.starts) > maxKnown && oldest != "" {
		delete(g.starts, oldest)
	}
}

// delegate is what memberlist asks.
type delegate Gossip

// NodeMeta is what this node says of itself.
func (d *delegate) NodeMeta(int) []byte {
	g := (*Gossip)(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	b, err := g.self.encode() // Start and Update have tried it
	if err != nil {
		return nil
	}
	return b
}

// NotifyAlive refuses members of other clusters, whoever speaks of them.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	return (*Gossip)(d).admit(n)
}

// NotifyMerge refuses to join what belongs to another cluster, or to be joined by it.
func (d *delegate) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if err := (*Gossip)(d).admit(n); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gossip) admit(m *memberlist.Node) error {
	n, err := decode(m.Meta)
	if err == nil && n.Cluster != g.cfg.Self.Cluster {
		err = fmt.Errorf("gossip: node %s at %s belongs to cluster %s, this is %s", n.ID, m.Address(), n.Cluster, g.cfg.Self.Cluster)
	}
	if err != nil && g.limited.allow("admit "+m.Address(), time.Now()) {
		g.cfg.Logger.Warn("a node is refused", "address", m.Address(), "error", err)
	}
	return err
}

func (d *delegate) LocalState(bool) []byte        { return nil }
func (d *delegate) MergeRemoteState([]byte, bool) {}

// The messages of this package, beside memberlist's: one byte says which.
const (
	// messageNudge: the layout has changed. Name of the start that says so | number u64, to tell
	// one from another.
	messageNudge = 1
	maxNudge     = 128
)

// nudge is such a message on its way.
type nudge struct {
	origin string
	text   []byte
}

func (n nudge) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(nudge)
	return ok && o.origin == n.origin
}
func (n nudge) Message() []byte { return n.text }
func (n nudge) Finished()       {}

// Nudge tells all nodes that the layout has changed. It may be lost: nobody may rely on it.
func (g *Gossip) Nudge() {
	g.mu.Lock()
	g.nudged++
	text := append([]byte{messageNudge}, g.name...)
	text = binary.BigEndian.AppendUint64(text, g.nudged)
	g.pass(text)
	g.mu.Unlock()
	// In a small cluster gossip misses a node now and then, and a packet to each costs nothing.
	members := g.list.Members()
	for _, n := range members[:min(len(members), maxDirect)] {
		if n.Name != g.name {
			_ = g.list.SendBestEffort(n, text)
		}
	}
}

// maxDirect is how many nodes are told of a change directly.
const maxDirect = 64

// pass sends a nudge on, unless that was done before, and reports whether it is new. The lock is held.
func (g *Gossip) pass(text []byte) bool {
	for _, h := range g.heard {
		if h == string(text) {
			return false
		}
	}
	g.heard[g.heardAt%heardNudges] = string(text)
	g.heardAt++
	g.nudges.QueueBroadcast(nudge{origin: string(text[:len(text)-8]), text: text})
	return true
}

// NotifyMsg takes in a message of this package.
func (d *delegate) NotifyMsg(b []byte) {
	g := (*Gossip)(d)
	if len(b) < 1+8 || len(b) > maxNudge || b[0] != messageNudge {
		return // of a newer version
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pass(append([]byte(nil), b...)) {
		g.tell()
	}
}

func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return (*Gossip)(d).nudges.GetBroadcasts(overhead, limit)
}
