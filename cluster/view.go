package cluster

import (
	"time"

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
	Local bool
	// Alive: its node answers and says that the drive is not out.
	Alive  bool
	Since  time.Time   // when Alive last changed, as seen from here
	Status node.Status // the newest known; of a drive that is not alive, the last one
}
