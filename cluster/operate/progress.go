package operate

import (
	"sync"
	"time"

	"holdfast/cluster/repair"
)

// Progress is what one node says of its own work. It travels as JSON.
type Progress struct {
	Version   string          `json:"version"`
	Healed    int64           `json:"healed"`
	Works     bool            `json:"works"` // it repairs: it is no front
	Moves     bool            `json:"moves"` // it rebalances
	Idle      bool            `json:"idle"`  // nothing to repair in the groups led there
	Repair    RepairStatus    `json:"repair"`
	Rebalance RebalanceStatus `json:"rebalance"`
	Layout    uint64          `json:"layout,omitempty"`  // the layout's version that rebalancing goes by
	Leaving   map[string]Left `json:"leaving,omitempty"` // by drive
	Scrub     NodeScrub       `json:"scrub"`
}

// Left is what is still to leave a drive, of the groups led at one node.
type Left struct {
	Shards   int64 `json:"shards"`
	Bytes    int64 `json:"bytes"`
	Replicas int64 `json:"replicas"`
}

// Progress is that of this node.
func (o *Operator) Progress() Progress {
	p := Progress{Version: o.cfg.Version}
	if o.cfg.Healed != nil {
		p.Healed = o.cfg.Healed()
	}
	if o.cfg.Repair != nil {
		st := o.cfg.Repair.Stats()
		p.Works, p.Idle = true, o.cfg.Repair.Idle()
		p.Repair = RepairStatus{Queued: st.Queued, Rebuilt: st.Rebuilt, Failed: st.Failed, Garbage: st.Garbage, Reclaimed: st.Reclaimed, Orphans: st.Orphans}
		p.Scrub = o.scrubbing(st)
	}
	if o.cfg.Rebalance == nil {
		return p
	}
	r := o.cfg.Rebalance.Progress()
	p.Moves = true
	p.Rebalance = RebalanceStatus{
		Paused: r.Paused, LimitPerNode: r.Limit, Surveyed: r.Surveyed, Scanned: r.Scanned, MovedShards: r.MovedShards, MovedBytes: r.MovedBytes,
		LeastBytes: r.LeastBytes, LeftShards: r.LeftShards, LeftBytes: r.LeftBytes, WaitingShards: r.WaitingShards, MovedReplicas: r.MovedReplicas, LeftReplicas: r.LeftReplicas,
		BytesPerSecond: r.BytesPerSecond,
	}
	p.Layout = r.Layout
	p.Leaving = make(map[string]Left, len(r.Drives))
	for d, l := range r.Drives {
		p.Leaving[d.String()] = Left{Shards: l.Shards, Bytes: l.Bytes, Replicas: l.Replicas}
	}
	return p
}

func (o *Operator) scrubbing(st repair.Stats) NodeScrub {
	running, began, done := o.scrub.look(st, o.cfg.Now())
	s := NodeScrub{Node: o.cfg.Node.String(), Running: running, Verified: st.Verified, Damaged: st.Damaged, Complete: st.Scrubs, Last: st.LastScrub}
	v := o.cfg.Layout.View()
	for i := range v.Drives {
		if d := &v.Drives[i]; d.Local && d.Alive {
			s.Total += d.Status.Shards
		}
	}
	if running {
		s.Began, s.Done = began, done
		s.Total = max(s.Total, done) // shards were written meanwhile
	}
	return s
}

// scrubWatch tells from repair's counters whether a scrub is under way: they only grow while one is.
type scrubWatch struct {
	mu       sync.Mutex
	complete int64 // scrubs, when last looked
	verified int64 // when that many were complete
	began    time.Time
	asked    bool
}

// ask notes that a scrub was asked for.
func (w *scrubWatch) ask(st repair.Stats, now time.Time) {
	w.look(st, now)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began.IsZero() {
		w.asked, w.began = true, now
	}
}

func (w *scrubWatch) look(st repair.Stats, now time.Time) (running bool, began time.Time, done int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if st.Scrubs != w.complete {
		w.complete, w.verified, w.began, w.asked = st.Scrubs, st.Verified, time.Time{}, false
	}
	running = w.asked || st.Verified != w.verified
	if running && w.began.IsZero() {
		w.began = now
	}
	return running, w.began, st.Verified - w.verified
}
