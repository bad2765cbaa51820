package repair

import (
	"slices"
	"time"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// postponed are data IDs on the queues that could not be repaired for now: a drive is missing that
// may come back, or that has to be bought. They are not looked at at each look, for a look reads every
// shard; they are when the set of drives changes, and now and then.
type postponed struct {
	drives []id.Drive // that took shards when it was filled
	items  map[id.Data]delay
}

type delay struct {
	until time.Time
	last  time.Duration
}

const (
	firstDelay = 2 * time.Second
	maxDelay   = 5 * time.Minute
	// maxPostponed bounds what is remembered; what is dropped is looked at too often.
	maxPostponed = 100_000
)

// recall begins a look: when other drives take shards than before, nothing is put off any more.
func (r *Repairer) recall() {
	var now []id.Drive
	for _, d := range r.cfg.Drives.All() {
		if st := d.Status(); !st.ReadOnly && r.takes(st.ID) {
			now = append(now, st.ID)
		}
	}
	slices.SortFunc(now, compareDrives)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.later.items == nil || !slices.Equal(now, r.later.drives) {
		r.later = postponed{drives: now, items: map[id.Data]delay{}}
	}
}

// due reports whether a data ID on the queue is to be looked at now.
func (r *Repairer) due(d *metapb.DataRecord) bool {
	data, err := id.FromBytes[id.Data](d.DataId)
	if err != nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.later.items[data]
	return !ok || !r.cfg.Now().Before(p.until)
}

// putOff has a data ID wait, twice as long each time.
func (r *Repairer) putOff(d *metapb.DataRecord) {
	data, err := id.FromBytes[id.Data](d.DataId)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.later.items) >= maxPostponed {
		clear(r.later.items)
	}
	next := min(maxDelay, max(firstDelay, 2*r.later.items[data].last))
	r.later.items[data] = delay{until: r.cfg.Now().Add(next), last: next}
}

func (r *Repairer) forget(d *metapb.DataRecord) {
	data, err := id.FromBytes[id.Data](d.DataId)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.later.items, data)
}
