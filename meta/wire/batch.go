package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// AskMany asks several groups the same: those led here directly, the others by one request to each
// node that leads some of them. Answers and errors are in the order of groups; an error says no more
// than that the group should be asked by itself.
func (r *Router) AskMany(ctx context.Context, groups []uint32, q *metapb.Query) ([]*metapb.Answer, []error) {
	answers, errs := make([]*metapb.Answer, len(groups)), make([]error, len(groups))
	query, err := proto.Marshal(q)
	if err != nil {
		for i := range errs {
			errs[i] = fmt.Errorf("wire: encode query: %w", err)
		}
		return answers, errs
	}
	here, there := r.split(ctx, groups, errs)
	var wg sync.WaitGroup
	for _, i := range here {
		wg.Go(func() { answers[i], errs[i] = r.host.Ask(ctx, groups[i], q) })
	}
	for c, at := range there {
		wg.Go(func() { r.askNode(ctx, c, groups, at, query, answers, errs) })
	}
	wg.Wait()
	return answers, errs
}

// split says which groups are led here, and which by whom; by their places in groups.
func (r *Router) split(ctx context.Context, groups []uint32, errs []error) (here []int, there map[*caller][]int) {
	there = map[*caller][]int{}
	searched := false
	for i, g := range groups {
		if int(g) >= len(r.seats) {
			errs[i] = fmt.Errorf("wire: no group %d", g)
			continue
		}
		if r.host.Leads(g) {
			here = append(here, i)
			continue
		}
		c := r.seated(g, opAsk, nil)
		if c == nil && !searched {
			c, searched = r.find(ctx, g, opAsk, nil), true
		}
		if c == nil {
			errs[i] = replica.ErrNotLeader
			continue
		}
		there[c] = append(there[c], i)
	}
	return here, there
}

// askNode sends one request for the groups at the places in at.
func (r *Router) askNode(ctx context.Context, c *caller, groups []uint32, at []int, query []byte, answers []*metapb.Answer, errs []error) {
	place := make(map[uint32]int, len(at))
	asked := make([]uint32, 0, len(at))
	for _, i := range at {
		errs[i] = replica.ErrNotLeader // until an answer says otherwise
		if _, twice := place[groups[i]]; !twice {
			place[groups[i]] = i
			asked = append(asked, groups[i])
		}
	}
	_ = c.doMany(ctx, request{op: opAskMany, payload: batchPayload(asked, query)}, len(asked), func(a answer) {
		i, ok := place[a.group]
		if !ok {
			return
		}
		r.learn(a.group, c.address, &a)
		if errs[i] = a.err(); errs[i] == nil {
			answers[i], errs[i] = decodeAnswer(a.payload)
		}
	})
}

// WaitReady returns when every group has a leader that answers, wherever it is.
func (r *Router) WaitReady(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, len(r.seats))
	for g := range r.seats {
		wg.Go(func() { errs <- r.waitLeader(ctx, uint32(g)) })
	}
	wg.Wait()
	for range r.seats {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// beyond is an index that no log reaches: to ask what became of it, a leader must be confirmed.
const beyond = 1 << 62

func (r *Router) waitLeader(ctx context.Context, group uint32) error {
	for {
		changed := r.Changed()
		_, _, err := r.Outcome(ctx, &replica.UnknownError{Group: group, Index: beyond})
		if err == nil || !kind.Is(err, kind.NotLeader) && !kind.Is(err, kind.Unavailable) {
			return err
		}
		if err := pause(ctx, changed, readyPause); err != nil {
			return err
		}
	}
}

// Status is a picture of all groups and drives of the cluster: each node's own, as far as they answer.
func (r *Router) Status(ctx context.Context) replica.Status {
	out := r.host.Status(ctx)
	var mu sync.Mutex
	r.eachNode(ctx, opStatus, func(payload []byte) {
		var s replica.Status
		if json.Unmarshal(payload, &s) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		out.Drives = append(out.Drives, s.Drives...)
		for g := range min(len(out.Groups), len(s.Groups)) {
			out.Groups[g] = joinStatus(out.Groups[g], s.Groups[g])
		}
	})
	return out
}

// joinStatus joins what two nodes say of a group. Of two that think they lead, the newer does.
func joinStatus(a, b replica.GroupStatus) replica.GroupStatus {
	replicas := append(a.Replicas, b.Replicas...)
	if a.Leader.IsZero() || !b.Leader.IsZero() && b.Term > a.Term {
		a = b
	}
	a.Replicas = replicas
	return a
}

// Missing lists the members of all groups that do not take part, as far as leaders answer.
func (r *Router) Missing(ctx context.Context) []replica.MissingReplica {
	out := r.host.Missing(ctx)
	var mu sync.Mutex
	r.eachNode(ctx, opMissing, func(payload []byte) {
		var some []replica.MissingReplica
		if json.Unmarshal(payload, &some) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		out = append(out, some...)
	})
	return out
}

// eachNode asks all nodes that do not hang.
func (r *Router) eachNode(ctx context.Context, o op, visit func(payload []byte)) {
	var wg sync.WaitGroup
	for _, n := range r.cfg.Peers.Nodes() {
		c := r.caller(n.Address)
		if c.hung(o) {
			continue
		}
		wg.Go(func() {
			if a, err := c.do(ctx, request{op: o}); err == nil && a.status == statusOK {
				visit(a.payload)
			}
		})
	}
	wg.Wait()
}
