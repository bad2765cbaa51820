package operate

import (
	"context"
	"slices"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// picture is the cluster as a decision sees it.
type picture struct {
	*upkeep.Fleet
	groups []replica.GroupStatus
}

// fresh is the layout of now, with what the View knows of who is alive.
func (o *Operator) fresh(ctx context.Context) (*picture, error) {
	a, err := o.cfg.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{}}})
	if err != nil {
		return nil, err
	}
	l := a.GetLayout()
	if l.GetCluster() == nil {
		return nil, kind.New(kind.Unavailable, "operate: the cluster is not formed yet")
	}
	v := housed(overlay(*o.cfg.Layout.View(), l))
	return &picture{Fleet: upkeep.NewFleet(v), groups: o.cfg.Groups.Status(ctx).Groups}, nil
}

// seen is the cluster as the View has it.
func (o *Operator) seen(ctx context.Context) *picture {
	return &picture{Fleet: upkeep.NewFleet(housed(o.cfg.Layout.View())), groups: o.cfg.Groups.Status(ctx).Groups}
}

// housed gives drives without a node the only one there is: a process that is alone writes no node down.
func housed(v *cluster.View) *cluster.View {
	homeless := func(d cluster.DriveView) bool { return d.Node == id.Node{} }
	if len(v.Nodes) != 1 || !slices.ContainsFunc(v.Drives, homeless) {
		return v
	}
	c := *v
	c.Drives = slices.Clone(v.Drives)
	for i := range c.Drives {
		if homeless(c.Drives[i]) {
			c.Drives[i].Node = v.Nodes[0].ID
		}
	}
	return &c
}

// overlay puts a layout into a copy of a View that may be older.
func overlay(v cluster.View, l *metapb.ClusterLayout) *cluster.View {
	v.Version = l.Version
	v.Scheme = erasure.Scheme{K: int(l.Cluster.K), M: int(l.Cluster.M)}
	v.Settings = l.Settings
	v.Nodes, v.Drives = slices.Clone(v.Nodes), slices.Clone(v.Drives)
	for _, n := range l.Nodes {
		name, err := id.FromBytes[id.Node](n.Id)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(v.Nodes, func(x cluster.NodeView) bool { return x.ID == name })
		if i < 0 {
			v.Nodes = append(v.Nodes, cluster.NodeView{ID: name, Name: n.Name, Zone: n.Zone, PeerAddress: n.PeerAddress, S3Address: n.S3Address, Storage: n.Storage})
			i = len(v.Nodes) - 1
		}
		v.Nodes[i].State, v.Nodes[i].Removed = n.State, n.Removed
	}
	for _, d := range l.Drives {
		name, err := id.FromBytes[id.Drive](d.Id)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(v.Drives, func(x cluster.DriveView) bool { return x.ID == name })
		if i < 0 {
			view := cluster.DriveView{ID: name, Zone: d.Zone, CapacityBytes: int64(d.CapacityBytes)}
			view.Node, _ = id.FromBytes[id.Node](d.Node)
			view.Status.ID, view.Status.Path, view.Status.TotalBytes = name, d.Path, int64(d.CapacityBytes)
			v.Drives = append(v.Drives, view)
			i = len(v.Drives) - 1
		}
		v.Drives[i].State, v.Drives[i].Removed = d.State, d.Removed
	}
	return &v
}

func (p *picture) node(n id.Node) *cluster.NodeView {
	for i := range p.View.Nodes {
		if p.View.Nodes[i].ID == n {
			return &p.View.Nodes[i]
		}
	}
	return nil
}

// nodeName is what people call a node.
func (p *picture) nodeName(n id.Node) string {
	if v := p.node(n); v != nil && v.Name != "" {
		return v.Name
	}
	return n.String()[:shortID]
}

// drivesOf are the drives of a node.
func (p *picture) drivesOf(n id.Node) (all []*cluster.DriveView) {
	for i := range p.View.Drives {
		if d := &p.View.Drives[i]; d.Node == n {
			all = append(all, d)
		}
	}
	return all
}

// those are the drives of which fit holds.
func (p *picture) those(fit func(d *cluster.DriveView) bool) (all []*cluster.DriveView) {
	for i := range p.View.Drives {
		if d := &p.View.Drives[i]; fit(d) {
			all = append(all, d)
		}
	}
	return all
}

// candidates are the drives that stay, but for some.
func (p *picture) candidates(but map[id.Drive]bool) []placement.Candidate {
	return p.Candidates(func(d id.Drive) bool { return p.Fate(d) == upkeep.Stays && !but[d] })
}

// members is the largest number of voters of a group.
func (p *picture) members() (n int) {
	for i := range p.groups {
		n = max(n, len(voters(&p.groups[i])))
	}
	return n
}

func voters(g *replica.GroupStatus) (all []replica.MemberStatus) {
	for _, m := range g.Members {
		if m.Voter {
			all = append(all, m)
		}
	}
	return all
}

func healthy(m *replica.MemberStatus) bool { return m.Active && !m.Lost }
