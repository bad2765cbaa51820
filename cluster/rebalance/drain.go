package rebalance

import (
	"context"
	"slices"

	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

func (b *Rebalancer) drainLoop(ctx context.Context) {
	last := map[id.Drive]uint32{} // the group that named a drive last
	for pause(ctx, b.cfg.DrainInterval) == nil {
		if b.leads(meta.SystemGroup) {
			b.retireDrained(ctx, last)
		}
	}
}

// retireDrained retires the drives that were to leave and that nothing names any more. Who leads the
// system group asks all groups for it.
func (b *Rebalancer) retireDrained(ctx context.Context, last map[id.Drive]uint32) {
	f := b.eye.Fleet()
	var members map[uint32][]id.Drive
	for i := range f.View.Drives {
		d := &f.View.Drives[i]
		if f.Fate(d.ID) != upkeep.Leaves {
			delete(last, d.ID)
			continue
		}
		if members == nil {
			members = b.members(ctx)
		}
		empty, err := b.drained(ctx, d.ID, members, last)
		if err == nil && empty {
			// Removed: it would register again by itself otherwise, as one that was given up by mistake.
			err = upkeep.SetState(ctx, b.cfg.Metadata, b.cfg.Now().UnixMilli(), d.ID, true, metapb.Drive_RETIRED, d.State)
		}
		switch {
		case err != nil && ctx.Err() == nil && !kind.Is(err, kind.Conflict):
			b.cfg.Logger.Debug("whether a drive is empty could not be found out and is tried again", "drive", d.ID, "error", err)
		case err == nil && empty:
			b.cfg.Logger.Info("a drive was emptied and can be pulled", "drive", d.ID, "path", d.Status.Path)
		}
	}
}

// drained reports whether no record names a drive and no group has a replica there. A group that does
// not answer is no evidence.
func (b *Rebalancer) drained(ctx context.Context, d id.Drive, members map[uint32][]id.Drive, last map[id.Drive]uint32) (bool, error) {
	if b.cfg.Groups != nil || b.cfg.Members != nil {
		for g := range b.cfg.Metadata.Groups() + 1 {
			if len(members[g]) == 0 {
				return false, kind.New(kind.Unavailable, "rebalance: group %d does not say who is in it", g)
			}
			if slices.Contains(members[g], d) {
				return false, nil
			}
		}
	}
	first := max(1, last[d])
	for n := range b.cfg.Metadata.Groups() {
		g := (first-1+n)%b.cfg.Metadata.Groups() + 1
		if named, err := upkeep.Named(ctx, b.cfg.Metadata, g, d); named || err != nil {
			last[d] = g
			return false, err
		}
	}
	return true, nil
}

func (b *Rebalancer) members(ctx context.Context) map[uint32][]id.Drive {
	switch {
	case b.cfg.Members != nil:
		return b.cfg.Members(ctx)
	case b.cfg.Groups != nil:
		return upkeep.MembersOf(b.cfg.Groups.Status(ctx).Groups)
	}
	return nil
}
