package forming

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/proto/formpb"
)

// onHello answers a greeting.
func (f *Former) onHello(peer id.Node, h *formpb.Hello) (*formpb.Hello, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.hear(h)
	if err != nil {
		return nil, err
	}
	if n != peer {
		return nil, fmt.Errorf("forming: node %s says that it is %s", peer, n)
	}
	a := f.hello()
	a.Verdict = f.judge(h.PlanId, h.Cluster)
	return a, nil
}

func no(format string, args ...any) (*formpb.Outcome, error) {
	return &formpb.Outcome{Reason: fmt.Sprintf(format, args...)}, nil
}

// onAccept promises to follow a plan, or says why not.
func (f *Former) onAccept(peer id.Node, p *formpb.Plan) (*formpb.Outcome, error) {
	plan, err := planOf(p)
	if err != nil {
		return nil, err
	}
	if plan.Coordinator != peer {
		return no("the plan is another node's")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.phase() {
	case formpb.Phase_MEMBER:
		return no("it belongs to cluster %s", f.member)
	case formpb.Phase_ACCEPTED, formpb.Phase_COMMITTED:
		if bytes.Equal(f.saved.Plan.Id, p.Id) {
			return &formpb.Outcome{Done: true}, nil
		}
		return no("it has accepted another plan, that of node %x", f.saved.Plan.Coordinator)
	}
	if reason := f.objection(plan); reason != "" {
		return no("%s", reason)
	}
	if err := f.write(formpb.Phase_ACCEPTED, proto.CloneOf(p)); err != nil {
		return nil, err
	}
	f.cfg.Logger.Info("a plan for a new cluster is accepted", "cluster", plan.Cluster, "coordinator", plan.Coordinator)
	return &formpb.Outcome{Done: true}, nil
}

// objection is why this node cannot follow a plan.
func (f *Former) objection(p *Plan) string {
	if p.expect != f.cfg.Expect {
		return fmt.Sprintf("it expects %d nodes and not %d", f.cfg.Expect, p.expect)
	}
	if s := f.cfg.Scheme; s.K != 0 && s != p.Scheme {
		return fmt.Sprintf("it wants the scheme %s and not %s", s, p.Scheme)
	}
	for _, n := range p.Nodes {
		if n.ID != f.cfg.Self.ID {
			continue
		}
		var paths []string
		for _, d := range n.Drives {
			paths = append(paths, d.Path)
		}
		if !slices.Equal(paths, f.cfg.Self.Paths) {
			return "it has other drives by now"
		}
		return ""
	}
	return "it is not part of the plan"
}

// onDecide takes in that a plan holds or was given up.
func (f *Former) onDecide(peer id.Node, d *formpb.Decision) (*formpb.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	phase := f.phase()
	if phase == formpb.Phase_MEMBER || phase == formpb.Phase_IDLE || !bytes.Equal(f.saved.Plan.Id, d.PlanId) {
		return no("it has no such plan")
	}
	if !inPlan(f.saved.Plan, peer) {
		return no("node %s is not part of the plan", peer)
	}
	switch {
	case d.Commit && phase == formpb.Phase_ACCEPTED:
		if err := f.write(formpb.Phase_COMMITTED, f.saved.Plan); err != nil {
			return nil, err
		}
	case !d.Commit && phase == formpb.Phase_COMMITTED:
		return no("the plan holds")
	case !d.Commit && !bytes.Equal(f.saved.Plan.Coordinator, peer[:]):
		return no("only its coordinator gives a plan up")
	case !d.Commit:
		if err := f.write(formpb.Phase_IDLE, nil); err != nil {
			return nil, err
		}
	}
	return &formpb.Outcome{Done: true}, nil
}

func inPlan(p *formpb.Plan, n id.Node) bool {
	return slices.ContainsFunc(p.Nodes, func(x *formpb.PlannedNode) bool { return bytes.Equal(x.Info.GetId(), n[:]) })
}
