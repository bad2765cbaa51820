package operate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// groupTroubles is what a group has not that it should have.
func (p *picture) groupTroubles(g *replica.GroupStatus) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if g.Leader.IsZero() {
		say("no leader is known")
	}
	if g.Joint {
		say("its members are being changed")
	}
	for i := range g.Members {
		m := &g.Members[i]
		where := "drive " + m.Drive.String()[:shortID]
		if d := p.Drive(m.Drive); d != nil {
			where = fmt.Sprintf("drive %s (%s:%s)", m.Drive.String()[:shortID], p.nodeName(d.Node), d.Status.Path)
		}
		switch {
		case m.Lost:
			say("the replica on %s is lost; it is rebuilt", where)
		case !m.Voter:
			say("a new replica on %s is catching up", where)
		case !m.Active:
			say("the replica on %s was not heard of lately", where)
		}
	}
	for _, r := range g.Replicas {
		if r.Failed != "" {
			say("the replica on drive %s has stopped: %s", r.Drive.String()[:shortID], r.Failed)
		}
	}
	return all
}

// maxGroupLines bounds what is told of single groups: what troubles one usually troubles many.
const maxGroupLines = 6

// groupLines is what troubles groups besides that drives are away, which is told of the drives.
func (p *picture) groupLines() (lines []string) {
	short, more := 0, 0
	for i := range p.groups {
		g := p.groups[i]
		away := slices.ContainsFunc(g.Members, func(m replica.MemberStatus) bool { return !p.Alive(m.Drive) })
		if away {
			short++
			g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m replica.MemberStatus) bool { return !p.Alive(m.Drive) })
		}
		for _, t := range p.groupTroubles(&g) {
			if len(lines) < maxGroupLines {
				lines = append(lines, fmt.Sprintf("metadata group %d: %s", g.Group, t))
			} else {
				more++
			}
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more of the same kind: `holdfast admin status --groups`", more))
	}
	if short > 0 {
		lines = append(lines, fmt.Sprintf("%d of %d metadata groups have replicas on drives that are away or lost", short, len(p.groups)))
	}
	return lines
}

// plain is a time without what is zero in it.
func plain(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// troubles is what is not as it should be, for people, with what to do about it.
func (o *Operator) troubles(p *picture, reports []report, s *Status) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for i := range reports {
		if r := &reports[i]; r.err != nil {
			why := "does not answer"
			if r.node.Alive {
				why = "did not answer in time"
			}
			say("node %s %s: start it, or look at its log and its network; its part in the figures is missing", p.nodeName(r.node.ID), why)
		}
	}
	for i := range p.View.Drives {
		d := &p.View.Drives[i]
		name := fmt.Sprintf("drive %s (%s:%s)", d.ID.String()[:shortID], p.nodeName(d.Node), d.Status.Path)
		n := p.node(d.Node)
		switch {
		case d.State == metapb.Drive_GONE && !d.Removed:
			say("%s was given up; what it held is being rebuilt on others", name)
		case !inUse(d):
		case d.Status.Out && n != nil && n.Alive:
			say("%s is out: %s. Look at the disk; replace it, or start the node again to try it", name, d.Status.Reason)
		case !d.Alive:
			say("%s is away since %s UTC; after %s without it, what it held is rebuilt on others", name, d.Since.UTC().Format(time.DateTime), plain(o.after(p.View.Settings)))
		case d.Status.ReadOnly:
			say("%s is full: %s. Add drives, or delete objects", name, d.Status.Reason)
		case p.Fate(d.ID) == upkeep.Leaves && p.View.Settings.GetRebalancePaused():
			say("%s is to be emptied, but rebalancing is paused: `holdfast admin rebalance resume`", name)
		}
	}
	all = append(all, p.groupLines()...)
	if n := s.Rebalance.WaitingShards; n > 0 {
		say("%d shards should move and no drive takes them now: bring back or add drives", n)
	}
	if t := s.Redundancy.MayFail.Drives; t.Reads < 0 && len(p.View.Drives) > 0 {
		say("too much is missing: some data may be unreadable until drives come back")
	} else if t.Writes < 0 && len(p.View.Drives) > 0 {
		say("too few drives take writes: %d are needed for scheme %s; bring back or add drives", writeQuorum(p.View.Scheme.K, p.View.Scheme.M), p.View.Scheme)
	}
	return all
}
