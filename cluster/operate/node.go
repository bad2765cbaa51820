package operate

import (
	"context"
	"strings"

	"holdfast/cluster"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// DrainNode has all drives of a node emptied.
func (o *Operator) DrainNode(ctx context.Context, name string) (Change, error) {
	if err := o.mover(); err != nil {
		return Change{}, err
	}
	return o.change(ctx, func(p *picture) (Change, error) {
		n, err := p.nodeOf(name)
		if err != nil {
			return Change{}, err
		}
		switch {
		case n.State == metapb.Node_GONE:
			return Change{}, refuse(CodeGone, "this node was removed already")
		case !n.Storage:
			return Change{}, refuse(CodeInvalid, "this node is a front and holds nothing: just stop it, then `holdfast admin node remove %s`", p.nodeName(n.ID))
		case n.State == metapb.Node_DRAINING:
			return p.nodeChange(n, false, StateDraining, "is being emptied already"), nil
		}
		leaving := map[id.Drive]bool{}
		for _, d := range p.drivesOf(n.ID) {
			if p.Fate(d.ID) == upkeep.Stays {
				leaving[d.ID] = true
			}
		}
		if len(leaving) > 0 {
			if err := p.enough(leaving); err != nil {
				return Change{}, err
			}
		}
		c := p.nodeChange(n, true, StateDraining, "is being emptied: %s. When all are retired, stop it, then `holdfast admin node remove %s`", many(len(leaving), "drive"), p.nodeName(n.ID))
		c.Warnings = p.warnings(leaving)
		if err := o.setNode(ctx, n.ID, false, metapb.Node_DRAINING, metapb.Node_ACTIVE); err != nil {
			return Change{}, err
		}
		return c, o.stillEnough(ctx, func() error { return o.setNode(ctx, n.ID, false, metapb.Node_ACTIVE, metapb.Node_DRAINING) })
	})
}

// UndrainNode has a node that was to be emptied stay. Drives of it that are empty by now stay out.
func (o *Operator) UndrainNode(ctx context.Context, name string) (Change, error) {
	return o.change(ctx, func(p *picture) (Change, error) {
		n, err := p.nodeOf(name)
		if err != nil {
			return Change{}, err
		}
		switch n.State {
		case metapb.Node_GONE:
			return Change{}, refuse(CodeGone, "this node was removed; that is not undone. Empty its data directories and start it: it joins as a new node")
		case metapb.Node_ACTIVE:
			return p.nodeChange(n, false, StateActive, "is in use already"), nil
		}
		c := p.nodeChange(n, true, StateActive, "stays")
		var out []string
		for _, d := range p.drivesOf(n.ID) {
			if d.State == metapb.Drive_RETIRED {
				out = append(out, d.Status.Path)
			}
		}
		if len(out) > 0 {
			c.Warnings = append(c.Warnings, "these drives were empty already and stay out; to use them again, stop the node, empty the directories, and start: "+strings.Join(out, ", "))
		}
		return c, o.setNode(ctx, n.ID, false, metapb.Node_ACTIVE, metapb.Node_DRAINING)
	})
}

// RemoveNode takes a node out of the cluster for good. One whose drives still hold something is refused
// without force; with it they are given up, and what they held is rebuilt on others.
func (o *Operator) RemoveNode(ctx context.Context, name string, force bool) (Change, error) {
	return o.change(ctx, func(p *picture) (Change, error) {
		n, err := p.nodeOf(name)
		if err != nil {
			return Change{}, err
		}
		if n.State == metapb.Node_GONE && n.Removed {
			return p.nodeChange(n, false, StateGone, "was removed already"), nil
		}
		var holding []*cluster.DriveView
		for _, d := range p.drivesOf(n.ID) {
			if inUse(d) {
				holding = append(holding, d)
			}
		}
		switch {
		case len(holding) == 0 && n.Alive && !n.Storage && !force:
			return Change{}, refuse(CodeStillRunning, "this front is running: stop it first, and it is taken off the list then; --force does so now")
		case len(holding) > 0 && !force && n.State == metapb.Node_DRAINING:
			return Change{}, refuse(CodeNotEmpty, "%s of this node are still being emptied: `holdfast admin node drain %s --wait` tells when all are. --force gives them up: what they hold is then rebuilt from the others",
				many(len(holding), "drive"), p.nodeName(n.ID))
		case len(holding) > 0 && !force:
			return Change{}, refuse(CodeNotEmpty, "%s of this node are in use. Drain it first: `holdfast admin node drain %s --wait`. If it is broken and will not come back, --force gives it up: its data is then rebuilt from the others",
				many(len(holding), "drive"), p.nodeName(n.ID))
		case len(holding) > 0:
			if err := o.mayGo(ctx, p, holding); err != nil {
				return Change{}, err
			}
		}
		// The drives first: interrupted in between, the node is there to be removed again.
		for _, d := range holding {
			if err := o.setDrive(ctx, d.ID, true, metapb.Drive_GONE, d.State); err != nil {
				return Change{}, err
			}
		}
		if err := o.setNode(ctx, n.ID, true, metapb.Node_GONE, n.State); err != nil {
			return Change{}, err
		}
		c := p.nodeChange(n, true, StateGone, "is removed")
		if len(holding) > 0 {
			c.Message += "; what its drives held is rebuilt on others: `holdfast admin repair status`"
		}
		if n.Alive {
			c.Warnings = append(c.Warnings, "it is running: stop it. To use the machine again, empty its data directories: it joins as a new node")
		}
		return c, nil
	})
}
