package operate

import (
	"context"
	"fmt"

	"holdfast/cluster"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// Change is what came of a change.
type Change struct {
	// Changed: it was not so before.
	Changed bool   `json:"changed"`
	What    string `json:"what"`  // "drive" or "node"
	ID      string `json:"id"`    //
	State   string `json:"state"` // of it, now
	Message string `json:"message"`
	// Warnings is what should be known before it is left at that.
	Warnings []string `json:"warnings,omitempty"`
}

// driveChange says what became of a drive.
func (p *picture) driveChange(d *cluster.DriveView, changed bool, state, format string, args ...any) Change {
	name := fmt.Sprintf("drive %s (%s:%s) ", d.ID.String()[:shortID], p.nodeName(d.Node), d.Status.Path)
	return Change{Changed: changed, What: "drive", ID: d.ID.String(), State: state, Message: name + fmt.Sprintf(format, args...)}
}

func (p *picture) nodeChange(n *cluster.NodeView, changed bool, state, format string, args ...any) Change {
	return Change{Changed: changed, What: "node", ID: n.ID.String(), State: state, Message: "node " + p.nodeName(n.ID) + " " + fmt.Sprintf(format, args...)}
}

// change carries out a change that is decided by the layout of now, again if another got in between.
func (o *Operator) change(ctx context.Context, decide func(p *picture) (Change, error)) (Change, error) {
	for try := 1; ; try++ {
		p, err := o.fresh(ctx)
		if err != nil {
			return Change{}, err
		}
		c, err := decide(p)
		if kind.Is(err, kind.Conflict) && try < maxTries {
			continue
		}
		if err == nil && c.Changed {
			o.seeChange(ctx)
		}
		return c, asRefused(err)
	}
}

// seeChange has everybody look at the layout, and waits until this node's View has it: who changed something
// and then looks should find it changed.
func (o *Operator) seeChange(ctx context.Context) {
	o.cfg.Layout.Nudge()
	ctx, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	a, err := o.cfg.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{}}})
	if err == nil {
		err = o.cfg.Layout.WaitLayout(ctx, a.GetLayout().GetVersion())
	}
	if err != nil { // it is done all the same, and seen a little later
		o.cfg.Logger.DebugContext(ctx, "a change of the layout is not seen here yet", "error", err)
	}
}

// mover refuses to drain where nothing would move.
func (o *Operator) mover() error {
	if o.cfg.Dial == nil && o.cfg.Rebalance == nil {
		return refuse(CodeUnsupported, "this server is alone and moves no data: start it as a node of a cluster (--join or --expect)")
	}
	return nil
}

// enough refuses that drives leave if too few stay for a piece of data, or for a group's replicas.
func (p *picture) enough(leaving map[id.Drive]bool) error {
	before := len(p.those(func(d *cluster.DriveView) bool { return p.Fate(d.ID) == upkeep.Stays }))
	after := len(p.those(func(d *cluster.DriveView) bool { return p.Fate(d.ID) == upkeep.Stays && !leaving[d.ID] }))
	if n := p.View.Scheme.Shards(); after < n {
		return refuse(CodeTooFewDrives, "scheme %s needs %d drives: %d stay now and %d would be left. Add %s first: `holdfast admin drive add`, or start another node",
			p.View.Scheme, n, before, after, many(n-after, "drive"))
	}
	if n := p.members(); after < n {
		return refuse(CodeTooFewDrives, "each metadata group has %d replicas, on as many drives: %d drives stay now and %d would be left. Add %s first", n, before, after, many(n-after, "drive"))
	}
	return nil
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// warnings is what should be known about drives that leave.
func (p *picture) warnings(leaving map[id.Drive]bool) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	takers, free, used := 0, int64(0), int64(0)
	for i := range p.View.Drives {
		d := &p.View.Drives[i]
		switch {
		case leaving[d.ID]:
			used += d.Status.TotalBytes - d.Status.FreeBytes
			if !p.Alive(d.ID) {
				say("drive %s does not answer: what it holds is rebuilt from the others instead of copied", d.ID.String()[:shortID])
			}
		case p.Takes(d.ID):
			takers++
			free += d.Status.FreeBytes
		}
	}
	if n := p.View.Scheme.Shards(); takers < n {
		say("only %s take data now, and scheme %s needs %d: some of it waits until others are back", many(takers, "other drive"), p.View.Scheme, n)
	}
	if used > free {
		say("up to %d bytes are to be moved and the other drives have %d free: they may fill up; add drives", used, free)
	}
	if p.View.Settings.GetRebalancePaused() {
		say("rebalancing is paused: nothing moves until `holdfast admin rebalance resume`")
	}
	had := map[string]bool{}
	for _, s := range p.shortcomings(nil) {
		had[s] = true
	}
	for _, s := range p.shortcomings(leaving) {
		if !had[s] {
			say("without it: %s", s)
		}
	}
	return all
}

func (o *Operator) setDrive(ctx context.Context, d id.Drive, removed bool, to metapb.Drive_State, from ...metapb.Drive_State) error {
	return upkeep.SetState(ctx, o.cfg.Metadata, o.cfg.Now().UnixMilli(), d, removed, to, from...)
}

func (o *Operator) setNode(ctx context.Context, n id.Node, removed bool, to metapb.Node_State, from ...metapb.Node_State) error {
	_, err := o.cfg.Metadata.Apply(ctx, meta.SystemGroup, &metapb.Command{NowMs: o.cfg.Now().UnixMilli(), Op: &metapb.Command_PutNode{PutNode: &metapb.PutNode{
		Node: &metapb.Node{Id: n[:], State: to, Removed: removed}, StateOnly: true, IfState: from}}})
	return err
}

// stillEnough looks again after drives were told to leave: another may have had others leave at the same time.
// Of two such, the later one sees both. undo takes the change back.
func (o *Operator) stillEnough(ctx context.Context, undo func() error) error {
	p, err := o.fresh(ctx)
	if err != nil {
		return nil // it was enough when it was decided, and whoever else changed something looks too
	}
	if err := p.enough(nil); err != nil {
		if undone := undo(); undone != nil {
			return fmt.Errorf("operate: %w; and taking it back failed: %w", err, undone)
		}
		return err
	}
	return nil
}
