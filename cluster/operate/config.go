package operate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"holdfast/cluster"
	"holdfast/cluster/rebalance"
	"holdfast/cluster/repair"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// Layout is what is known of the cluster; *cluster.Directory is one.
type Layout interface {
	View() *cluster.View
	// Nudge has changes of the layout seen at once.
	Nudge()
	// WaitLayout returns when the View has a layout of at least this version.
	WaitLayout(ctx context.Context, version uint64) error
}

// Groups are all metadata groups, wherever they are led: *wire.Router, or *replica.Host where there
// is one process.
type Groups interface {
	Status(ctx context.Context) replica.Status
}

// Repair is the repair of this node; *repair.Repairer is one.
type Repair interface {
	Stats() repair.Stats
	Idle() bool
	Scrub()
}

// Rebalance is that of this node; *rebalance.Rebalancer is one.
type Rebalance interface {
	Progress() rebalance.Progress
	Kick()
}

// Config is what an Operator is made of.
type Config struct {
	// Node is this node.
	Node     id.Node
	Metadata upkeep.Metadata
	Layout   Layout
	Groups   Groups
	// Repair and Rebalance are nil on a node that does neither, such as a front.
	Repair    Repair
	Rebalance Rebalance
	// AddDrive takes a directory of this node into service as a drive, formats it if it is empty, and
	// registers it. nil: this node cannot.
	AddDrive func(ctx context.Context, path string) (id.Drive, error)
	// Dial is the way to another node (rpc.Pool.Conn); nil where there is one process.
	Dial func(address string) grpc.ClientConnInterface
	// Healed counts the drives of this node whose tables or log were replaced. May be nil.
	Healed func() int64
	// RepairAfter is how long a drive may be away when the cluster's settings do not say. Default 15 min.
	RepairAfter time.Duration
	// Version of the program.
	Version string
	Now     func() time.Time
	Logger  *slog.Logger
}

const (
	// nodeTimeout bounds the question to one node: the others' answers do not wait for long.
	nodeTimeout = 3 * time.Second
	// seenTimeout bounds the wait for a change to be in this node's own View.
	seenTimeout = 3 * time.Second
	// maxAsked is how many nodes are asked at the same time.
	maxAsked = 32
	// maxTries is how often a change begins anew because another got in between.
	maxTries = 5
)

func (c *Config) validate() error {
	if c.Metadata == nil || c.Layout == nil || c.Groups == nil {
		return errors.New("operate: Config needs Metadata, Layout and Groups")
	}
	if c.RepairAfter <= 0 {
		c.RepairAfter = 15 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Operator shows and changes a cluster. Safe for concurrent use.
type Operator struct {
	cfg   Config
	scrub scrubWatch
}

// New makes an Operator.
func New(cfg Config) (*Operator, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	o := &Operator{cfg: cfg}
	if cfg.Repair != nil {
		o.scrub.look(cfg.Repair.Stats(), cfg.Now())
	}
	return o, nil
}
