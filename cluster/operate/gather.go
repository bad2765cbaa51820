package operate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// Status asks all nodes and joins what they say.
func (o *Operator) Status(ctx context.Context) Status {
	p := o.seen(ctx)
	v := p.View
	s := Status{Version: o.cfg.Version, Cluster: v.Cluster.String(), Scheme: v.Scheme.String(), Layout: v.Version, At: o.cfg.Now().UTC()}
	if n := p.node(o.cfg.Node); n != nil {
		s.Asked = p.nodeName(n.ID)
	}
	reports := o.reports(ctx, p)
	s.Groups = p.groupStatus()
	s.Nodes = p.nodeStatus(reports, s.Groups)
	s.Drives = p.driveStatus(reports)
	s.Capacity = p.capacity()
	s.Repair = o.repairStatus(p, reports)
	s.Rebalance = p.rebalanceStatus(reports, s.Drives)
	s.Scrub = p.scrubStatus(reports)
	for i := range reports {
		s.Healed += reports[i].Healed
	}
	s.Redundancy = p.redundancy(s.Repair.Queued)
	if v.Scheme.K > 0 {
		s.Placement = p.shortcomings(nil)
	}
	s.Trouble = o.troubles(p, reports, &s)
	s.Redundancy.Full = whole(p, reports, &s)
	s.Repair.FullRedundancy = s.Redundancy.Full
	return s
}

// whole reports whether everything has all that it should have, and all know it.
func whole(p *picture, reports []report, s *Status) bool {
	for i := range reports {
		r := &reports[i]
		if r.err != nil || !r.Idle && (r.Works || slices.ContainsFunc(p.drivesOf(r.node.ID), inUse)) {
			return false
		}
	}
	for i := range s.Groups {
		if len(s.Groups[i].Trouble) > 0 {
			return false
		}
	}
	return len(s.Groups) > 0 && len(p.View.Drives) > 0 && s.Repair.Queued == 0 && s.Redundancy.AwayDrives == 0 && s.Redundancy.LostDrives == 0
}

func (p *picture) nodeStatus(reports []report, groups []GroupStatus) []NodeStatus {
	at := map[id.Node]*report{}
	for i := range reports {
		at[reports[i].node.ID] = &reports[i]
	}
	leads := map[id.Node]int{}
	for i := range p.groups {
		if d := p.Drive(p.groups[i].Leader); d != nil {
			leads[d.Node]++
		}
	}
	all := make([]NodeStatus, 0, len(p.View.Nodes))
	for i := range p.View.Nodes {
		n := &p.View.Nodes[i]
		s := NodeStatus{
			ID: n.ID.String(), Name: n.Name, Zone: n.Zone, Peer: n.PeerAddress, S3: n.S3Address, State: nodeState(n.State), Removed: n.Removed,
			Alive: n.Alive, Since: n.Since.UTC(), Storage: n.Storage, Leads: leads[n.ID],
		}
		for _, d := range p.drivesOf(n.ID) {
			if inUse(d) {
				s.Drives++
			}
		}
		s.Empty = s.Storage && n.State == metapb.Node_DRAINING && s.Drives == 0
		if r := at[n.ID]; r != nil && r.err == nil {
			s.Version, s.Answered = r.Version, true
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b NodeStatus) int {
		return cmp.Or(-compareBool(a.Storage, b.Storage), cmp.Compare(a.Name, b.Name))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func nodeState(s metapb.Node_State) string {
	switch s {
	case metapb.Node_DRAINING:
		return StateDraining
	case metapb.Node_GONE:
		return StateGone
	}
	return StateActive
}

// driveState is what is to become of a drive: that of its node counts.
func (p *picture) driveState(d *cluster.DriveView) string {
	switch {
	case d.State == metapb.Drive_RETIRED:
		return StateRetired
	case d.State == metapb.Drive_GONE:
		return StateGone
	case p.Fate(d.ID) == upkeep.Leaves:
		return StateDraining
	}
	return StateActive
}

func (p *picture) driveStatus(reports []report) []DriveStatus {
	replicas := p.replicas()
	left, counted := map[string]Left{}, true
	for i := range reports {
		r := &reports[i]
		counted = counted && p.surveyed(r)
		for d, l := range r.Leaving {
			sum := left[d]
			left[d] = Left{sum.Shards + l.Shards, sum.Bytes + l.Bytes, sum.Replicas + l.Replicas}
		}
	}
	all := make([]DriveStatus, 0, len(p.View.Drives))
	for i := range p.View.Drives {
		d := &p.View.Drives[i]
		s := DriveStatus{
			ID: d.ID.String(), Node: d.Node.String(), NodeName: p.nodeName(d.Node), Zone: d.Zone, Path: d.Status.Path, State: p.driveState(d), Removed: d.Removed,
			Alive: d.Alive, Since: d.Since.UTC(), Out: d.Status.Out, Reason: d.Status.Reason, ReadOnly: d.Status.ReadOnly,
			Total: d.Status.TotalBytes, Free: d.Status.FreeBytes, Shards: d.Status.Shards, Replicas: replicas[d.ID],
		}
		if s.State == StateDraining && counted {
			l := left[s.ID]
			l.Replicas = max(l.Replicas, int64(s.Replicas))
			s.ShardsLeft, s.BytesLeft, s.ReplicasLeft = &l.Shards, &l.Bytes, &l.Replicas
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b DriveStatus) int {
		return cmp.Or(cmp.Compare(a.NodeName, b.NodeName), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Path, b.Path))
	})
	return all
}

// replicas counts the metadata replicas of each drive.
func (p *picture) replicas() map[id.Drive]int {
	n := map[id.Drive]int{}
	for i := range p.groups {
		for _, m := range p.groups[i].Members {
			n[m.Drive]++
		}
	}
	return n
}

func (p *picture) groupStatus() []GroupStatus {
	all := make([]GroupStatus, 0, len(p.groups))
	for i := range p.groups {
		g := &p.groups[i]
		s := GroupStatus{Number: g.Group, Term: g.Term, Replicas: len(g.Replicas), Joint: g.Joint, Trouble: p.groupTroubles(g)}
		if !g.Leader.IsZero() {
			s.Leader = g.Leader.String()
			if d := p.Drive(g.Leader); d != nil {
				s.LeaderNode = p.nodeName(d.Node)
			}
		}
		for _, m := range voters(g) {
			s.Members++
			if healthy(&m) {
				s.Healthy++
			}
		}
		all = append(all, s)
	}
	return all
}

func (p *picture) capacity() (c Capacity) {
	for _, d := range p.those(inUse) {
		if p.Fate(d.ID) != upkeep.Stays {
			continue
		}
		c.Total += d.Status.TotalBytes
		if p.Alive(d.ID) {
			c.Free += d.Status.FreeBytes
		}
	}
	if n := int64(p.View.Scheme.Shards()); n > 0 {
		k := int64(p.View.Scheme.K)
		c.Usable, c.UsableFree = c.Total/n*k, c.Free/n*k
	}
	return c
}

func (p *picture) redundancy(queued int64) Redundancy {
	r := Redundancy{Below: queued, MayFail: p.mayFail(queued > 0)}
	for i := range p.View.Drives {
		d := &p.View.Drives[i]
		switch {
		case d.State == metapb.Drive_GONE:
			r.LostDrives++
		case inUse(d) && !p.Alive(d.ID):
			r.AwayDrives++
			r.AwayShards += d.Status.Shards
		}
	}
	return r
}

// after is how long a drive may be away.
func (o *Operator) after(s *metapb.Settings) time.Duration {
	if ms := s.GetRepairAfterMs(); ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return o.cfg.RepairAfter
}

func (o *Operator) repairStatus(p *picture, reports []report) RepairStatus {
	after := o.after(p.View.Settings)
	s := RepairStatus{AfterSeconds: int64(after / time.Second)}
	for i := range reports {
		r := &reports[i].Repair
		s.Queued += r.Queued
		s.Rebuilt += r.Rebuilt
		s.Failed += r.Failed
		s.Garbage += r.Garbage
		s.Reclaimed += r.Reclaimed
		s.Orphans += r.Orphans
	}
	for i := range p.View.Drives {
		d := &p.View.Drives[i]
		switch {
		case d.State == metapb.Drive_GONE:
			s.Lost = append(s.Lost, Given{Drive: d.ID.String(), Node: p.nodeName(d.Node), Path: d.Status.Path, Removed: d.Removed})
		case inUse(d) && !p.Alive(d.ID):
			s.Waiting = append(s.Waiting, Away{Drive: d.ID.String(), Node: p.nodeName(d.Node), Path: d.Status.Path, Since: d.Since.UTC(),
				GivenUp: d.Since.Add(after).UTC(), Shards: d.Status.Shards, Error: d.Status.Reason})
		}
	}
	return s
}

// surveyed reports whether a node knows what is left to be moved of its part: of the groups led there.
func (p *picture) surveyed(r *report) bool {
	if r.err != nil {
		return false
	}
	leads := slices.ContainsFunc(p.groups, func(g replica.GroupStatus) bool {
		d := p.Drive(g.Leader)
		return d != nil && d.Node == r.node.ID
	})
	// A node of an older version does not say which layout it has seen.
	return !r.Moves || !leads || r.Rebalance.Surveyed && (r.Layout == 0 || r.Layout >= p.View.Version)
}

func (p *picture) rebalanceStatus(reports []report, drives []DriveStatus) RebalanceStatus {
	s := RebalanceStatus{Paused: p.View.Settings.GetRebalancePaused(), LimitDefault: p.View.Settings.GetRebalanceBytesPerSecond() == 0, Surveyed: true}
	left := int64(0) // one of each group at most, those to be drained among them
	for i := range reports {
		r := &reports[i]
		s.Surveyed = s.Surveyed && p.surveyed(r)
		if r.err != nil || !r.Moves {
			continue
		}
		b := &r.Rebalance
		s.LimitPerNode = max(s.LimitPerNode, b.LimitPerNode)
		s.Scanned += b.Scanned
		s.MovedShards += b.MovedShards
		s.MovedBytes += b.MovedBytes
		s.LeastBytes += b.LeastBytes
		s.LeftShards += b.LeftShards
		s.LeftBytes += b.LeftBytes
		s.WaitingShards += b.WaitingShards
		s.MovedReplicas += b.MovedReplicas
		left += b.LeftReplicas
		s.BytesPerSecond += b.BytesPerSecond
	}
	for i := range drives {
		if drives[i].State == StateDraining {
			s.LeftReplicas += int64(drives[i].Replicas)
		}
	}
	s.LeftReplicas = max(s.LeftReplicas, left)
	if s.BytesPerSecond > 0 && !s.Paused {
		s.EtaSeconds = (s.LeftBytes + s.BytesPerSecond - 1) / s.BytesPerSecond
	}
	return s
}

func (p *picture) scrubStatus(reports []report) ScrubStatus {
	var s ScrubStatus
	never := false
	for i := range reports {
		r := &reports[i]
		if r.err != nil || !r.Works {
			continue
		}
		n := r.Scrub
		n.Node, n.Name = r.node.ID.String(), p.nodeName(r.node.ID)
		s.Nodes = append(s.Nodes, n)
		s.Verified += n.Verified
		s.Damaged += n.Damaged
		if n.Running {
			s.Running = true
			s.Done += n.Done
			s.Total += n.Total
		}
		never = never || n.Last.IsZero()
		if s.Oldest.IsZero() || n.Last.Before(s.Oldest) {
			s.Oldest = n.Last.UTC()
		}
	}
	if never {
		s.Oldest = time.Time{}
	}
	slices.SortStableFunc(s.Nodes, func(a, b NodeScrub) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// shortcomings is what keeps data from being spread as it should, if some drives are left out.
func (p *picture) shortcomings(but map[id.Drive]bool) []string {
	s := p.View.Scheme
	return placement.Shortcomings(p.candidates(but), s.K, s.M, p.members(), p.nodeName)
}
