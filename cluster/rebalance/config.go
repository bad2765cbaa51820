package rebalance

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// Shards rebuilds what cannot be copied.
type Shards interface {
	Rebuild(ctx context.Context, ref fanout.Ref, missing []int, to []id.Drive) error
}

// Groups are the metadata groups as those who run them see them.
type Groups interface {
	// Leads reports whether a group is led here.
	Leads(group uint32) bool
	// Status says what is known of the groups led here.
	Status(ctx context.Context) replica.Status
	// MoveReplica goes on with a move that was interrupted if it has the same aim.
	MoveReplica(ctx context.Context, group uint32, from, to id.Drive) error
	// AbandonMove undoes one that nobody goes on with.
	AbandonMove(ctx context.Context, group uint32) error
}

// Config is what a Rebalancer is made of.
type Config struct {
	Metadata upkeep.Metadata
	Shards   Shards
	Drives   upkeep.Ways
	Layout   upkeep.Layout
	// Groups has the metadata replicas and says which groups are led here. nil: all are, and replicas
	// are left alone.
	Groups Groups
	// Members are the drives that have a replica of each group, wherever it is led; a group that does
	// not answer is not in it. nil: those of the groups led here.
	Members func(ctx context.Context) map[uint32][]id.Drive
	// BytesPerSecond of shards are moved by this node when the cluster's settings do not say. Default
	// 64 MiB/s: a third of what a disk does.
	BytesPerSecond int64
	// Parallel is how many shards are moved at the same time, each with a buffer of one block. Default
	// 8: a small shard waits for a commit on a drive and one in its group.
	Parallel int
	// ReclaimAfter is how long a shard that was moved stays where it was for readers that have
	// found it there. Default 1 min.
	ReclaimAfter time.Duration
	// Poll is how soon a change of the layout is noticed, or that rebalancing was paused. Default 1 s.
	Poll time.Duration
	// Settle is how long the cluster must not have changed before anything is moved. Default 10 s: a
	// node that starts again is soon back.
	Settle time.Duration
	// SettleNew is the same where all that changed is that drives came which had not been there. Default
	// 3 s: those of a node are registered one after the other.
	SettleNew time.Duration
	// Interval is the longest time after which what failed is tried again. Default 10 min.
	Interval time.Duration
	// SurveyInterval is the time after which records are looked at again although nothing changed: a
	// write that found a drive slow put its shard elsewhere. Default 24 h.
	SurveyInterval time.Duration
	// RecordsPerSecond bounds what is looked at. Default 20,000: some tenth of a core here and at the
	// leader, which is the same process.
	RecordsPerSecond int
	// DrainInterval is the time between two questions whether a drive that leaves is empty, and
	// the longest between two attempts to move replicas that wait. Default 10 s.
	DrainInterval time.Duration
	Now           func() time.Time
	Logger        *slog.Logger
}

func (c *Config) validate() error {
	if c.Metadata == nil || c.Shards == nil || c.Drives == nil || c.Layout == nil {
		return errors.New("rebalance: Config needs Metadata, Shards, Drives and Layout")
	}
	fill(&c.BytesPerSecond, 64<<20)
	fill(&c.Parallel, 8)
	fill(&c.ReclaimAfter, time.Minute)
	fill(&c.Poll, time.Second)
	fill(&c.Settle, 10*time.Second)
	fill(&c.SettleNew, min(c.Settle, 3*time.Second))
	fill(&c.Interval, 10*time.Minute)
	fill(&c.SurveyInterval, 24*time.Hour)
	fill(&c.RecordsPerSecond, 20_000)
	fill(&c.DrainInterval, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func fill[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
