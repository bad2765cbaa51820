package main

import (
	"errors"

	"holdfast/erasure/fanout"
	"holdfast/internal/telemetry"
)

// shardFigures adds what the fan-out counts to the metrics.
func shardFigures(m *telemetry.Metrics, f *fanout.Fanout) error {
	var errs []error
	for _, c := range []struct {
		name, help string
		read       func(fanout.Stats) uint64
	}{
		{"hedged", "Spare shards that were read because another read was slow.", func(s fanout.Stats) uint64 { return s.Hedged }},
		{"hedges_won", "Stripes that were decoded before the slow read came.", func(s fanout.Stats) uint64 { return s.HedgeWon }},
		{"decoded", "Stripes that had to be decoded from parity.", func(s fanout.Stats) uint64 { return s.Decoded }},
		{"damaged", "Shards that reads found damaged or missing.", func(s fanout.Stats) uint64 { return s.Damaged }},
		{"abandoned", "Shards that writes gave up because their drive was slow.", func(s fanout.Stats) uint64 { return s.Abandoned }},
		{"spared", "Shards that were written to a spare drive.", func(s fanout.Stats) uint64 { return s.Spared }},
		{"missed", "Shards that were not written, and wait for repair.", func(s fanout.Stats) uint64 { return s.Missed }},
		{"stalled", "Reads that gave up their memory because their reader was slow.", func(s fanout.Stats) uint64 { return s.Stalled }},
	} {
		errs = append(errs, m.Counter("holdfast_shards_"+c.name+"_total", c.help, func() float64 { return float64(c.read(f.Stats())) }))
	}
	for _, g := range []struct {
		name, help string
		read       func(fanout.Stats) int64
	}{
		{"put", "Memory granted to writes of shards.", func(s fanout.Stats) int64 { return s.PutBytes }},
		{"get", "Memory granted to reads of shards.", func(s fanout.Stats) int64 { return s.GetBytes }},
		{"slow", "Memory granted to reads whose reader is slow.", func(s fanout.Stats) int64 { return s.SlowBytes }},
		{"held", "Buffers of shards that are out.", func(s fanout.Stats) int64 { return s.HeldBytes }},
	} {
		errs = append(errs, m.Gauge("holdfast_shards_"+g.name+"_bytes", g.help, func() float64 { return float64(g.read(f.Stats())) }))
	}
	return errors.Join(errs...)
}
