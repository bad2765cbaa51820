package rebalance

import (
	"time"

	"holdfast/internal/id"
	"holdfast/meta"
)

// Progress is how far the groups led here are. Of a cluster it is the sum over its nodes.
type Progress struct {
	// Scanned are the records looked at by the survey that is under way, or was the last one.
	Scanned int64
	// Surveyed: the figures below are of all groups led here, as the cluster is now, by the layout of that version.
	Surveyed bool
	Layout   uint64
	Paused   bool
	// Moved since the present change began, and what is left, in shards and bytes.
	MovedShards, MovedBytes int64
	LeftShards, LeftBytes   int64
	// WaitingShards of those left have no drive to go to: it is down or full, or there is none.
	WaitingShards int64
	// LeastBytes is what the present change takes at the least: what the drives that gain gain.
	LeastBytes int64
	// BytesPerSecond of late; Limit is what is set.
	BytesPerSecond, Limit int64
	// Eta is the time left at that rate; 0 when there is nothing left or nothing moves.
	Eta time.Duration
	// MovedReplicas since the start; LeftReplicas is how many groups led here have one that is to move, or has
	// begun to.
	MovedReplicas, LeftReplicas int64
	// Drives that shards or replicas are to leave.
	Drives map[id.Drive]Left
}

// Left is what is still to leave a drive.
type Left struct {
	Shards, Bytes int64
	Replicas      int64
}

// tally is what a survey of a group counts.
type tally struct {
	scanned       int64
	shards, bytes int64 // that should be elsewhere
	movable       int64 // of the shards: there is a drive for them
	held          int64 // shards that wait for a repair
	have, want    map[id.Drive]int64
	left          map[id.Drive]Left
}

func newTally() *tally {
	return &tally{have: map[id.Drive]int64{}, want: map[id.Drive]int64{}, left: map[id.Drive]Left{}}
}

func (t *tally) add(o *tally) {
	t.scanned, t.shards, t.bytes = t.scanned+o.scanned, t.shards+o.shards, t.bytes+o.bytes
	t.movable, t.held = t.movable+o.movable, t.held+o.held
	for d, n := range o.have {
		t.have[d] += n
	}
	for d, n := range o.want {
		t.want[d] += n
	}
	for d, l := range o.left {
		t.left[d] = Left{Shards: t.left[d].Shards + l.Shards, Bytes: t.left[d].Bytes + l.Bytes}
	}
}

// least is what has to arrive somewhere whatever is moved: drives end up with what they should have.
func (t *tally) least() (n int64) {
	for d, want := range t.want {
		n += max(0, want-t.have[d])
	}
	return n
}

// Progress reads the counters.
func (b *Rebalancer) Progress() Progress {
	version, key, led, replicated := b.eye.Fleet().View.Version, b.keyNow(), b.led(), b.ledFrom(meta.SystemGroup)
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.progress
	p.Layout, p.Surveyed = version, b.told.holds(key, led) && (b.cfg.Groups == nil || b.replicasTold.holds(key, replicated))
	p.Paused = b.paused()
	p.Limit = b.limit()
	p.BytesPerSecond = b.meter.rate(b.cfg.Now())
	if p.BytesPerSecond > 0 && p.LeftBytes > 0 && !p.Paused {
		p.Eta = time.Duration(float64(p.LeftBytes) / float64(p.BytesPerSecond) * float64(time.Second)).Round(time.Second)
	}
	p.Drives = make(map[id.Drive]Left, len(b.left))
	for d, l := range b.left {
		if l != (Left{}) {
			p.Drives[d] = l
		}
	}
	for d, n := range b.replicasLeft {
		l := p.Drives[d]
		l.Replicas = n
		p.Drives[d] = l
	}
	return p
}
