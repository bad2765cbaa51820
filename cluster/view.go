package cluster

import (
	"time"

	"holdfast/cluster/placement"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// View is the cluster at one moment: what the layout in the system group says (the truth), and what
// gossip and polling found out about who is alive (a hint). It is never changed once it is published.
type View struct {
	// Version is the layout's: the index of the last command that changed it.
	Version  uint64
	Cluster  id.Cluster
	Scheme   erasure.Scheme
	Nodes    []NodeView
	Drives   []DriveView // in the order of their IDs
	Settings *metapb.Settings
}

// NodeView is one node of a View.
type NodeView struct {
	ID          id.Node
	Name, Zone  string
	PeerAddress string // host:port of gRPC; "" if it has none
	S3Address   string
	Storage     bool
	State       metapb.Node_State
	Removed     bool // by an operator: it does not come back by itself
	Local       bool
	Alive       bool
	Since       time.Time // when Alive last changed, as seen from here
}

// DriveView is one drive of a View.
type DriveView struct {
	ID    id.Drive
	Node  id.Node
	Zone  string
	State metapb.Drive_State
	// Removed by an operator: it does not come back by itself.
	Removed bool
	Local   bool
	// CapacityBytes is its share in placement: what the layout says, the same on every node.
	CapacityBytes int64
	// Alive: its node answers and says that the drive is not out.
	Alive  bool
	Since  time.Time   // when Alive last changed, as seen from here
	Status node.Status // the newest known; of a drive that is not alive, the last one
}

// Candidates are the drives that exist, in the order of their IDs. Healthy are those that shards of
// new data may go to now: active, on an active node, alive, and neither out nor full.
func (v *View) Candidates() []placement.Candidate {
	active := make(map[id.Node]bool, len(v.Nodes))
	for i := range v.Nodes {
		active[v.Nodes[i].ID] = v.Nodes[i].State == metapb.Node_ACTIVE
	}
	all := make([]placement.Candidate, 0, len(v.Drives))
	for i := range v.Drives {
		d := &v.Drives[i]
		if d.State == metapb.Drive_GONE || d.State == metapb.Drive_RETIRED {
			continue
		}
		all = append(all, placement.Candidate{
			ID: d.ID, Zone: d.Zone, Node: d.Node, Weight: float64(d.CapacityBytes),
			Healthy: d.State == metapb.Drive_ACTIVE && active[d.Node] && d.Alive && !d.Status.Out && !d.Status.ReadOnly,
		})
	}
	return all
}
