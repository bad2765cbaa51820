package forming

import (
	"bytes"
	"context"
	"slices"
	"time"
)

const (
	// askAgain is the time between questions to an address for its gossip; askSoon if it did not answer.
	askAgain = 15 * time.Second
	askSoon  = 3 * time.Second
)

// Seeds are the addresses of the gossip of other nodes of the cluster: of those that answer at the
// addresses of --join, and of those that formed the cluster with this node. It may be called as often
// as one likes.
func (f *Former) Seeds(ctx context.Context) []string {
	now := time.Now()
	f.mu.Lock()
	h := f.hello()
	var due []string
	for _, a := range f.cfg.Join {
		if t := f.addresses[a]; t != nil && !t.self && !now.Before(t.next) {
			due = append(due, a)
		}
	}
	f.mu.Unlock()
	each(ctx, due, func(ctx context.Context, address string) {
		a, err := f.cfg.Caller.Hello(ctx, address, h)
		f.mu.Lock()
		defer f.mu.Unlock()
		t := f.addresses[address]
		if t.err, t.next = err, time.Now().Add(askSoon); err != nil {
			return
		}
		n, err := f.hear(a)
		t.err, t.node, t.self = err, n, err == nil && n == f.cfg.Self.ID
		if t.next = time.Now().Add(askAgain); err == nil && bytes.Equal(a.Cluster, h.Cluster) {
			t.gossip = a.Self.GossipAddress
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	var seeds []string
	for _, t := range f.addresses {
		if t.gossip != "" && !t.self {
			seeds = append(seeds, t.gossip)
		}
	}
	for _, n := range f.saved.GetPlan().GetNodes() {
		if g := n.Info.GetGossipAddress(); g != "" && !bytes.Equal(n.Info.Id, f.cfg.Self.ID[:]) {
			seeds = append(seeds, g)
		}
	}
	slices.Sort(seeds)
	return slices.Compact(seeds)
}
