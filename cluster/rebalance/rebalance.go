package rebalance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// Rebalancer runs what the package doc names.
type Rebalancer struct {
	cfg   Config
	eye   *upkeep.Eye
	kick  chan struct{}
	pace  *pacer
	old   *leftovers
	known map[uint32]surveyed // of groups led here; the mover's own

	mu           sync.Mutex
	progress     Progress
	left         map[id.Drive]Left
	replicasLeft map[id.Drive]int64
	meter        meter
	refused      map[id.Drive]time.Time // drives that said that they are full
	busy         bool                   // a change is under way:
	change       change
	told         told // what the figures were counted for
	replicasTold told // the same, of replicas
}

// told is when figures hold: the situation, and the groups that were surveyed in it.
type told struct {
	key    situation
	groups []uint32
}

func (t *told) holds(key situation, led []uint32) bool {
	return len(led) == 0 || t.key == key && !slices.ContainsFunc(led, func(g uint32) bool { return !slices.Contains(t.groups, g) })
}

// change is what the figures of Progress are about.
type change struct {
	key    situation
	groups string
}

// surveyed is what the last survey of a group found.
type surveyed struct {
	*tally
	key     situation
	at      time.Time
	settled bool // nothing that could be done, while the key is the same
}

// refusedFor is how long a drive that said it is full is left alone.
const refusedFor = time.Minute

var (
	errNotLed  = errors.New("rebalance: the group is led elsewhere by now")
	errChanged = errors.New("rebalance: the layout has changed")
)

// New makes a Rebalancer; Run starts it.
func New(cfg Config) (*Rebalancer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Rebalancer{
		cfg: cfg, eye: &upkeep.Eye{Layout: cfg.Layout}, kick: make(chan struct{}, 1), old: newLeftovers(),
		known: map[uint32]surveyed{}, left: map[id.Drive]Left{}, replicasLeft: map[id.Drive]int64{}, refused: map[id.Drive]time.Time{},
	}
	b.pace = &pacer{rate: b.limit, now: cfg.Now}
	return b, nil
}

// Run works until ctx ends.
func (b *Rebalancer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	loops := []func(context.Context){b.moveLoop, b.leftoverLoop, b.drainLoop}
	if b.cfg.Groups != nil {
		loops = append(loops, b.replicaLoop)
	}
	for _, loop := range loops {
		wg.Go(func() { loop(ctx) })
	}
	wg.Wait()
}

// Kick has everything looked at anew, now.
func (b *Rebalancer) Kick() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

func (b *Rebalancer) settings() *metapb.Settings { return b.eye.Fleet().View.Settings }

func (b *Rebalancer) paused() bool { return b.settings().GetRebalancePaused() }

// limit is the rate that is set, in bytes per second.
func (b *Rebalancer) limit() int64 {
	if n := b.settings().GetRebalanceBytesPerSecond(); n > 0 {
		return int64(min(n, 1<<50))
	}
	return b.cfg.BytesPerSecond
}

func (b *Rebalancer) leads(group uint32) bool {
	return b.cfg.Groups == nil || b.cfg.Groups.Leads(group)
}

// led are the groups with shards that are led here.
func (b *Rebalancer) led() []uint32 { return b.ledFrom(meta.SystemGroup + 1) }

func (b *Rebalancer) ledFrom(first uint32) (groups []uint32) {
	for g := first; g <= b.cfg.Metadata.Groups(); g++ {
		if b.leads(g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// takes reports whether a drive can be given a shard now.
func (b *Rebalancer) takes(f *upkeep.Fleet) func(id.Drive) bool {
	return func(d id.Drive) bool {
		drive, ok := b.cfg.Drives.Drive(d)
		if !ok || !f.Takes(d) {
			return false
		}
		if st := drive.Status(); st.Out || st.ReadOnly {
			return false
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		at, full := b.refused[d]
		return !full || b.cfg.Now().Sub(at) >= refusedFor
	}
}

// moveLoop surveys and moves whenever drives have come, gone, returned or filled up, and when there is
// something left that could not be done.
func (b *Rebalancer) moveLoop(ctx context.Context) {
	var again time.Time // when what failed is tried again
	var delay time.Duration
	steady := steady{}
	for ctx.Err() == nil {
		if key, ok := steady.look(b); ok {
			if steady.changed {
				again, delay, steady.changed = time.Time{}, 0, false
			}
			if groups := b.unsettled(key); len(groups) > 0 && !b.cfg.Now().Before(again) {
				if b.round(ctx, groups, key) {
					delay = min(b.cfg.Interval, max(firstDelay, 2*delay))
					again = b.cfg.Now().Add(delay)
				}
			}
		}
		t := time.NewTimer(b.cfg.Poll)
		select {
		case <-ctx.Done():
		case <-b.kick:
			clear(b.known)
			again, delay, steady.now = time.Time{}, 0, true
		case <-t.C:
		}
		t.Stop()
	}
}

// firstDelay is how soon what failed is tried again at first; twice as late each time.
const firstDelay = 10 * time.Second

// steady tells when the cluster has not changed for Config.Settle, or SettleNew.
type steady struct {
	key     situation
	now     bool                // do not wait this once
	changed bool                // since the last time that it was steady
	base    map[id.Drive]uint64 // drives when it was steady, or those that were there changed; nil: not looked yet
	until   time.Time           // it is waited
}

func (s *steady) look(b *Rebalancer) (situation, bool) {
	p, now := b.pictureNow(), b.cfg.Now()
	switch {
	case s.base == nil || p.key != s.key && !p.extends(s.base):
		s.base, s.until, s.changed = p.drives, now.Add(b.cfg.Settle), true
	case p.key != s.key:
		s.changed = true
		if wait := now.Add(b.cfg.SettleNew); wait.After(s.until) {
			s.until = wait
		}
	}
	calm := !now.Before(s.until)
	if calm {
		s.base = p.drives
	}
	ok := calm || s.now
	s.key, s.now = p.key, false
	return s.key, ok
}

// unsettled are the groups led here that are to be looked at. What is known of others is forgotten.
func (b *Rebalancer) unsettled(now situation) (groups []uint32) {
	led, paused := b.led(), b.paused()
	for _, g := range led {
		s, ok := b.known[g]
		switch {
		case ok && s.key == now && b.cfg.Now().Sub(s.at) < b.cfg.SurveyInterval && (s.settled || paused):
		default:
			groups = append(groups, g)
		}
	}
	for g := range b.known {
		if !slices.Contains(led, g) {
			delete(b.known, g)
		}
	}
	return groups
}

// round surveys groups, moves what can be moved, and does so again until a survey finds nothing more.
// failed is whether something is left that should be tried again, although nothing has changed.
func (b *Rebalancer) round(ctx context.Context, groups []uint32, key situation) (failed bool) {
	for ctx.Err() == nil {
		if err := b.survey(ctx, groups, key); err != nil {
			return !errors.Is(err, errChanged)
		}
		movable := b.begin(key)
		if movable == 0 || b.paused() {
			return b.held()
		}
		moved, err := b.move(ctx, groups, key)
		switch {
		case errors.Is(err, errChanged):
			return false
		case err != nil || moved == 0:
			return true
		}
	}
	return false
}

// held reports whether a shard waits for the repair of another of its data.
func (b *Rebalancer) held() bool {
	for _, s := range b.known {
		if s.held > 0 {
			return true
		}
	}
	return false
}

// begin adds up what the surveys of all groups led here have found, and returns how many shards can be moved.
func (b *Rebalancer) begin(key situation) (movable int64) {
	t := newTally()
	groups := slices.Sorted(maps.Keys(b.known))
	for _, g := range groups {
		t.add(b.known[g].tally)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.progress
	if !b.busy && t.shards > 0 {
		p.MovedShards, p.MovedBytes, p.LeastBytes = 0, 0, 0
		b.cfg.Logger.Info("shards are not where they should be", "shards", t.shards, "bytes", t.bytes, "least_bytes", t.least(), "without_a_drive", t.shards-t.movable)
	}
	if b.busy && t.shards == 0 {
		b.cfg.Logger.Info("shards are where they should be", "moved_shards", p.MovedShards, "moved_bytes", p.MovedBytes, "least_bytes", p.LeastBytes)
	}
	// The least is what the first survey says; another situation, or other groups, make it another change.
	if c := (change{key, fmt.Sprint(groups)}); t.shards > 0 && (!b.busy || c != b.change) {
		p.LeastBytes, b.change = p.MovedBytes+t.least(), c
	}
	b.busy = t.shards > 0
	p.Scanned = t.scanned
	b.told = told{key, groups}
	p.LeftShards, p.LeftBytes, p.WaitingShards = t.shards, t.bytes, t.shards-t.movable
	b.left = t.left
	return t.movable
}

// relocated counts a shard that was moved.
func (b *Rebalancer) relocated(m relocation, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.progress
	p.MovedShards++
	p.MovedBytes += bytes
	p.LeftShards = max(0, p.LeftShards-1)
	p.LeftBytes = max(0, p.LeftBytes-bytes)
	l := b.left[m.from]
	b.left[m.from] = Left{Shards: max(0, l.Shards-1), Bytes: max(0, l.Bytes-bytes), Replicas: l.Replicas}
	b.meter.add(b.cfg.Now(), bytes)
}
