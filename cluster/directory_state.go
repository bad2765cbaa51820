package cluster

import (
	"context"
	"sync"
	"time"

	"holdfast/cluster/gossip"
	"holdfast/internal/id"
	"holdfast/meta"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// state is what one goroutine keeps from which views are composed.
type state struct {
	d        *Directory
	started  time.Time
	layout   *metapb.ClusterLayout // nil before the first answer
	members  []gossip.Member
	nodes    map[id.Node]*polled
	last     map[id.Drive]node.Status // the newest status of every drive that ever said one
	routed   map[id.Drive]route
	previous *snapshot

	answers chan answer
	layouts chan *metapb.ClusterLayout
	slots   chan struct{} // bounds the questions under way
	asking  sync.WaitGroup
}

// polled is what is known of a storage node by asking it.
type polled struct {
	address string
	busy    bool // a question is under way
	missed  int  // answers in a row that did not come
	drives  []node.Status
	at      time.Time // of the last answer
}

// answer is that of a node, or that there was none.
type answer struct {
	node    id.Node
	address string
	drives  []node.Status
	err     error
}

// route is a way to a drive of another node.
type route struct {
	address string
	drive   RemoteDrive
}

// misses is how many questions a node may fail to answer before it is not alive.
const misses = 2

func (s *state) run(ctx context.Context, metadata Metadata) {
	ctx, cancel := context.WithCancel(ctx)
	defer s.asking.Wait()
	defer cancel()
	s.asking.Go(func() { s.d.watch(ctx, metadata, s.layouts) })
	var gossiped <-chan struct{}
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		if g := s.d.cfg.Gossip; g != nil && gossiped == nil {
			gossiped = g.Changed() // before Members: what changes in between is seen next
			s.members = g.Members()
			s.poll(ctx)
			s.publish()
		}
		select {
		case <-ctx.Done():
			return
		case <-gossiped:
			gossiped = nil
			signal(s.d.nudged)
		case l := <-s.layouts:
			s.layout = l
			s.publish()
		case a := <-s.answers:
			s.take(a)
		case <-s.d.wake:
			s.publish()
		case <-tick.C:
			tick.Reset(s.interval())
			s.poll(ctx)
			s.publish()
		}
	}
}

// interval is the time between questions to a node: longer where there are many.
func (s *state) interval() time.Duration {
	return max(s.d.cfg.PollInterval, time.Duration(len(s.nodes))*time.Second/maxPollsPerSecond)
}

// poll asks every storage node that gossip calls alive and that is not being asked.
func (s *state) poll(ctx context.Context) {
	alive := map[id.Node]bool{}
	for _, m := range s.members {
		if !m.Alive || !m.Storage || m.PeerAddress == "" || m.ID == s.d.cfg.Self.ID {
			continue
		}
		alive[m.ID] = true
		p := s.nodes[m.ID]
		if p == nil {
			p = &polled{}
			s.nodes[m.ID] = p
		}
		if p.address != m.PeerAddress {
			p.address, p.missed = m.PeerAddress, 0
		}
		if !p.busy {
			p.busy = true
			s.ask(ctx, m.ID, p.address, p.missed > 0)
		}
	}
	for n, p := range s.nodes {
		if !alive[n] && !p.busy {
			delete(s.nodes, n) // its drives' last statuses are in s.last
		}
	}
}

// ask asks a node on a goroutine of its own, twice unless it failed to answer before.
func (s *state) ask(ctx context.Context, n id.Node, address string, again bool) {
	s.asking.Go(func() {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		defer func() { <-s.slots }()
		a := answer{node: n, address: address}
		for try := 0; ; try++ {
			inner, cancel := context.WithTimeout(ctx, s.d.cfg.PollTimeout)
			a.drives, a.err = s.d.cfg.Ask(inner, address)
			cancel()
			if a.err == nil || again || try+1 == misses {
				break
			}
			select {
			case <-time.After(pollAgain):
			case <-ctx.Done():
				return
			}
		}
		select {
		case s.answers <- a:
		case <-ctx.Done():
		}
	})
}

// take takes an answer in. A failure stands for as many as make a node not alive: it was asked often enough.
func (s *state) take(a answer) {
	p := s.nodes[a.node]
	if p == nil {
		return
	}
	p.busy = false
	if p.address != a.address { // it moved while it was asked
		return
	}
	if a.err != nil {
		if p.missed < misses {
			s.d.cfg.Logger.Warn("a node does not answer", "node", a.node, "address", a.address, "error", a.err)
		}
		p.missed = misses
		s.publish()
		return
	}
	if p.missed >= misses {
		s.d.cfg.Logger.Info("a node answers again", "node", a.node, "address", a.address)
	}
	if len(a.drives) > maxDrivesOfNode {
		a.drives = a.drives[:maxDrivesOfNode]
	}
	changed := p.missed > 0 || p.at.IsZero() || !sameDrives(p.drives, a.drives)
	p.missed, p.drives, p.at = 0, a.drives, s.d.cfg.Now()
	for _, st := range a.drives {
		s.last[st.ID] = st
	}
	if changed { // else the next tick will do
		s.publish()
	}
}

// sameDrives reports whether two answers differ in free space at most.
func sameDrives(a, b []node.Status) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Out != b[i].Out || a[i].ReadOnly != b[i].ReadOnly || a[i].TotalBytes != b[i].TotalBytes {
			return false
		}
	}
	return true
}

// watch looks at the layout each interval and when it is nudged.
func (d *Directory) watch(ctx context.Context, metadata Metadata, layouts chan<- *metapb.ClusterLayout) {
	var known uint64
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.nudged:
		case <-timer.C:
		}
		inner, cancel := context.WithTimeout(ctx, watchTimeout)
		a, err := metadata.Ask(inner, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{KnownVersion: known}}})
		cancel()
		if err != nil {
			d.cfg.Logger.Debug("the layout cannot be read now", "error", err)
		} else if l := a.GetLayout(); l != nil && l.Version >= known {
			known = l.Version
			select {
			case layouts <- l:
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(d.cfg.WatchInterval)
		select {
		case <-time.After(watchPause):
		case <-ctx.Done():
			return
		}
	}
}
