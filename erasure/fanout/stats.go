package fanout

import "sync/atomic"

type counters struct {
	hedged, hedgeWon, decoded, damaged, abandoned, spared, missed atomic.Uint64
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
	PutBytes  int64  // buffers in use by writes
	GetBytes  int64  // buffers in use by reads
}

// Stats reads the counters.
func (f *Fanout) Stats() Stats {
	c := &f.stats
	return Stats{
		Hedged: c.hedged.Load(), HedgeWon: c.hedgeWon.Load(), Decoded: c.decoded.Load(),
		Damaged: c.damaged.Load(), Abandoned: c.abandoned.Load(), Spared: c.spared.Load(),
		Missed: c.missed.Load(), PutBytes: f.puts.inUse(), GetBytes: f.gets.inUse(),
	}
}
