package cluster

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/cluster/gossip"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/meta/wire"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// claim is a node's word that it has a drive.
type claim struct {
	node   id.Node
	status node.Status
	local  node.Drive
}

// publish composes a snapshot, keeps the routes in step, and wakes those who wait for a change.
func (s *state) publish() {
	next := s.compose()
	old := s.previous
	if !differ(old, next) {
		next.changed = old.changed
	}
	s.previous = next
	s.d.latest.Store(next)
	if next.changed != old.changed {
		close(old.changed)
	}
}

// compose makes a snapshot of all that is known now.
func (s *state) compose() *snapshot {
	v := &View{Settings: &metapb.Settings{}}
	if l := s.layout; l != nil {
		v.Version = l.Version
		v.Cluster, _ = id.FromBytes[id.Cluster](l.Cluster.GetId())
		v.Scheme = erasure.Scheme{K: int(l.Cluster.GetK()), M: int(l.Cluster.GetM())}
		if l.Settings != nil {
			v.Settings = l.Settings
		}
	}
	v.Nodes = s.nodeViews()
	nodes := make(map[id.Node]*NodeView, len(v.Nodes))
	for i := range v.Nodes {
		nodes[v.Nodes[i].ID] = &v.Nodes[i]
	}
	claims := s.claims(nodes)
	v.Drives = s.driveViews(nodes, claims)
	next := &snapshot{view: v, changed: make(chan struct{}), elsewhere: map[id.Drive]id.Node{}}
	for n, p := range s.nodes {
		if nodes[n] != nil && nodes[n].Alive {
			for _, st := range p.drives {
				next.elsewhere[st.ID] = n
			}
		}
	}
	s.choices(next, nodes, claims)
	s.ways(next, nodes, claims)
	return next
}

// nodeViews joins the layout's nodes with those that gossip knows, in the order of their IDs.
func (s *state) nodeViews() []NodeView {
	self := s.d.cfg.Self
	all := map[id.Node]NodeView{self.ID: fromGossip(self)}
	if s.layout != nil {
		for _, n := range s.layout.Nodes {
			name, err := id.FromBytes[id.Node](n.Id)
			if err != nil {
				continue
			}
			all[name] = NodeView{ID: name, Name: n.Name, Zone: n.Zone, PeerAddress: n.PeerAddress, S3Address: n.S3Address, Storage: n.Storage, State: n.State, Removed: n.Removed}
		}
	}
	for _, m := range s.members {
		n, known := all[m.ID]
		switch {
		case m.ID == self.ID, !known && !m.Alive:
			continue
		case !known:
			n = fromGossip(m.Node)
		case m.Alive: // it knows its addresses best
			n.PeerAddress, n.S3Address = m.PeerAddress, m.S3Address
		}
		n.Alive = m.Alive
		all[m.ID] = n
	}
	for name, p := range s.nodes { // a direct answer counts for more than gossip, and so does its absence
		if n, ok := all[name]; ok && (p.silent || !p.at.IsZero()) {
			n.Alive = !p.silent
			all[name] = n
		}
	}
	me := all[self.ID]
	me.Local, me.Alive, me.PeerAddress, me.S3Address = true, true, self.PeerAddress, self.S3Address
	all[self.ID] = me
	views := make([]NodeView, 0, len(all))
	for _, n := range all {
		views = append(views, n)
	}
	slices.SortFunc(views, func(a, b NodeView) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	s.sinceNodes(views)
	return views
}

func fromGossip(n gossip.Node) NodeView {
	return NodeView{ID: n.ID, Name: n.Name, Zone: n.Zone, PeerAddress: n.PeerAddress, S3Address: n.S3Address, Storage: n.Storage}
}

// sinceNodes fills in since when nodes are alive or not.
func (s *state) sinceNodes(views []NodeView) {
	old := map[id.Node]NodeView{}
	if s.previous != nil {
		for _, n := range s.previous.view.Nodes {
			old[n.ID] = n
		}
	}
	now := s.d.cfg.Now()
	for i := range views {
		n := &views[i]
		switch was, ok := old[n.ID]; {
		case ok && was.Alive == n.Alive:
			n.Since = was.Since
		case !ok && !n.Alive: // nothing was ever heard of it
			n.Since = s.started
		default:
			n.Since = now
		}
	}
}

// claims says which node has which drive. Of two that claim the same, this one wins, then the one
// that is alive, then the one that the layout names, then the one that said so last.
func (s *state) claims(nodes map[id.Node]*NodeView) map[id.Drive]claim {
	written := map[id.Drive]id.Node{}
	if s.layout != nil {
		for _, d := range s.layout.Drives {
			if drive, err := id.FromBytes[id.Drive](d.Id); err == nil {
				written[drive], _ = id.FromBytes[id.Node](d.Node)
			}
		}
	}
	claims := map[id.Drive]claim{}
	better := func(drive id.Drive, a, b id.Node) bool {
		if x, y := nodes[a] != nil && nodes[a].Alive, nodes[b] != nil && nodes[b].Alive; x != y {
			return x
		}
		if x, y := written[drive] == a, written[drive] == b; x != y {
			return x
		}
		return s.nodes[a].at.After(s.nodes[b].at)
	}
	for n, p := range s.nodes {
		for _, st := range p.drives {
			if old, ok := claims[st.ID]; !ok || better(st.ID, n, old.node) {
				claims[st.ID] = claim{node: n, status: st}
			}
		}
	}
	for _, drive := range s.d.locals() {
		st := drive.Status()
		claims[st.ID] = claim{node: s.d.cfg.Self.ID, status: st, local: drive}
		if s.last != nil {
			s.last[st.ID] = st
		}
	}
	return claims
}

// driveViews are the layout's drives, in the order of their IDs.
func (s *state) driveViews(nodes map[id.Node]*NodeView, claims map[id.Drive]claim) []DriveView {
	if s.layout == nil {
		return nil
	}
	old := map[id.Drive]*DriveView{}
	if s.previous != nil {
		for i := range s.previous.view.Drives {
			old[s.previous.view.Drives[i].ID] = &s.previous.view.Drives[i]
		}
	}
	now := s.d.cfg.Now()
	views := make([]DriveView, 0, len(s.layout.Drives))
	for _, d := range s.layout.Drives {
		name, err := id.FromBytes[id.Drive](d.Id)
		if err != nil {
			continue
		}
		v := DriveView{ID: name, Zone: d.Zone, State: d.State, Removed: d.Removed, CapacityBytes: int64(d.CapacityBytes), Status: s.last[name]}
		v.Node, _ = id.FromBytes[id.Node](d.Node)
		if c, ok := claims[name]; ok {
			v.Node, v.Status, v.Local = c.node, c.status, c.local != nil
			v.Alive = !c.status.Out && nodes[c.node] != nil && nodes[c.node].Alive
		}
		if n := nodes[v.Node]; n != nil {
			v.Zone = n.Zone
		}
		if v.Status.ID.IsZero() {
			v.Status = node.Status{ID: name, Path: d.Path, TotalBytes: int64(d.CapacityBytes)}
		}
		if v.CapacityBytes == 0 { // written by a version that did not say it
			v.CapacityBytes = v.Status.TotalBytes
		}
		switch was := old[name]; {
		case was != nil && was.Alive == v.Alive:
			v.Since = was.Since
		case was == nil && !v.Alive:
			v.Since = s.started
		default:
			v.Since = now
		}
		views = append(views, v)
	}
	slices.SortFunc(views, func(a, b DriveView) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return views
}

// choices are the drives that shards may go to.
func (s *state) choices(next *snapshot, nodes map[id.Node]*NodeView, claims map[id.Drive]claim) {
	next.candidates = next.view.Candidates()
	at := 0
	for i := range next.view.Drives {
		d := &next.view.Drives[i]
		next.full = next.full || d.Alive && d.Status.ReadOnly
		if at == len(next.candidates) || next.candidates[at].ID != d.ID {
			continue
		}
		told := !d.Status.Out && !d.Status.ReadOnly
		if n := nodes[d.Node]; d.Local && d.State == metapb.Drive_ACTIVE && n.State == metapb.Node_ACTIVE {
			next.local = append(next.local, localCandidate{drive: claims[d.ID].local, index: at, told: told})
		}
		at++
	}
}

// ways are the addresses of drives, and the routes to them.
func (s *state) ways(next *snapshot, nodes map[id.Node]*NodeView, claims map[id.Drive]claim) {
	next.address = map[id.Drive]string{}
	for i := range next.view.Nodes {
		n := &next.view.Nodes[i]
		if n.Storage && !n.Local && n.PeerAddress != "" && n.State != metapb.Node_GONE {
			next.peers = append(next.peers, wire.Node{ID: n.ID, Address: n.PeerAddress, Alive: n.Alive})
		}
	}
	lead := func(drive id.Drive, n id.Node) {
		if v := nodes[n]; v != nil && !v.Local && v.PeerAddress != "" {
			next.address[drive] = v.PeerAddress
		}
	}
	for i := range next.view.Drives {
		if d := &next.view.Drives[i]; d.State != metapb.Drive_RETIRED || d.Alive {
			lead(d.ID, d.Node)
		}
	}
	for drive, c := range claims { // those that the layout does not know, or not yet
		lead(drive, c.node)
		if c.local != nil {
			delete(next.address, drive)
		}
	}
	s.route(next, nodes, claims)
}

// route keeps the routes in step with the addresses.
func (s *state) route(next *snapshot, nodes map[id.Node]*NodeView, claims map[id.Drive]claim) {
	routes := s.d.cfg.Routes
	for drive, r := range s.routed {
		if next.address[drive] == r.address {
			continue
		}
		delete(s.routed, drive)
		if next.address[drive] == "" && claims[drive].local == nil {
			routes.Remove(drive)
		}
	}
	if s.d.cfg.Remote == nil {
		return
	}
	for drive, address := range next.address {
		r, ok := s.routed[drive]
		if !ok {
			r = route{address: address, drive: s.d.cfg.Remote(address, drive)}
		}
		st := s.last[drive]
		st.ID = drive
		if c, claimed := claims[drive]; !claimed {
			st.Out, st.Reason = true, "no node says that it has the drive"
		} else if n := nodes[c.node]; n == nil || !n.Alive {
			st.Out, st.Reason = true, "its node is not alive"
		}
		r.drive.SetStatus(st)
		if !ok {
			s.routed[drive] = r
			routes.Add(r.drive)
		}
	}
}

// differ reports whether two snapshots differ in more than the free space of drives.
func differ(a, b *snapshot) bool {
	x, y := a.view, b.view
	if x.Version != y.Version || x.Cluster != y.Cluster || x.Scheme != y.Scheme || len(a.address) != len(b.address) ||
		!slices.Equal(x.Nodes, y.Nodes) || !slices.Equal(a.peers, b.peers) || !proto.Equal(x.Settings, y.Settings) {
		return true
	}
	for drive, address := range a.address {
		if b.address[drive] != address {
			return true
		}
	}
	return !slices.EqualFunc(x.Drives, y.Drives, func(d, e DriveView) bool {
		if d.Status.ReadOnly != e.Status.ReadOnly || d.Status.Out != e.Status.Out || d.Status.TotalBytes != e.Status.TotalBytes {
			return false
		}
		d.Status, e.Status = node.Status{}, node.Status{}
		return d == e
	})
}
