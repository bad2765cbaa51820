package operate

import "time"

// Status is one picture of the cluster. Its JSON is read by programs: names and meanings stay.
type Status struct {
	Version string    `json:"version"`
	Cluster string    `json:"cluster"`
	Scheme  string    `json:"scheme"` // data+parity, such as 4+2
	Layout  uint64    `json:"layout_version"`
	At      time.Time `json:"at"`
	Asked   string    `json:"asked,omitempty"` // name of the node that answered

	Nodes      []NodeStatus    `json:"nodes"`
	Drives     []DriveStatus   `json:"drives"`
	Groups     []GroupStatus   `json:"groups"`
	Redundancy Redundancy      `json:"redundancy"`
	Repair     RepairStatus    `json:"repair"`
	Rebalance  RebalanceStatus `json:"rebalance"`
	Scrub      ScrubStatus     `json:"scrub"`
	Capacity   Capacity        `json:"capacity"`
	// Placement says why data cannot be spread as it should.
	Placement []string `json:"placement,omitempty"`
	// Healed are drives whose tables or raft log were replaced since their node started.
	Healed int64 `json:"healed"`
	// Trouble is what is not as it should be, for people, and what to do about it.
	Trouble []string `json:"trouble,omitempty"`
}

// The states of nodes and drives.
const (
	StateActive   = "active"
	StateDraining = "draining" // to be emptied
	StateGone     = "gone"     // given up: what it held is rebuilt elsewhere
	StateRetired  = "retired"  // nothing is on it any more
)

// NodeStatus is one node.
type NodeStatus struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Zone    string    `json:"zone,omitempty"`
	Peer    string    `json:"peer,omitempty"`
	S3      string    `json:"s3,omitempty"`
	State   string    `json:"state"`
	Removed bool      `json:"removed,omitempty"` // by an operator
	Alive   bool      `json:"alive"`
	Since   time.Time `json:"since,omitzero"` // of alive, as seen by the node that was asked
	Storage bool      `json:"storage"`        // else it is a front
	Drives  int       `json:"drives"`         // in use
	Empty   bool      `json:"empty"`          // a node that was drained holds nothing any more: it can be stopped
	Leads   int       `json:"leads"`          // metadata groups
	Version string    `json:"version,omitempty"`
	// Answered: the figures below have its part in them.
	Answered bool `json:"answered"`
}

// DriveStatus is one drive.
type DriveStatus struct {
	ID       string    `json:"id"`
	Node     string    `json:"node"`
	NodeName string    `json:"node_name,omitempty"`
	Zone     string    `json:"zone,omitempty"`
	Path     string    `json:"path"`
	State    string    `json:"state"` // of a drive on a node that is drained: draining
	Removed  bool      `json:"removed,omitempty"`
	Alive    bool      `json:"alive"`
	Since    time.Time `json:"since,omitzero"`
	Out      bool      `json:"out,omitempty"` // an error took it out
	Reason   string    `json:"reason,omitempty"`
	ReadOnly bool      `json:"read_only,omitempty"` // down to its reserve
	Total    int64     `json:"total_bytes"`
	Free     int64     `json:"free_bytes"`
	Shards   int64     `json:"shards"` // when it last answered
	Replicas int       `json:"replicas"`
	// What is still to leave a drive that is drained; absent until it was counted.
	ShardsLeft   *int64 `json:"shards_left,omitempty"`
	BytesLeft    *int64 `json:"bytes_left,omitempty"`
	ReplicasLeft *int64 `json:"replicas_left,omitempty"`
}

// GroupStatus is one metadata group.
type GroupStatus struct {
	Number     uint32   `json:"number"` // 0 is the system group
	Leader     string   `json:"leader,omitempty"`
	LeaderNode string   `json:"leader_node,omitempty"` // its name
	Term       uint64   `json:"term"`
	Members    int      `json:"members"`         // that vote
	Healthy    int      `json:"healthy"`         // of them
	Replicas   int      `json:"replicas"`        // on drives that answer
	Joint      bool     `json:"joint,omitempty"` // between two configurations
	Trouble    []string `json:"trouble,omitempty"`
}

// Redundancy is how much may still be lost.
type Redundancy struct {
	// Full: everything is whole, as far as all nodes know, and all of them answered.
	Full bool `json:"full"`
	// Below are the pieces of data that wait for repair. A large object has one or more.
	Below int64 `json:"below"`
	// AwayDrives do not answer and are waited for; AwayShards were on them.
	AwayDrives int   `json:"away_drives"`
	AwayShards int64 `json:"away_shards"`
	// LostDrives were given up, and not all that they held is rebuilt.
	LostDrives int     `json:"lost_drives"`
	MayFail    MayFail `json:"may_fail"`
}

// MayFail is how many more may be lost at the same time, whichever they are. Nodes and Zones are
// absent where there is one.
type MayFail struct {
	Drives Tolerance  `json:"drives"`
	Nodes  *Tolerance `json:"nodes,omitempty"`
	Zones  *Tolerance `json:"zones,omitempty"`
}

// Tolerance is a number of losses with which reads, and writes, go on. -1: they may not even now.
type Tolerance struct {
	Reads  int `json:"reads"`
	Writes int `json:"writes"`
}

// RepairStatus is the repair of all nodes together. Counters begin at each node's start.
type RepairStatus struct {
	FullRedundancy bool    `json:"full_redundancy"`
	Queued         int64   `json:"queued"` // pieces of data
	Rebuilt        int64   `json:"rebuilt_shards"`
	Failed         int64   `json:"failed_rebuilds"` // tried again later
	Garbage        int64   `json:"garbage_data"`    // deleted, its shards not yet
	Reclaimed      int64   `json:"reclaimed_data"`
	Orphans        int64   `json:"orphan_shards"`
	AfterSeconds   int64   `json:"repair_after_seconds"`
	Waiting        []Away  `json:"waiting,omitempty"` // drives that are waited for
	Lost           []Given `json:"lost,omitempty"`    // drives that are being rebuilt elsewhere
}

// Away is a drive that does not answer.
type Away struct {
	Drive   string    `json:"drive"`
	Since   time.Time `json:"since"`           // as seen by the node that was asked
	GivenUp time.Time `json:"given_up_at"`     // when it would be, by the same clock
	Shards  int64     `json:"shards"`          // that it had
	Node    string    `json:"node,omitempty"`  // name
	Path    string    `json:"path,omitempty"`  //
	Error   string    `json:"error,omitempty"` // that took it out
}

// Given is a drive that was given up.
type Given struct {
	Drive   string `json:"drive"`
	Node    string `json:"node,omitempty"`
	Path    string `json:"path,omitempty"`
	Removed bool   `json:"removed,omitempty"` // by an operator
}

// RebalanceStatus is that of all nodes together.
type RebalanceStatus struct {
	Paused bool `json:"paused"`
	// LimitPerNode is in bytes per second; LimitDefault: nobody has set it.
	LimitPerNode int64 `json:"limit_bytes_per_second"`
	LimitDefault bool  `json:"limit_is_default,omitempty"`
	// Surveyed: all nodes have looked at all their records and replicas, so that what is left is known.
	Surveyed       bool  `json:"surveyed"`
	Scanned        int64 `json:"scanned_records"`
	MovedShards    int64 `json:"moved_shards"`
	MovedBytes     int64 `json:"moved_bytes"`
	LeastBytes     int64 `json:"least_bytes"` // what the present change takes at the least
	LeftShards     int64 `json:"left_shards"`
	LeftBytes      int64 `json:"left_bytes"`
	WaitingShards  int64 `json:"waiting_shards"` // of those left: no drive takes them now
	MovedReplicas  int64 `json:"moved_replicas"` // since each node's start
	LeftReplicas   int64 `json:"left_replicas"`  // on drives that are drained, or next to move in each group
	BytesPerSecond int64 `json:"bytes_per_second"`
	EtaSeconds     int64 `json:"eta_seconds,omitempty"`
}

// ScrubStatus is that of all nodes.
type ScrubStatus struct {
	Running  bool  `json:"running"`
	Done     int64 `json:"done_shards"`     // of the scrubs under way
	Total    int64 `json:"total_shards"`    // of the nodes where one is
	Verified int64 `json:"verified_shards"` // since each node's start
	Damaged  int64 `json:"damaged_shards"`
	// Oldest is the time before which no node's last complete scrub ended; absent while a node has had none.
	Oldest time.Time   `json:"last_complete,omitzero"`
	Nodes  []NodeScrub `json:"nodes,omitempty"`
}

// NodeScrub is the scrub of one node's drives.
type NodeScrub struct {
	Node     string    `json:"node"`
	Name     string    `json:"name,omitempty"`
	Running  bool      `json:"running"`
	Began    time.Time `json:"began,omitzero"` // when it was first seen
	Done     int64     `json:"done_shards"`
	Total    int64     `json:"total_shards"`
	Verified int64     `json:"verified_shards"`
	Damaged  int64     `json:"damaged_shards"`
	Complete int64     `json:"complete"` // scrubs
	Last     time.Time `json:"last,omitzero"`
}

// Capacity is in bytes, of all drives in use.
type Capacity struct {
	Total int64 `json:"total_bytes"`
	Free  int64 `json:"free_bytes"`
	// UsableFree is about how many bytes of objects fit into Free.
	Usable     int64 `json:"usable_bytes"`
	UsableFree int64 `json:"usable_free_bytes"`
}
