package fanout

import (
	"slices"
	"time"

	"holdfast/internal/kind"
	"holdfast/node"
)

// source is a shard as a reader knows it; get.mu guards what changes.
type source struct {
	drive       node.Drive // nil: there is no way to it
	health      *driveHealth
	spec        node.Spec
	dead        bool // asking again is of no use in this request
	unreachable bool // not known to be lost: another time it may answer
	suspect     bool // a block was damaged: others of the shard may be good
	slow        bool // decoding was faster, or is likely to be
	near        bool // parity that costs no network
	far         bool // a data shard for which a near parity shard is read
	reported    bool
}

func (s *source) good() bool { return !s.dead && !s.suspect && !s.slow && !s.far }

// Ranks of candidates for a spare read, best first.
const (
	rankNear = iota
	rankFar
	rankGood
	rankSlow
	rankSuspect
	rankNever
)

func (s *source) rank() int {
	switch {
	case s.dead:
		return rankNever
	case s.suspect:
		return rankSuspect
	case s.slow:
		return rankSlow
	case s.near:
		return rankNear
	case s.far:
		return rankFar
	}
	return rankGood
}

// blame takes in why a read failed and says whether the shard is to be reported as damaged.
func (s *source) blame(err error) bool {
	switch kind.Of(err) {
	case kind.Damaged:
		s.suspect = true
	case kind.NotFound:
		s.dead = true
	case kind.Unavailable, kind.Timeout, kind.Canceled, kind.Full:
		s.dead, s.unreachable = true, true
		return false
	default: // an I/O error: the shard is hard to read here
		s.suspect, s.unreachable = true, true
	}
	report := !s.reported
	s.reported = true
	return report
}

// open finds the drives of a reference.
func (g *get) open() {
	g.shards = make([]source, g.layout.Shards())
	for i := range g.shards {
		s := &g.shards[i]
		s.spec = g.layout.Spec(g.ref.Data, i)
		name := g.ref.Drives[i]
		if name.IsZero() {
			s.dead = true
			continue
		}
		drive, ok := g.f.cfg.Drives.Drive(name)
		if !ok {
			s.dead, s.unreachable = true, true
			continue
		}
		s.drive, s.health = drive, g.f.health.of(name)
	}
}

// probeEvery is how often a drive that is known as slow is asked first all the same, so that its
// recovery is seen.
const probeEvery = 16

// weigh computes the delay after which spares are asked, and marks the drives that have been far
// slower than the others of late. It takes the median, which one bad drive cannot move.
func (g *get) weigh() {
	var room [node.MaxShards]time.Duration
	known := room[:0]
	for i := range g.shards {
		if s := &g.shards[i]; !s.dead {
			if e := s.health.expected(); e > 0 {
				known = append(known, e)
			}
		}
	}
	cfg := &g.f.cfg
	g.delay = cfg.HedgeFirst
	if len(known) < g.layout.K {
		return
	}
	slices.Sort(known)
	median := known[len(known)/2]
	g.delay = min(max(median, cfg.HedgeMin), cfg.HedgeMax)
	for i := range g.shards {
		s := &g.shards[i]
		if s.dead || s.health.expected() < max(4*median, 2*cfg.HedgeMin) {
			continue
		}
		s.slow = s.health.asked.Add(1)%probeEvery != 0
	}
}

// preferNear has parity shards on this machine read instead of data shards elsewhere: to decode a byte
// costs a sixth of what it costs to fetch one. For whole stripes only, as decoding takes whole blocks.
func (g *get) preferNear() {
	if g.f.cfg.Near == nil {
		return
	}
	near := 0
	for i := g.layout.K; i < len(g.shards); i++ {
		s := &g.shards[i]
		if s.good() && g.f.cfg.Near(g.ref.Drives[i]) {
			s.near = true
			near++
		}
	}
	for i := g.layout.K - 1; i >= 0 && near > 0; i-- {
		if s := &g.shards[i]; s.good() && !g.f.cfg.Near(g.ref.Drives[i]) {
			s.far = true
			near--
		}
	}
}

// shortage is the error of a stripe for which fewer than K blocks could be read.
func (g *get) shortage(stripe, have int) error {
	hope := have
	for i := range g.shards {
		if g.shards[i].unreachable {
			hope++
		}
	}
	if hope >= g.layout.K {
		return kind.New(kind.Unavailable, "fanout: stripe %d of %s: %d of %d blocks can be reached", stripe, g.ref.Data, have, g.layout.K)
	}
	return kind.New(kind.Damaged, "fanout: stripe %d of %s: only %d of %d blocks are left", stripe, g.ref.Data, have, g.layout.K)
}
