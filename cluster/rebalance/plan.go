package rebalance

import (
	"slices"

	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
)

// planner says which shards of some data should be elsewhere, as the cluster is at one moment.
type planner struct {
	fleet  *upkeep.Fleet
	takes  func(id.Drive) bool   // drives that can be given a shard now
	stay   []placement.Candidate // where shards should be in the end
	usable []placement.Candidate // where they can go now
}

func newPlanner(f *upkeep.Fleet, takes func(id.Drive) bool) *planner {
	return &planner{
		fleet: f, takes: takes,
		stay:   f.Candidates(func(d id.Drive) bool { return f.Fate(d) == upkeep.Stays }),
		usable: f.Candidates(takes),
	}
}

// relocation is one shard that should be on another drive.
type relocation struct {
	index    int
	from, to id.Drive // to is zero while there is no drive for it
	leaves   bool     // its drive is to be emptied
}

// plan is what is to be done about some data.
type plan struct {
	moves   []relocation
	wanted  []id.Drive // that placement chooses
	missing int        // shards that are missing or lost
	held    int        // moves that wait until they are repaired
}

// plan compares the drives of some data with those that placement wants.
//
// Where a shard is missing or lost, repair goes first: it takes one of the drives that are wanted. Only what
// must leave a drive moves meanwhile, as repair may have to wait for that.
func (p *planner) plan(ref fanout.Ref) (out plan) {
	out.wanted, _ = placement.Choose(p.stay, ref.Data, len(ref.Drives))
	for i, d := range ref.Drives {
		fate := p.fleet.Fate(d)
		switch {
		case d.IsZero() || fate == upkeep.Lost:
			out.missing++
		case fate != upkeep.Unknown && !slices.Contains(out.wanted, d):
			out.moves = append(out.moves, relocation{index: i, from: d, leaves: fate == upkeep.Leaves})
		}
	}
	if out.missing > 0 {
		all := len(out.moves)
		out.moves = slices.DeleteFunc(out.moves, func(m relocation) bool { return !m.leaves })
		out.held = all - len(out.moves)
	}
	// What must leave is served first.
	slices.SortStableFunc(out.moves, func(a, b relocation) int { return rank(a) - rank(b) })
	p.assign(ref, out.moves, out.wanted)
	return out
}

func rank(m relocation) int {
	if m.leaves {
		return 0
	}
	return 1
}

// assign gives each move a drive that is wanted and has no shard of the data. What must leave takes
// another if none of those can take it now.
func (p *planner) assign(ref fanout.Ref, moves []relocation, wanted []id.Drive) {
	used := slices.Clone(ref.Drives)
	next := func(from []id.Drive) id.Drive {
		for _, d := range from {
			if !d.IsZero() && !slices.Contains(used, d) && p.takes(d) {
				used = append(used, d)
				return d
			}
		}
		return id.Drive{}
	}
	for i := range moves {
		m := &moves[i]
		if !m.leaves && !p.fleet.Alive(m.from) {
			continue // it may stay until its drive is back: copying is cheaper than rebuilding
		}
		m.to = next(wanted)
		if m.to.IsZero() && m.leaves {
			chosen, spares := placement.Choose(p.usable, ref.Data, len(ref.Drives))
			m.to = next(append(chosen, spares...))
		}
	}
}
