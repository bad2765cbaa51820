package operate

import (
	"context"
	"path/filepath"

	"holdfast/cluster"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// DrainDrive has a drive emptied: what it holds moves to the others, and nothing new goes to it.
func (o *Operator) DrainDrive(ctx context.Context, name string) (Change, error) {
	if err := o.mover(); err != nil {
		return Change{}, err
	}
	return o.change(ctx, func(p *picture) (Change, error) {
		d, err := p.drive(name)
		if err != nil {
			return Change{}, err
		}
		switch state := p.driveState(d); {
		case d.State == metapb.Drive_RETIRED:
			return p.driveChange(d, false, state, "is empty already and can be pulled"), nil
		case d.State == metapb.Drive_GONE:
			return Change{}, refuse(CodeGone, "this drive was given up; what it held is rebuilt on others, and there is nothing to drain: `holdfast admin repair status`")
		case d.State == metapb.Drive_DRAINING:
			return p.driveChange(d, false, state, "is being emptied already"), nil
		}
		leaving := map[id.Drive]bool{d.ID: true}
		if p.Fate(d.ID) == upkeep.Stays {
			if err := p.enough(leaving); err != nil {
				return Change{}, err
			}
		}
		c := p.driveChange(d, true, StateDraining, "is being emptied. It can be pulled when its state is retired")
		c.Warnings = p.warnings(leaving)
		if err := o.setDrive(ctx, d.ID, false, metapb.Drive_DRAINING, metapb.Drive_ACTIVE); err != nil {
			return Change{}, err
		}
		return c, o.stillEnough(ctx, func() error { return o.setDrive(ctx, d.ID, false, metapb.Drive_ACTIVE, metapb.Drive_DRAINING) })
	})
}

// UndrainDrive has a drive that was to be emptied stay.
func (o *Operator) UndrainDrive(ctx context.Context, name string) (Change, error) {
	return o.change(ctx, func(p *picture) (Change, error) {
		d, err := p.drive(name)
		if err != nil {
			return Change{}, err
		}
		switch {
		case d.State == metapb.Drive_RETIRED:
			return Change{}, refuse(CodeGone, "this drive is empty and out of the cluster. To use it again, stop its node, empty the directory, and start: it joins as a new drive")
		case d.State == metapb.Drive_GONE:
			return Change{}, refuse(CodeGone, "this drive was given up; that is not undone. To use it again, stop its node, empty the directory, and start: it joins as a new drive")
		case d.State == metapb.Drive_ACTIVE && p.Fate(d.ID) == upkeep.Leaves:
			return Change{}, refuse(CodeInvalid, "its whole node is drained: `holdfast admin node undrain %s`", p.nodeName(d.Node))
		case d.State == metapb.Drive_ACTIVE:
			return p.driveChange(d, false, StateActive, "is in use already"), nil
		}
		c := p.driveChange(d, true, StateActive, "stays. What has left it moves back where placement wants it")
		return c, o.setDrive(ctx, d.ID, false, metapb.Drive_ACTIVE, metapb.Drive_DRAINING)
	})
}

// RemoveDrive takes a drive out of the cluster for good. One that still holds something is refused without
// force; with it the drive is given up, and what it held is rebuilt on others.
func (o *Operator) RemoveDrive(ctx context.Context, name string, force bool) (Change, error) {
	return o.change(ctx, func(p *picture) (Change, error) {
		d, err := p.drive(name)
		if err != nil {
			return Change{}, err
		}
		switch {
		case d.State == metapb.Drive_RETIRED && d.Removed:
			return p.driveChange(d, false, StateRetired, "is out of the cluster already and can be pulled"), nil
		case d.State == metapb.Drive_RETIRED:
			return p.driveChange(d, true, StateRetired, "is out of the cluster and can be pulled"), o.setDrive(ctx, d.ID, true, metapb.Drive_RETIRED, metapb.Drive_RETIRED)
		case d.State == metapb.Drive_GONE && d.Removed:
			return p.driveChange(d, false, StateGone, "was removed already; what it held is rebuilt on others"), nil
		case d.State == metapb.Drive_GONE: // as lost as it can be
			return p.driveChange(d, true, StateGone, "is removed and will not come back by itself; what it held is rebuilt on others"), o.setDrive(ctx, d.ID, true, metapb.Drive_GONE, metapb.Drive_GONE)
		}
		empty, err := o.empty(ctx, p, d)
		switch {
		case empty && !force && p.Fate(d.ID) == upkeep.Stays: // something may be on its way there
			return Change{}, refuse(CodeNotEmpty, "this drive is in use, although it is empty now: `holdfast admin drive drain %s --wait` takes it out", d.ID.String()[:shortID])
		case empty && p.Fate(d.ID) == upkeep.Leaves:
			return p.driveChange(d, true, StateRetired, "was empty; it is out of the cluster and can be pulled"), o.setDrive(ctx, d.ID, true, metapb.Drive_RETIRED, d.State)
		case !force:
			return Change{}, p.notEmpty(d, err)
		}
		if err := o.mayGo(ctx, p, []*cluster.DriveView{d}); err != nil {
			return Change{}, err
		}
		c := p.driveChange(d, true, StateGone, "is removed; what it held is rebuilt on others: `holdfast admin repair status`")
		return c, o.setDrive(ctx, d.ID, true, metapb.Drive_GONE, d.State)
	})
}

func (p *picture) notEmpty(d *cluster.DriveView, unknown error) error {
	id := d.ID.String()[:shortID]
	holds := many(int(d.Status.Shards), "shard") + " and " + many(p.replicas()[d.ID], "metadata replica")
	if unknown != nil {
		holds = "something, as far as can be told"
	}
	return refuse(CodeNotEmpty, "this drive still holds %s. Drain it first: `holdfast admin drive drain %s --wait`. If it is broken and will not come back, --force gives it up: its data is then rebuilt from the others", holds, id)
}

// empty reports whether no record names a drive and no group has a replica there.
func (o *Operator) empty(ctx context.Context, p *picture, d *cluster.DriveView) (bool, error) {
	for i := range p.groups {
		if len(p.groups[i].Members) == 0 {
			return false, kind.New(kind.Unavailable, "operate: metadata group %d does not say where its replicas are", p.groups[i].Group)
		}
	}
	if p.replicas()[d.ID] > 0 {
		return false, nil
	}
	for g := uint32(1); g <= o.cfg.Metadata.Groups(); g++ {
		if named, err := upkeep.Named(ctx, o.cfg.Metadata, g, d.ID); err != nil || named {
			return false, err
		}
	}
	return true, nil
}

// mayGo refuses that drives are given up if what they held could not be rebuilt.
func (o *Operator) mayGo(ctx context.Context, p *picture, drives []*cluster.DriveView) error {
	lost := map[id.Drive]bool{}
	for _, d := range drives {
		lost[d.ID] = true
	}
	if err := p.enough(lost); err != nil {
		return err
	}
	var queued int64
	for _, r := range o.reports(ctx, p) {
		queued += r.Repair.Queued
	}
	return p.harm(lost, queued)
}

// AddDrive takes a directory of a node into service; of this node where none is named.
func (o *Operator) AddDrive(ctx context.Context, node, path string) (Change, error) {
	path = filepath.Clean(path)
	if !filepath.IsAbs(path) {
		return Change{}, refuse(CodeInvalid, "the directory is to be given by its absolute path on the node, and %q is none", path)
	}
	p, err := o.fresh(ctx)
	if err != nil {
		return Change{}, err
	}
	n := p.node(o.cfg.Node)
	if node != "" {
		if n, err = p.nodeOf(node); err != nil {
			return Change{}, err
		}
	}
	if n == nil {
		return Change{}, refuse(CodeUnknownNode, "say by --node which node has the directory")
	}
	for _, d := range p.drivesOf(n.ID) {
		if inUse(d) && d.Alive && filepath.Clean(d.Status.Path) == path {
			return p.driveChange(d, false, p.driveState(d), "is in use already"), nil
		}
	}
	var drive id.Drive
	if n.Local || n.ID == o.cfg.Node {
		drive, err = o.addHere(ctx, path)
	} else {
		var a addAnswer
		a, err = ask[addAnswer](ctx, o, n, methodAddDrive, addRequest{path})
		drive = a.Drive
	}
	if err != nil {
		return Change{}, asRefused(err)
	}
	o.seeChange(ctx)
	view := &cluster.DriveView{ID: drive, Node: n.ID}
	view.Status.Path = path
	c := p.driveChange(view, true, StateActive, "is in use; data moves to it now: `holdfast admin rebalance status --watch`")
	c.Warnings = []string{"add --data " + path + " to how the node is started, or the drive is missing after its next start"}
	return c, nil
}

// addHere takes a directory of this node.
func (o *Operator) addHere(ctx context.Context, path string) (id.Drive, error) {
	if o.cfg.AddDrive == nil {
		return id.Drive{}, refuse(CodeUnsupported, "this node takes no drives while it runs: start it again with --data %s besides the others", path)
	}
	if !filepath.IsAbs(path) {
		return id.Drive{}, refuse(CodeInvalid, "%q is no absolute path", path)
	}
	return o.cfg.AddDrive(ctx, filepath.Clean(path))
}
