package wire

import (
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/internal/id"
)

// search is asking around who leads what. One answer of a node tells of all groups, and one search
// serves all who wait.
type search struct {
	mu      sync.Mutex
	running chan struct{} // closed when the search under way is over; nil: none is
	last    time.Time     // when the last one ended
}

const (
	// searchPatience is how long a search waits for a node; what comes later is still taken.
	searchPatience = 300 * time.Millisecond
	// searchEvery is the least distance between two searches: a group without a leader has everyone
	// search again and again.
	searchEvery = 25 * time.Millisecond
	// hintTimeout is how long a node has for the answer.
	hintTimeout = 2 * time.Second
)

// find is the node to be asked for a group, not one of those tried; nil if none is known.
func (r *Router) find(ctx context.Context, group uint32, o op, tried []string) *caller {
	if c := r.seated(group, o, tried); c != nil {
		return c
	}
	if drive, ok := r.host.LeaderHint(group); ok {
		r.suggest(group, drive)
		if c := r.seated(group, o, tried); c != nil {
			return c
		}
	}
	if !r.searchNow(ctx) {
		return nil
	}
	return r.seated(group, o, tried)
}

// seated is the remembered leader, unless it was tried, or hangs.
func (r *Router) seated(group uint32, o op, tried []string) *caller {
	l := r.seats[group].leader.Load()
	if l == nil || slices.Contains(tried, l.address) {
		return nil
	}
	c := r.caller(l.address)
	if c.hung(o) {
		return nil
	}
	return c
}

// suggest remembers a leader that somebody heard of, if none that is well is known.
func (r *Router) suggest(group uint32, drive id.Drive) {
	address, ok := r.cfg.Peers.NodeOf(drive)
	if !ok || r.caller(address).hung(opPropose) {
		return
	}
	s := &r.seats[group]
	l := s.leader.Load()
	if l == nil || l.address != address && r.caller(l.address).hung(opPropose) {
		s.leader.CompareAndSwap(l, &leader{address: address})
	}
}

// searchNow runs a search, or joins the one under way. It reports whether there was one.
func (r *Router) searchNow(ctx context.Context) bool {
	s := &r.search
	s.mu.Lock()
	running := s.running
	if running == nil {
		if time.Since(s.last) < searchEvery {
			s.mu.Unlock()
			return false
		}
		running = make(chan struct{})
		s.running = running
		go func() {
			r.askAround()
			s.mu.Lock()
			s.running, s.last = nil, time.Now()
			s.mu.Unlock()
			close(running)
		}()
	}
	s.mu.Unlock()
	select {
	case <-running:
		return true
	case <-ctx.Done():
		return false
	}
}

// askAround asks all nodes, and returns when those that are well have answered or had time to.
func (r *Router) askAround() {
	r.counts.searches.Add(1)
	nodes := r.cfg.Peers.Nodes()
	answered := make(chan struct{}, len(nodes))
	awaited := 0
	for _, n := range nodes {
		c := r.caller(n.Address)
		well := n.Alive && !c.hung(opPropose)
		if well {
			awaited++
		}
		go func() {
			r.askHints(c)
			if well {
				answered <- struct{}{}
			}
		}()
	}
	timer := time.NewTimer(searchPatience)
	defer timer.Stop()
	for range awaited {
		select {
		case <-answered:
		case <-timer.C:
			return
		}
	}
}

func (r *Router) askHints(c *caller) {
	ctx, cancel := context.WithTimeout(r.life, hintTimeout)
	defer cancel()
	if a, err := c.do(ctx, request{op: opHints}); err == nil && a.status == statusOK {
		r.takeHints(c.address, decodeHints(a.payload))
	}
}

// takeHints remembers what a node says: that it leads a group, against everything; that another
// does, if nobody is known to.
func (r *Router) takeHints(address string, hints []hint) {
	news := false
	for g := range min(len(hints), len(r.seats)) {
		s := &r.seats[g]
		l := s.leader.Load()
		switch h := hints[g]; h.known {
		case hintLeads:
			news = s.heard(address, h.led) || news
		case hintHeard:
			r.suggest(uint32(g), h.drive)
			news = news || s.leader.Load() != l
		case hintNone:
			if l != nil && l.address == address {
				s.leader.CompareAndSwap(l, nil)
			}
		}
	}
	if news {
		r.broadcast()
	}
}

// pause waits for a change, but no longer than d.
func pause(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// readyPause is the longest wait between two looks for a leader.
const readyPause = 100 * time.Millisecond
