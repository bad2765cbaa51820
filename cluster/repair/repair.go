package repair

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// Metadata is what repair needs of the metadata groups.
type Metadata interface {
	Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error)
	Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error)
	Groups() uint32
}

// Shards checks, rebuilds and deletes erasure-coded data.
type Shards interface {
	Check(ctx context.Context, ref fanout.Ref, how fanout.Looking) (bad []int, err error)
	Delete(ctx context.Context, data id.Data, drives []id.Drive) error
	Rebuild(ctx context.Context, ref fanout.Ref, missing []int, to []id.Drive) error
}

// Drives are the drives that this process reaches.
type Drives interface {
	Drive(d id.Drive) (node.Drive, bool)
	All() []node.Drive
}

// Placer orders the healthy drives for a data ID.
type Placer interface {
	Place(data id.Data, n int) (chosen, spares []id.Drive)
}

// Config is what a Repairer is made of.
type Config struct {
	Metadata Metadata
	Shards   Shards
	Drives   Drives
	Placer   Placer
	// Groups has the metadata replicas; nil leaves them alone.
	Groups Groups
	// RepairAfter is how long a drive that is just absent is waited for before its metadata
	// replicas go to others. Default 15 min.
	RepairAfter time.Duration
	// ReclaimAfter is how long the shards of a deleted version stay for readers that have
	// already found it. Default 1 min.
	ReclaimAfter time.Duration
	// Interval between looks at garbage lists and repair queues. Default 2 s; a damage report or
	// Kick looks at once.
	Interval time.Duration
	// ScrubInterval is the time between scrubs of everything. Default 7 days; negative: never.
	ScrubInterval time.Duration
	// ScrubBytesPerSecond bounds the scrub's reading a drive. Default 32 MiB/s.
	ScrubBytesPerSecond int64
	// SweepInterval is the time between the two questions of the orphan sweep. Default 15 min.
	SweepInterval time.Duration
	// ScrubDrive verifies what a drive keeps besides shards. May be nil.
	ScrubDrive func(ctx context.Context, d id.Drive) error
	// Retire is told of a lost drive that no record names any more. May be nil.
	Retire func(ctx context.Context, d id.Drive) error
	Now    func() time.Time
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Metadata == nil || c.Shards == nil || c.Drives == nil || c.Placer == nil {
		return fmt.Errorf("repair: Config needs Metadata, Shards, Drives and Placer")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.RepairAfter, 15 * time.Minute}, {&c.ReclaimAfter, time.Minute}, {&c.Interval, 2 * time.Second},
		{&c.ScrubInterval, 7 * 24 * time.Hour}, {&c.SweepInterval, 15 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.ScrubBytesPerSecond == 0 {
		c.ScrubBytesPerSecond = 32 << 20
	}
	if c.Retire == nil {
		c.Retire = func(context.Context, id.Drive) error { return nil }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Stats counts what was done since the start.
type Stats struct {
	Queued    int64 // data IDs on the repair queues at the last look
	Garbage   int64 // data IDs on the garbage lists at the last look
	Rebuilt   int64 // shards
	Failed    int64 // repairs that could not be done and wait for the next look
	Reclaimed int64 // data IDs whose shards were deleted
	Orphans   int64 // shards deleted by the sweep
	Verified  int64 // shards verified by the scrub
	Damaged   int64 // shards found damaged or missing by the scrub
	Scrubs    int64 // complete scrubs
	LastScrub time.Time
	Looks     int64 // complete looks at all queues without an error
}

// Repairer runs the loops of the package doc.
type Repairer struct {
	cfg  Config
	kick chan struct{}
	// nudged is when each group was last told to go on with its backlog; the reaper's own.
	nudged map[uint32]time.Time
	scrb   chan struct{}

	mu       sync.Mutex
	stats    Stats
	reported map[id.Data]struct{}  // damage reports not yet on a queue, at most maxReports
	lost     map[id.Drive]struct{} // drives that records may still name
}

// maxReports bounds the damage reports held in memory; the scrub finds what is dropped.
const maxReports = 10_000

// New makes a Repairer; Run starts it.
func New(cfg Config) (*Repairer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Repairer{
		cfg: cfg, kick: make(chan struct{}, 1), nudged: map[uint32]time.Time{}, scrb: make(chan struct{}, 1),
		reported: map[id.Data]struct{}{}, lost: map[id.Drive]struct{}{},
	}, nil
}

// Run works until ctx ends.
func (r *Repairer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	loops := []func(context.Context){r.reapLoop, r.workLoop, r.scrubLoop, r.sweepLoop}
	if r.cfg.Groups != nil {
		loops = append(loops, r.replicaLoop)
	}
	for _, loop := range loops {
		wg.Go(func() { loop(ctx) })
	}
	wg.Wait()
}

// Damage reports a shard that a reader found bad. It never blocks.
func (r *Repairer) Damage(s node.Shard, d id.Drive, err error) {
	r.mu.Lock()
	_, known := r.reported[s.Data]
	if !known && len(r.reported) < maxReports {
		r.reported[s.Data] = struct{}{}
	}
	r.mu.Unlock()
	if !known {
		r.cfg.Logger.Warn("a shard is bad and will be rebuilt", "shard", s, "drive", d, "error", err)
		r.Kick()
	}
}

// Lost says that a drive is gone for good: what it held is rebuilt on others, and when no record
// names it any more, Retire is called.
func (r *Repairer) Lost(d id.Drive) {
	r.mu.Lock()
	r.lost[d] = struct{}{}
	r.mu.Unlock()
	r.Kick()
}

// Kick makes the worker look now.
func (r *Repairer) Kick() { poke(r.kick) }

// Scrub starts a scrub now, if none is running.
func (r *Repairer) Scrub() { poke(r.scrb) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats returns the counters.
func (r *Repairer) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Idle reports whether a complete look found nothing to repair and no lost drive waits.
func (r *Repairer) Idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats.Looks > 0 && r.stats.Queued == 0 && len(r.reported) == 0 && len(r.lost) == 0
}

func (r *Repairer) count(f func(s *Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.stats)
}

// wait returns false when ctx ended. It returns at once when early is poked.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-early:
		return true
	case <-t.C:
		return true
	}
}

// pageSize is how many records are asked for at once.
const pageSize = 256

// scanner asks for a page of data records after one.
type scanner func(after []byte) *metapb.Query

// each calls fn for all data records of a group that a scan names, and returns their number.
func (r *Repairer) each(ctx context.Context, group uint32, scan scanner, fn func(*metapb.DataRecord) error) (int64, error) {
	var after []byte
	var n int64
	for {
		a, err := r.cfg.Metadata.Ask(ctx, group, scan(after))
		if err != nil {
			return n, err
		}
		for _, d := range a.Data {
			if err := fn(d); err != nil {
				return n, err
			}
			n++
			after = d.DataId
		}
		if !a.Truncated || len(a.Data) == 0 {
			return n, nil
		}
	}
}

func (r *Repairer) command() *metapb.Command {
	return &metapb.Command{NowMs: r.cfg.Now().UnixMilli()}
}
