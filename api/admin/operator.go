package admin

import (
	"context"
	"time"

	"holdfast/cluster/operate"
)

// Reader shows the cluster.
type Reader interface {
	Status(ctx context.Context) operate.Status
}

// Drives adds drives and takes them out.
type Drives interface {
	AddDrive(ctx context.Context, node, path string) (operate.Change, error)
	RemoveDrive(ctx context.Context, name string, force bool) (operate.Change, error)
}

// Nodes takes nodes out.
type Nodes interface {
	RemoveNode(ctx context.Context, name string, force bool) (operate.Change, error)
}

// Drainer has drives or nodes emptied.
type Drainer interface {
	DrainDrive(ctx context.Context, name string) (operate.Change, error)
	DrainNode(ctx context.Context, name string) (operate.Change, error)
}

// Undrainer calls that off.
type Undrainer interface {
	UndrainDrive(ctx context.Context, name string) (operate.Change, error)
	UndrainNode(ctx context.Context, name string) (operate.Change, error)
}

// Pauser holds rebalancing up.
type Pauser interface {
	PauseRebalance(ctx context.Context) (operate.Settings, error)
	ResumeRebalance(ctx context.Context) (operate.Settings, error)
}

// Setter changes the cluster's settings.
type Setter interface {
	SetRebalanceRate(ctx context.Context, bytesPerSecond int64) (operate.Settings, error)
	SetRepairAfter(ctx context.Context, d time.Duration) (operate.Settings, error)
}

// Starter starts what does not start by itself.
type Starter interface {
	KickRebalance(ctx context.Context) error
	StartScrub(ctx context.Context) (operate.Started, error)
}

// Operator is all of them; *operate.Operator is one.
type Operator interface {
	Reader
	Drives
	Nodes
	Drainer
	Undrainer
	Pauser
	Setter
	Starter
}

var _ Operator = (*operate.Operator)(nil)
