package fanout

import "sync/atomic"

type counters struct {
	hedged, hedgeWon, decoded, damaged, abandoned, spared, missed, stalled atomic.Uint64
}

// Stats counts since the start; for metrics.
type Stats struct {
	Hedged    uint64 // spare reads sent because of a slow one
	HedgeWon  uint64 // stripes that were decoded before the slow read came
	Decoded   uint64 // stripes that had to be decoded
	Damaged   uint64 // shards found damaged or missing by reads
	Abandoned uint64 // shards given up because their drive was slow to write
	Spared    uint64 // shards written to a spare drive
	Missed    uint64 // shards that were not written at all
	Stalled   uint64 // reads that gave up their memory because their reader was slow
	PutBytes  int64  // memory granted to writes
	GetBytes  int64  // memory granted to reads, but for
	SlowBytes int64  // that of slow readers
	HeldBytes int64  // buffers that are really out: never more than the three together
}

// Stats reads the counters.
func (f *Fanout) Stats() Stats {
	c := &f.stats
	return Stats{
		Hedged: c.hedged.Load(), HedgeWon: c.hedgeWon.Load(), Decoded: c.decoded.Load(),
		Damaged: c.damaged.Load(), Abandoned: c.abandoned.Load(), Spared: c.spared.Load(),
		Missed: c.missed.Load(), PutBytes: f.puts.inUse(), GetBytes: f.gets.inUse(),
		Stalled: c.stalled.Load(), SlowBytes: f.stalled.inUse(), HeldBytes: f.blocks.held.Load(),
	}
}
