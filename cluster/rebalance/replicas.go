package rebalance

import (
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
)

// moveReplicaTimeout bounds one move of a replica: a snapshot of millions of records. Interrupted, it
// goes on where it stood at the next look.
const moveReplicaTimeout = 10 * time.Minute

// abandonTimeout bounds the removal of a learner: a commit.
const abandonTimeout = 10 * time.Second

// A move between drives that both stay needs one with more replicas than the other by that many: a
// fresh one is to make them level, one that has begun must not make it worse.
const (
	freshGain = 2
	begunGain = 1
)

func (b *Rebalancer) replicaLoop(ctx context.Context) {
	var next time.Time
	var delay time.Duration
	steady := steady{}
	led := map[uint32]bool{}
	for pause(ctx, b.cfg.Poll) == nil {
		if b.gained(led) { // by a leader that should not move its own replica, or was gone in the middle
			next, delay = time.Time{}, 0
		}
		key, ok := steady.look(b)
		if !ok || !steady.changed && b.cfg.Now().Before(next) {
			continue
		}
		steady.changed = false
		switch moved, left := b.levelReplicas(ctx, key); {
		case moved: // what follows from that is looked at, at once
			next, delay = time.Time{}, 0
		case left:
			delay = min(b.cfg.DrainInterval, max(b.cfg.Poll, 2*delay))
			next = b.cfg.Now().Add(delay)
		default:
			next, delay = b.cfg.Now().Add(b.cfg.Interval), 0
		}
	}
}

// gained brings led up to date with the groups that are led here, and reports whether one came to it.
func (b *Rebalancer) gained(led map[uint32]bool) (gained bool) {
	for g := range b.cfg.Metadata.Groups() + 1 {
		leads := b.leads(g)
		gained = gained || leads && !led[g]
		led[g] = leads
	}
	return gained
}

// spread is where the replicas of all groups are.
type spread struct {
	counts map[id.Drive]int
	all    bool // of all groups: else the counts say nothing
}

func (b *Rebalancer) spreadNow(ctx context.Context) *spread {
	s := &spread{counts: map[id.Drive]int{}}
	members := b.members(ctx)
	for _, drives := range members {
		for _, d := range drives {
			s.counts[d]++
		}
	}
	s.all = len(members) == int(b.cfg.Metadata.Groups())+1
	return s
}

// levelReplicas moves at most one replica of each group led here, and reports whether it did, and whether there
// is more to do.
func (b *Rebalancer) levelReplicas(ctx context.Context, key situation) (moved, left bool) {
	now := b.spreadNow(ctx)
	groups := b.cfg.Groups.Status(ctx).Groups
	groups = slices.DeleteFunc(groups, func(g replica.GroupStatus) bool { return !b.leads(g.Group) || len(g.Members) == 0 })
	b.countLeaving(b.eye.Fleet(), groups)
	looked, unsettled := told{key: key}, int64(0)
	for i := range groups {
		if ctx.Err() != nil {
			return moved, true
		}
		f := b.eye.Fleet()
		step := nextStep(f, &groups[i], now, b.takes(f))
		looked.groups = append(looked.groups, step.group)
		if step.rests {
			continue
		}
		unsettled++
		if b.paused() || !b.leads(step.group) || b.take(ctx, step) != nil {
			continue
		}
		moved, now = true, b.spreadNow(ctx) // others have moved some meanwhile
	}
	b.mu.Lock()
	b.replicasTold, b.progress.LeftReplicas = looked, unsettled
	b.mu.Unlock()
	return moved, unsettled > 0
}

// countLeaving takes in how many replicas are on drives that are to be emptied.
func (b *Rebalancer) countLeaving(f *upkeep.Fleet, groups []replica.GroupStatus) {
	leaving := map[id.Drive]int64{}
	for _, g := range groups {
		for _, m := range g.Members {
			if f.Fate(m.Drive) == upkeep.Leaves {
				leaving[m.Drive]++
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicasLeft = leaving
}

// step is what a group needs next.
type step struct {
	group    uint32
	rests    bool     // nothing
	from, to id.Drive // a replica is to move; to is zero while there is no drive for it
	abandon  bool     // its learner is to go
}

var errWaits = errors.New("rebalance: a replica has to wait")

// nextStep decides. A move that another leader has begun is gone on with if it is as good as it was then.
func nextStep(f *upkeep.Fleet, g *replica.GroupStatus, now *spread, takes func(id.Drive) bool) step {
	s := step{group: g.Group}
	learner, begun := upkeep.Learner(g)
	switch {
	case g.Joint: // that passes
	case !upkeep.Whole(g): // repair sees to it, or that passes, too; then there may be something to move
		from, _ := moveOf(f, g, now, freshGain, takes)
		s.rests = from.IsZero() && !begun
	case begun:
		s.from, s.to = moveOf(f, g, now, begunGain, func(d id.Drive) bool { return d == learner && takes(d) })
		if s.to.IsZero() { // another drive may have to give up its replica
			s.from, s.to = moveOf(f, g, now, freshGain, takes)
		}
		s.abandon = s.to.IsZero() && f.Alive(learner) // else it waits for its drive a little
	default:
		s.from, s.to = moveOf(f, g, now, freshGain, takes)
		s.rests = s.from.IsZero()
	}
	return s
}

// take takes a step. errWaits says that there is none to take now.
func (b *Rebalancer) take(ctx context.Context, s step) error {
	switch {
	case s.abandon:
		ctx, cancel := context.WithTimeout(ctx, abandonTimeout)
		defer cancel()
		b.cfg.Logger.Info("a metadata replica's move that was begun is given up", "group", s.group)
		return b.cfg.Groups.AbandonMove(ctx, s.group)
	case s.to.IsZero():
		return errWaits
	}
	return b.moveReplica(ctx, s.group, s.from, s.to)
}

func (b *Rebalancer) moveReplica(ctx context.Context, group uint32, from, to id.Drive) error {
	moving, cancel := context.WithTimeout(ctx, moveReplicaTimeout)
	defer cancel()
	go b.watchTarget(moving, cancel, to)
	begin := b.cfg.Now()
	if err := b.cfg.Groups.MoveReplica(moving, group, from, to); err != nil {
		if ctx.Err() == nil && !kind.Is(err, kind.NotLeader) { // else the new leader does it
			b.cfg.Logger.Warn("a metadata replica could not be moved yet; it is tried again", "group", group, "from", from, "to", to, "error", err)
		}
		return err
	}
	b.mu.Lock()
	b.progress.MovedReplicas++
	if b.replicasLeft[from]--; b.replicasLeft[from] <= 0 {
		delete(b.replicasLeft, from)
	}
	b.mu.Unlock()
	b.cfg.Logger.Info("a metadata replica was moved", "group", group, "from", from, "to", to, "took", b.cfg.Now().Sub(begin).Round(time.Millisecond).String())
	return nil
}

// watchTarget ends a move whose target has taken nothing for a while: other groups' replicas wait for it.
func (b *Rebalancer) watchTarget(moving context.Context, end func(), to id.Drive) {
	last := b.cfg.Now()
	for pause(moving, b.cfg.Poll) == nil {
		if b.takes(b.eye.Fleet())(to) {
			last = b.cfg.Now()
		} else if b.cfg.Now().Sub(last) >= b.cfg.Settle {
			end()
		}
	}
}

// moveOf chooses the replica of a group that should move next, and where to. from is zero if none
// should, to is zero if there is no drive for it now. A learner is as if it were not there.
func moveOf(f *upkeep.Fleet, g *replica.GroupStatus, now *spread, least int, takes func(id.Drive) bool) (from, to id.Drive) {
	members := upkeep.Voters(g)
	learner, _ := upkeep.Learner(g)
	count := func(d id.Drive) int {
		if d == learner {
			return now.counts[d] - 1
		}
		return now.counts[d]
	}
	stay := f.Candidates(func(d id.Drive) bool { return f.Fate(d) == upkeep.Stays })
	for _, d := range members {
		if f.Fate(d) == upkeep.Leaves {
			to, ok := upkeep.ReplicaTarget(only(stay, takes), g.Group, members, d)
			if !ok {
				to = id.Drive{}
			}
			return d, to
		}
	}
	wanted := placement.Replicas(stay, g.Group, len(members))
	dist := distances(stay)
	before := dist(members)
	type choice struct{ spread, gain int }
	best := choice{spread: before}
	for _, x := range members {
		if slices.Contains(wanted, x) || f.Fate(x) != upkeep.Stays {
			continue
		}
		for _, y := range wanted {
			if slices.Contains(members, y) || !takes(y) {
				continue
			}
			after := slices.Clone(members)
			after[slices.Index(after, x)] = y
			c := choice{dist(after), count(x) - count(y)}
			if c.spread > before || c.spread == before && (c.gain < least || !now.all) {
				continue
			}
			if from.IsZero() || c.spread < best.spread || c.spread == best.spread && c.gain > best.gain {
				from, to, best = x, y, c
			}
		}
	}
	return from, to
}

// only makes those candidates healthy of which fit holds.
func only(candidates []placement.Candidate, fit func(id.Drive) bool) []placement.Candidate {
	out := slices.Clone(candidates)
	for i := range out {
		out[i].Healthy = out[i].Healthy && fit(out[i].ID)
	}
	return out
}

// distances makes a measure of how crowded zones and nodes are by some drives: less is better, and zones
// go before nodes.
func distances(candidates []placement.Candidate) func([]id.Drive) int {
	at := make(map[id.Drive]*placement.Candidate, len(candidates))
	for i := range candidates {
		at[candidates[i].ID] = &candidates[i]
	}
	return func(drives []id.Drive) (sum int) {
		zones, nodes := map[string]int{}, map[id.Node]int{}
		for _, d := range drives {
			if c := at[d]; c != nil {
				zones[c.Zone]++
				nodes[c.Node]++
			}
		}
		for _, n := range zones {
			sum += n * n << 16
		}
		for _, n := range nodes {
			sum += n * n
		}
		return sum
	}
}
