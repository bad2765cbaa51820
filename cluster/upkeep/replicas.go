package upkeep

import (
	"slices"

	"holdfast/cluster/placement"
	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// MembersOf are the drives of each group that its leader told of.
func MembersOf(groups []replica.GroupStatus) map[uint32][]id.Drive {
	members := map[uint32][]id.Drive{}
	for _, g := range groups {
		for _, m := range g.Members {
			members[g.Group] = append(members[g.Group], m.Drive)
		}
	}
	return members
}

// Whole reports whether all voters of a group are well: only then may one be taken out. A learner is not
// counted, it is what a move left that was interrupted.
func Whole(g *replica.GroupStatus) bool {
	return !g.Joint && !slices.ContainsFunc(g.Members, func(m replica.MemberStatus) bool { return m.Voter && (!m.Active || m.Lost) })
}

// Voters are the drives of a group's members that vote.
func Voters(g *replica.GroupStatus) (drives []id.Drive) {
	for _, m := range g.Members {
		if m.Voter {
			drives = append(drives, m.Drive)
		}
	}
	return drives
}

// Learner is the drive of a member that does not vote: a replica on its way, of a move that is under way or
// was interrupted, as by a change of leaders.
func Learner(g *replica.GroupStatus) (d id.Drive, ok bool) {
	i := slices.IndexFunc(g.Members, func(m replica.MemberStatus) bool { return !m.Voter })
	if i < 0 {
		return d, false
	}
	return g.Members[i].Drive, true
}

// ReplicaTarget is a drive among the healthy candidates that is to take the place of a group's
// replica on from: of those that placement would choose for the group, the one furthest from the other
// members. If these are members all, it is one that placement would choose with more replicas.
func ReplicaTarget(candidates []placement.Candidate, group uint32, members []id.Drive, from id.Drive) (best id.Drive, ok bool) {
	zones, nodes := map[string]int{}, map[id.Node]int{}
	at := map[id.Drive]*placement.Candidate{}
	for i := range candidates {
		c := &candidates[i]
		at[c.ID] = c
		if c.ID != from && slices.Contains(members, c.ID) {
			zones[c.Zone]++
			nodes[c.Node]++
		}
	}
	for factor := max(1, len(members)); factor <= len(candidates) && !ok; factor++ {
		for _, d := range placement.Replicas(candidates, group, factor) {
			if d == from || slices.Contains(members, d) {
				continue
			}
			x, y := at[d], at[best]
			if !ok || zones[x.Zone] < zones[y.Zone] || zones[x.Zone] == zones[y.Zone] && nodes[x.Node] < nodes[y.Node] {
				best, ok = d, true
			}
		}
	}
	return best, ok
}
