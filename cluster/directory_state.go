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
	address  string
	gossiped bool // gossip calls it alive
	busy     bool // a question is under way
	doubted  bool // … and so is a hasty one: gossip has just called it dead
	silent   bool // it failed to answer
	gone     bool // it is not to be asked any more
	drives   []node.Status
	at       time.Time // of the last answer
	next     time.Time // not before it is asked again
}

// answer is that of a node, or that there was none.
type answer struct {
	node    id.Node
	address string
	hasty   bool
	drives  []node.Status
	err     error
}

// route is a way to a drive of another node.
type route struct {
	address string
	drive   RemoteDrive
}

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

// poll asks every storage node that is not being asked, at once where gossip has just called one
// dead: that alone is not believed, for it may be the gossip that does not come through.
func (s *state) poll(ctx context.Context) {
	now := s.d.cfg.Now()
	targets := s.targets()
	for n, t := range targets {
		p := s.nodes[n]
		if p == nil {
			p = &polled{silent: !t.gossiped}
			s.nodes[n] = p
		}
		p.gone = false
		if p.address != t.address {
			p.address, p.next = t.address, now
		}
		switch lost := p.gossiped && !t.gossiped; {
		case lost && !p.silent && !p.doubted:
			p.doubted = true
			s.ask(ctx, answer{node: n, address: p.address, hasty: true}, 1, s.d.cfg.PollTimeout/2)
		case t.gossiped && !p.gossiped:
			p.next = now
		}
		p.gossiped = t.gossiped
		if p.busy || now.Before(p.next) {
			continue
		}
		p.busy = true
		tries := 2
		if p.silent {
			tries = 1
		}
		s.ask(ctx, answer{node: n, address: p.address}, tries, s.d.cfg.PollTimeout)
	}
	for n, p := range s.nodes {
		if _, ok := targets[n]; ok {
			continue
		}
		if p.gone, p.silent = true, true; !p.busy && !p.doubted {
			delete(s.nodes, n) // its drives' last statuses are in s.last
		}
	}
}

// target is a node to ask.
type target struct {
	address  string
	gossiped bool
}

// targets are the storage nodes that gossip knows and those of the layout, but those that have just
// left: they may still answer, and should not be counted on.
func (s *state) targets() map[id.Node]target {
	all := map[id.Node]target{}
	if s.d.cfg.Ask == nil { // one process, whose layout may know nodes of earlier times
		return all
	}
	if s.layout != nil {
		for _, n := range s.layout.Nodes {
			if name, err := id.FromBytes[id.Node](n.Id); err == nil && n.Storage && n.State != metapb.Node_GONE && n.PeerAddress != "" {
				all[name] = target{address: n.PeerAddress}
			}
		}
	}
	for _, m := range s.members {
		switch _, known := all[m.ID]; {
		case m.Left && s.d.cfg.Now().Sub(m.Since) < lostInterval:
			delete(all, m.ID)
		case m.Storage && m.PeerAddress != "" && (known || m.Alive):
			all[m.ID] = target{m.PeerAddress, m.Alive}
		}
	}
	delete(all, s.d.cfg.Self.ID)
	s.dropFormer(all)
	return all
}

// dropFormer takes out nodes at whose address another one is now: a node that was wiped comes back as a
// new one, and what it answers is not the old one's.
func (s *state) dropFormer(all map[id.Node]target) {
	now := map[string]bool{s.d.cfg.Self.PeerAddress: true}
	for _, t := range all {
		now[t.address] = now[t.address] || t.gossiped
	}
	for n, t := range all {
		if now[t.address] && !t.gossiped {
			delete(all, n)
		}
	}
}

// ask asks a node on a goroutine of its own, up to so many times.
func (s *state) ask(ctx context.Context, a answer, tries int, timeout time.Duration) {
	s.asking.Go(func() {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		defer func() { <-s.slots }()
		for try := 1; ; try++ {
			inner, cancel := context.WithTimeout(ctx, timeout)
			a.drives, a.err = s.d.cfg.Ask(inner, a.address)
			cancel()
			if a.err == nil || try == tries {
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

// take takes an answer in.
func (s *state) take(a answer) {
	p := s.nodes[a.node]
	if p == nil {
		return
	}
	now := s.d.cfg.Now()
	if a.hasty {
		p.doubted = false
	} else {
		p.busy = false
		// It is asked at every tick, but one that nobody hears of less often.
		if p.next = now; a.err != nil && !p.gossiped {
			p.next = now.Add(lostInterval)
		}
	}
	if p.gone || p.address != a.address || a.err != nil && a.hasty && p.gossiped { // it moved or came back while it was asked
		return
	}
	if a.err != nil {
		if !p.silent {
			s.d.cfg.Logger.Warn("a node does not answer", "node", a.node, "address", a.address, "error", a.err)
			p.silent = true
			s.publish()
		}
		return
	}
	if p.silent && !p.at.IsZero() {
		s.d.cfg.Logger.Info("a node answers again", "node", a.node, "address", a.address)
	}
	if len(a.drives) > maxDrivesOfNode {
		a.drives = a.drives[:maxDrivesOfNode]
	}
	changed := p.silent || p.at.IsZero() || !sameDrives(p.drives, a.drives)
	p.silent, p.drives, p.at = false, a.drives, now
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
