package forming

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/id"
	"holdfast/proto/formpb"
)

// Result is what Run comes to.
type Result struct {
	Cluster id.Cluster
	// Plan is that of the cluster that this node has formed with others; nil if it joins one that
	// exists. After a crash a plan comes back until Settle was called, though its groups may have begun.
	Plan *Plan
}

// Run returns when this node belongs to a cluster: one that it forms with others, or one that exists.
// It fails if that cannot be: two clusters among the addresses, no stable storage, no scheme for the drives.
func (f *Former) Run(ctx context.Context) (Result, error) {
	for {
		if r, done, err := f.decided(ctx); done || err != nil {
			return r, err
		}
		f.greet(ctx)
		if err := f.step(ctx); err != nil {
			return Result{}, err
		}
		f.say()
		f.mu.Lock()
		phase := f.phase()
		f.mu.Unlock()
		if phase == formpb.Phase_COMMITTED || phase == formpb.Phase_MEMBER {
			continue
		}
		select {
		case <-ctx.Done():
			return Result{}, ctx.Err()
		case <-f.wake:
		case <-time.After(roundPause):
		}
	}
}

// decided reports whether the forming is over for this node.
func (f *Former) decided(ctx context.Context) (Result, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.phase() {
	case formpb.Phase_MEMBER:
		return Result{Cluster: f.member}, true, nil
	case formpb.Phase_COMMITTED:
		p := f.saved.Plan
		plan, err := planOf(p)
		if err != nil {
			return Result{}, false, err
		}
		f.mu.Unlock()
		f.spread(ctx, p)
		f.mu.Lock()
		f.cfg.Logger.Info("the cluster is formed", "cluster", plan.Cluster, "nodes", len(plan.Nodes), "scheme", plan.Scheme.String())
		return Result{Cluster: plan.Cluster, Plan: plan}, true, ctx.Err()
	}
	return Result{}, false, nil
}

// greet says hello to all addresses and takes in the answers.
func (f *Former) greet(ctx context.Context) {
	f.mu.Lock()
	h := f.hello()
	asked := f.saved.GetPlan().GetId()
	var addresses []string
	for a, t := range f.addresses {
		if !t.self {
			addresses = append(addresses, a)
		}
	}
	f.mu.Unlock()
	each(ctx, addresses, func(ctx context.Context, address string) {
		a, err := f.cfg.Caller.Hello(ctx, address, h)
		f.mu.Lock()
		defer f.mu.Unlock()
		t := f.addresses[address]
		if t.err = err; err != nil {
			return
		}
		n, err := f.hear(a)
		t.err, t.node, t.self = err, n, err == nil && n == f.cfg.Self.ID
		if err == nil && asked != nil && bytes.Equal(asked, f.saved.GetPlan().GetId()) {
			f.verdicts[n] = a.Verdict
		}
	})
}

// each calls all addresses, some at the same time, each within callTimeout.
func each(ctx context.Context, addresses []string, call func(ctx context.Context, address string)) {
	var wg sync.WaitGroup
	room := make(chan struct{}, maxCalls)
	for _, a := range addresses {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			call(ctx, a)
		})
	}
	wg.Wait()
}

// step does what follows from what this node knows now.
func (f *Former) step(ctx context.Context) error {
	f.mu.Lock()
	switch f.phase() {
	case formpb.Phase_IDLE:
		defer f.mu.Unlock()
		return f.idle()
	case formpb.Phase_ACCEPTED:
		p := f.saved.Plan
		if bytes.Equal(p.Coordinator, f.cfg.Self.ID[:]) {
			f.mu.Unlock()
			return f.coordinate(ctx, p)
		}
		defer f.mu.Unlock()
		return f.follow(p)
	}
	f.mu.Unlock()
	return nil
}

// idle joins a cluster that exists, or makes a plan if it is this node's turn. The lock is held.
func (f *Former) idle() error {
	if joined, err := f.existing(); joined || err != nil {
		return err
	}
	now := time.Now()
	in := f.eligible(now)
	names := ""
	for _, i := range in {
		names += string(i.Id)
	}
	settled := names == f.settling
	f.settling = names
	if f.cfg.Expect == 0 || len(in) < f.cfg.Expect || !settled || now.Before(f.notBefore) || !bytes.Equal(in[0].Id, f.cfg.Self.ID[:]) {
		return nil
	}
	p, err := draw(in[:f.cfg.Expect], f.cfg.Self.ID, &f.cfg, now)
	if err != nil {
		return err
	}
	return f.write(formpb.Phase_ACCEPTED, p)
}

// existing joins the cluster that others belong to.
func (f *Former) existing() (bool, error) {
	now := time.Now()
	var found id.Cluster
	var by *formpb.Info
	for _, s := range f.sights {
		if now.Sub(s.at) > fresh || s.hello.Phase != formpb.Phase_MEMBER && s.hello.Phase != formpb.Phase_COMMITTED {
			continue
		}
		c, err := id.FromBytes[id.Cluster](s.hello.Cluster)
		if err != nil || c.IsZero() {
			continue
		}
		if by != nil && c != found {
			return false, fmt.Errorf("forming: node %s belongs to cluster %s, node %s to cluster %s: --join must name nodes of one cluster",
				nodeName(by), found, nodeName(s.hello.Self), c)
		}
		found, by = c, s.hello.Self
	}
	if by == nil {
		return false, nil
	}
	f.cfg.Logger.Info("joining a cluster", "cluster", found, "by", nodeName(by))
	f.member = found
	return true, nil
}

// eligible are the nodes in sight that could form a cluster with this one, itself too, by ID.
func (f *Former) eligible(now time.Time) []*formpb.Info {
	self := f.hello()
	in := []*formpb.Info{self.Self}
	for _, s := range f.sights {
		h := s.hello
		if now.Sub(s.at) <= fresh && h.Phase == formpb.Phase_IDLE && len(h.Self.Paths) > 0 && f.mismatch(h) == "" {
			in = append(in, h.Self)
		}
	}
	slices.SortFunc(in, func(a, b *formpb.Info) int { return bytes.Compare(a.Id, b.Id) })
	return in
}

// mismatch is why a node that forms cannot form with this one.
func (f *Former) mismatch(h *formpb.Hello) string {
	switch {
	case int(h.Expect) != f.cfg.Expect:
		return fmt.Sprintf("%s was started with --expect %d, this node with --expect %d", nodeName(h.Self), h.Expect, f.cfg.Expect)
	case int(h.K) != f.cfg.Scheme.K || int(h.M) != f.cfg.Scheme.M:
		return fmt.Sprintf("%s was started with --scheme %d+%d, this node with %d+%d (0+0: none)", nodeName(h.Self), h.K, h.M, f.cfg.Scheme.K, f.cfg.Scheme.M)
	}
	return ""
}

// follow finds out what became of the plan that this node has accepted. The lock is held.
func (f *Former) follow(p *formpb.Plan) error {
	for _, v := range f.verdicts {
		if v == formpb.Hello_HOLDS {
			return f.write(formpb.Phase_COMMITTED, p)
		}
	}
	if f.verdicts[id.Node(p.Coordinator)] == formpb.Hello_UNKNOWN {
		f.cfg.Logger.Info("the plan for a new cluster was given up by its coordinator")
		return f.write(formpb.Phase_IDLE, nil)
	}
	return nil
}

// coordinate asks all for their acceptance, and decides.
func (f *Former) coordinate(ctx context.Context, p *formpb.Plan) error {
	var mu sync.Mutex
	waiting, refused := 0, ""
	each(ctx, f.others(p), func(ctx context.Context, address string) {
		o, err := f.cfg.Caller.Accept(ctx, address, p)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			waiting++
		case !o.Done:
			refused = address + ": " + o.Reason
		}
	})
	f.mu.Lock()
	late := time.Since(f.accepted) > acceptPatience
	switch {
	case ctx.Err() != nil || f.saved.Plan != p:
		f.mu.Unlock()
		return ctx.Err()
	case refused == "" && waiting == 0:
		defer f.mu.Unlock()
		return f.write(formpb.Phase_COMMITTED, p)
	case refused == "" && !late:
		f.mu.Unlock()
		return nil
	}
	f.cfg.Logger.Warn("a plan for a new cluster is given up", "reason", cmp.Or(refused, fmt.Sprintf("%d nodes do not answer", waiting)))
	err := f.write(formpb.Phase_IDLE, nil)
	f.notBefore = time.Now().Add(f.pause())
	f.mu.Unlock()
	if err != nil {
		return err
	}
	each(ctx, f.others(p), func(ctx context.Context, address string) {
		_, _ = f.cfg.Caller.Decide(ctx, address, &formpb.Decision{PlanId: p.Id}) // else they ask
	})
	return nil
}

// pause is a random time up to backoff.
func (f *Former) pause() time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(f.cfg.Rand, b[:]); err != nil {
		return backoff
	}
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(backoff))
}

// others are the addresses of a plan's other nodes.
func (f *Former) others(p *formpb.Plan) (addresses []string) {
	for _, n := range p.Nodes {
		if !bytes.Equal(n.Info.Id, f.cfg.Self.ID[:]) {
			addresses = append(addresses, n.Info.PeerAddress)
		}
	}
	return addresses
}

// spread tells the others that the plan holds, for a while. Who misses it asks.
func (f *Former) spread(ctx context.Context, p *formpb.Plan) {
	if !bytes.Equal(p.Coordinator, f.cfg.Self.ID[:]) {
		return
	}
	left := f.others(p)
	for until := time.Now().Add(commitPatience); len(left) > 0 && time.Now().Before(until) && ctx.Err() == nil; {
		var mu sync.Mutex
		var again []string
		each(ctx, left, func(ctx context.Context, address string) {
			if _, err := f.cfg.Caller.Decide(ctx, address, &formpb.Decision{PlanId: p.Id, Commit: true}); err != nil {
				mu.Lock()
				again = append(again, address)
				mu.Unlock()
			}
		})
		if left = again; len(left) > 0 {
			select {
			case <-time.After(roundPause):
			case <-ctx.Done():
			}
		}
	}
}

// say logs what is waited for, now and then.
func (f *Former) say() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.said) < sayEvery || f.phase() == formpb.Phase_MEMBER || f.phase() == formpb.Phase_COMMITTED {
		return
	}
	f.said = now
	f.cfg.Logger.Warn(f.waiting(now))
}

// Waiting says what the forming waits for, and what an operator could do.
func (f *Former) Waiting() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting(time.Now())
}

func (f *Former) waiting(now time.Time) string {
	var problems []string
	for a, t := range f.addresses {
		if t.err != nil && !t.self {
			problems = append(problems, fmt.Sprintf("%s does not answer: %v", a, t.err))
		}
	}
	for _, s := range f.sights {
		if now.Sub(s.at) <= fresh && s.hello.Phase == formpb.Phase_IDLE && len(s.hello.Self.Paths) > 0 && f.cfg.Expect > 0 {
			if m := f.mismatch(s.hello); m != "" {
				problems = append(problems, m)
			}
		}
	}
	slices.Sort(problems)
	text := "waiting for a node of an existing cluster to answer: --join must name one"
	switch {
	case f.phase() == formpb.Phase_ACCEPTED:
		text = f.waitingForPlan(now)
	case f.cfg.Expect > 0:
		in := f.eligible(now)
		var names []string
		for _, i := range in {
			names = append(names, nodeName(i))
		}
		text = fmt.Sprintf("waiting for %d more storage nodes of %d; here: %s", max(0, f.cfg.Expect-len(in)), f.cfg.Expect, strings.Join(names, ", "))
		if len(in) >= f.cfg.Expect {
			text = fmt.Sprintf("%d storage nodes of %d are here; waiting for the plan of %s", len(in), f.cfg.Expect, names[0])
		}
	}
	if len(problems) > 0 {
		text += "; " + strings.Join(problems, "; ")
	}
	return text
}

func (f *Former) waitingForPlan(now time.Time) string {
	p := f.saved.Plan
	if bytes.Equal(p.Coordinator, f.cfg.Self.ID[:]) {
		return "waiting until all nodes have accepted the plan for the new cluster"
	}
	name := fmt.Sprintf("%x", p.Coordinator)
	for _, n := range p.Nodes {
		if bytes.Equal(n.Info.Id, p.Coordinator) {
			name = nodeName(n.Info)
		}
	}
	text := "waiting for " + name + ", which coordinates the new cluster, to say whether all have accepted its plan"
	if now.Sub(f.accepted) > time.Minute {
		text += "; nothing is stored yet: if that node is gone for good, stop all nodes, remove node.json and forming.json from their data directories, and start them again"
	}
	return text
}
