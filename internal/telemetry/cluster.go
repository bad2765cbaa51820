package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Drive is one drive's state at a scrape.
type Drive struct {
	ID, Path   string
	Out        bool // an I/O error took it out
	ReadOnly   bool // the reserve is reached
	TotalBytes int64
	FreeBytes  int64
	Shards     int64
}

// Group is one metadata group as its best replica in this process sees it.
type Group struct {
	Number  uint32
	Leader  bool // a leader is known
	Term    uint64
	Applied uint64 // index of the last applied entry
}

// Repair is the state of repair, scrub and reclaim at a scrape. Counters begin at the
// process's start.
type Repair struct {
	// FullRedundancy is true when every shard that should be somewhere is, as far as is known.
	FullRedundancy bool
	Queued         int64     // data IDs that wait for repair, in all groups
	RebuiltShards  int64     // counter
	FailedRebuilds int64     // counter: tried again later
	ScrubbedShards int64     // counter
	DamagedShards  int64     // counter: found bad by scrub
	Scrubs         int64     // counter: complete ones
	LastScrub      time.Time // end of the last complete one; zero: none
	GarbageData    int64     // data IDs that wait to be reclaimed
	ReclaimedData  int64     // counter
	OrphanShards   int64     // counter: removed since no manifest named them
}

// snapshot collects a fixed table of metrics from one reading of the state, so that the figures
// of a scrape belong together.
type snapshot struct {
	descs   []*prometheus.Desc
	collect func(emit func(metric int, value float64, labels ...string))
	kinds   []prometheus.ValueType
}

type column struct {
	name, help string
	kind       prometheus.ValueType
}

func newSnapshot(labels []string, columns []column) *snapshot {
	s := &snapshot{}
	for _, c := range columns {
		s.descs = append(s.descs, prometheus.NewDesc("holdfast_"+c.name, c.help, labels, nil))
		s.kinds = append(s.kinds, c.kind)
	}
	return s
}

func (s *snapshot) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		ch <- d
	}
}

func (s *snapshot) Collect(ch chan<- prometheus.Metric) {
	s.collect(func(metric int, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(s.descs[metric], s.kinds[metric], value, labels...)
	})
}

func driveCollector(read func() []Drive) prometheus.Collector {
	s := newSnapshot([]string{"drive", "path"}, []column{
		{"drive_up", "1 while the drive answers, 0 after an I/O error took it out.", prometheus.GaugeValue},
		{"drive_read_only", "1 when the drive has reached its reserve.", prometheus.GaugeValue},
		{"drive_total_bytes", "Size of the drive's file system.", prometheus.GaugeValue},
		{"drive_free_bytes", "Free bytes on the drive's file system.", prometheus.GaugeValue},
		{"drive_shards", "Shards on the drive.", prometheus.GaugeValue},
	})
	s.collect = func(emit func(int, float64, ...string)) {
		for _, d := range read() {
			emit(0, boolean(!d.Out), d.ID, d.Path)
			emit(1, boolean(d.ReadOnly), d.ID, d.Path)
			emit(2, float64(d.TotalBytes), d.ID, d.Path)
			emit(3, float64(d.FreeBytes), d.ID, d.Path)
			emit(4, float64(d.Shards), d.ID, d.Path)
		}
	}
	return s
}

func groupCollector(read func() []Group) prometheus.Collector {
	s := newSnapshot([]string{"group"}, []column{
		{"group_leader", "1 when the metadata group has a leader.", prometheus.GaugeValue},
		{"group_term", "Raft term of the group.", prometheus.CounterValue},
		{"group_applied", "Index of the last entry that the group applied.", prometheus.CounterValue},
	})
	s.collect = func(emit func(int, float64, ...string)) {
		for _, g := range read() {
			number := strconv.FormatUint(uint64(g.Number), 10)
			emit(0, boolean(g.Leader), number)
			emit(1, float64(g.Term), number)
			emit(2, float64(g.Applied), number)
		}
	}
	return s
}

func repairCollector(read func() Repair) prometheus.Collector {
	s := newSnapshot(nil, []column{
		{"full_redundancy", "1 when every shard is where it should be, as far as is known.", prometheus.GaugeValue},
		{"repair_queue", "Data IDs that wait for repair.", prometheus.GaugeValue},
		{"repair_rebuilt_shards_total", "Shards rebuilt from the others.", prometheus.CounterValue},
		{"repair_failed_total", "Rebuilds that failed and are tried again.", prometheus.CounterValue},
		{"scrub_shards_total", "Shards read and verified by scrub.", prometheus.CounterValue},
		{"scrub_damaged_shards_total", "Shards found damaged or missing by scrub.", prometheus.CounterValue},
		{"scrubs_total", "Complete scrubs.", prometheus.CounterValue},
		{"last_scrub_timestamp_seconds", "Unix time of the end of the last complete scrub; 0 for none since the start.", prometheus.GaugeValue},
		{"garbage_data", "Deleted data IDs whose shards wait to be reclaimed.", prometheus.GaugeValue},
		{"reclaimed_data_total", "Deleted data IDs whose shards were reclaimed.", prometheus.CounterValue},
		{"orphan_shards_total", "Shards removed because no manifest named them.", prometheus.CounterValue},
	})
	s.collect = func(emit func(int, float64, ...string)) {
		r := read()
		last := 0.0
		if !r.LastScrub.IsZero() {
			last = float64(r.LastScrub.Unix())
		}
		for i, v := range []float64{boolean(r.FullRedundancy), float64(r.Queued), float64(r.RebuiltShards), float64(r.FailedRebuilds),
			float64(r.ScrubbedShards), float64(r.DamagedShards), float64(r.Scrubs), last, float64(r.GarbageData),
			float64(r.ReclaimedData), float64(r.OrphanShards)} {
			emit(i, v)
		}
	}
	return s
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
