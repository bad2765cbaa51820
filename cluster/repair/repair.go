package repair

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// Metadata is what repair needs of the metadata groups.
type Metadata = upkeep.Metadata

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
	// Local are the drives of this node: those that scrub and sweep walk. nil: all.
	Local func() []node.Drive
	// Layout knows the cluster; nil where there is one process: then a drive that cannot be reached
	// counts as lost.
	Layout upkeep.Layout
	// Groups has the metadata replicas, and says which groups are led here: only their queues are
	// worked. nil: all, and replicas are left alone.
	Groups Groups
	// Members are the drives that have a replica of each group, wherever it is led; a group that does
	// not answer is not in it. Asked before a drive is retired. nil: those of the groups led here.
	Members func(ctx context.Context) map[uint32][]id.Drive
	// RepairAfter is how long a drive that is just absent is waited for before its metadata
	// replicas go to others and it is given up. The cluster's settings go before. Default 15 min.
	RepairAfter time.Duration
	// ReclaimAfter is how long the shards of a deleted version stay for readers that have
	// already found it. Default 1 min.
	ReclaimAfter time.Duration
	// Interval between looks at garbage lists and repair queues. Default 2 s; a damage report or
	// Kick looks at once.
	Interval time.Duration
	// Parallel is how many data IDs are repaired at the same time. Default 4: each keeps all its
	// drives busy.
	Parallel int
	// ScrubInterval is the time between scrubs of everything. Default 7 days; negative: never.
	ScrubInterval time.Duration
	// ScrubBytesPerSecond bounds the scrub's reading a drive. Default 32 MiB/s.
	ScrubBytesPerSecond int64
	// SweepInterval is the time between the two questions of the orphan sweep. Default 15 min.
	SweepInterval time.Duration
	// SweepShardsPerSecond bounds the shards that the sweep asks about, a drive. Default 2000: the
	// groups' leaders look each of them up.
	SweepShardsPerSecond int
	// ScrubDrive verifies what a drive keeps besides shards. May be nil.
	ScrubDrive func(ctx context.Context, d id.Drive) error
	// Retire is told of a lost drive that no record names any more. Default: the layout is.
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
	if c.SweepShardsPerSecond <= 0 {
		c.SweepShardsPerSecond = 2000
	}
	if c.Parallel <= 0 {
		c.Parallel = 4
	}
	if c.Local == nil {
		c.Local = c.Drives.All
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
	eye  *upkeep.Eye // nil without a layout
	kick chan struct{}
	scrb chan struct{}
	// nudged is when each group was last told to go on with its backlog; the reaper's own.
	nudged map[uint32]time.Time
	// warned is when something was last said about a drive; the watch's own.
	warned map[id.Drive]time.Time
	lost   losses // the worker's own, but for what Lost adds

	mu       sync.Mutex
	stats    Stats
	reported map[id.Data]struct{}  // damage reports not yet on a queue, at most maxReports
	recent   map[id.Data]time.Time // those of the last minute
	given    map[id.Drive]struct{} // drives that Lost named
	later    postponed
	absent   absences
	idle     bool     // the last look found no lost drive that records name
	looked   []uint32 // the groups that the last look was at
}

// maxReports bounds the damage reports held in memory; the scrub finds what is dropped.
const maxReports = 10_000

// reportAgain is how long another report of the same data adds nothing: its repair is under way.
const reportAgain = time.Minute

// New makes a Repairer; Run starts it.
func New(cfg Config) (*Repairer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Repairer{
		cfg: cfg, kick: make(chan struct{}, 1), scrb: make(chan struct{}, 1), nudged: map[uint32]time.Time{}, warned: map[id.Drive]time.Time{},
		reported: map[id.Data]struct{}{}, recent: map[id.Data]time.Time{}, given: map[id.Drive]struct{}{}, absent: absences{for_: map[id.Drive]time.Duration{}},
	}
	if cfg.Layout != nil {
		r.eye = &upkeep.Eye{Layout: cfg.Layout}
	}
	return r, nil
}

// Run works until ctx ends.
func (r *Repairer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	loops := []func(context.Context){r.reapLoop, r.workLoop, r.scrubLoop, r.sweepLoop, r.watchLoop}
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
	now := r.cfg.Now()
	r.mu.Lock()
	at, known := r.recent[s.Data]
	known = known && now.Sub(at) < reportAgain
	if !known && len(r.reported) < maxReports {
		if len(r.recent) >= maxReports {
			clear(r.recent)
		}
		r.reported[s.Data], r.recent[s.Data] = struct{}{}, now
	}
	r.mu.Unlock()
	if !known {
		r.cfg.Logger.Warn("a shard is bad and will be rebuilt", "shard", s, "drive", d, "error", err)
		r.Kick()
	}
}

// Lost says that a drive is gone for good: what it held is rebuilt on others, and when no record
// names it any more, Retire is called. What the layout says so of need not be said.
func (r *Repairer) Lost(d id.Drive) {
	r.mu.Lock()
	r.given[d] = struct{}{}
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

// Idle reports whether a complete look at the groups led here found nothing to repair, and no lost drive waits.
func (r *Repairer) Idle() bool {
	led := r.led()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range led {
		if !slices.Contains(r.looked, g) {
			return false
		}
	}
	return r.stats.Looks > 0 && r.stats.Queued == 0 && len(r.reported) == 0 && r.idle
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

// led are the object groups whose queues are worked here.
func (r *Repairer) led() []uint32 {
	var groups []uint32
	for g := uint32(1); g <= r.cfg.Metadata.Groups(); g++ {
		if r.leads(g) {
			groups = append(groups, g)
		}
	}
	return groups
}

func (r *Repairer) leads(group uint32) bool { return r.cfg.Groups == nil || r.cfg.Groups.Leads(group) }

func (r *Repairer) command() *metapb.Command {
	return &metapb.Command{NowMs: r.cfg.Now().UnixMilli()}
}
