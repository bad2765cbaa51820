package fanout

import (
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/id"
)

// health remembers how each drive has answered of late. It forgets nothing: a cluster has few
// drives, and their IDs are never used again.
type health struct {
	drives sync.Map // id.Drive → *driveHealth
	first  time.Duration
}

// driveHealth of one drive: the smoothed read latency and its deviation as TCP estimates round
// trips (RFC 6298), and the writes that were abandoned on it and have not come back.
type driveHealth struct {
	meanNS, devNS atomic.Int64
	stuck         atomic.Int32
	asked         atomic.Uint32
}

func (h *health) of(d id.Drive) *driveHealth {
	if v, ok := h.drives.Load(d); ok {
		return v.(*driveHealth)
	}
	v, _ := h.drives.LoadOrStore(d, new(driveHealth))
	return v.(*driveHealth)
}

// sample takes in how long a read took. Two samples at once may lose one: it is an estimate.
func (d *driveHealth) sample(took time.Duration) {
	mean, dev := d.meanNS.Load(), d.devNS.Load()
	if mean == 0 {
		d.meanNS.Store(max(1, int64(took)))
		d.devNS.Store(int64(took) / 2)
		return
	}
	diff := int64(took) - mean
	d.meanNS.Store(max(1, mean+diff/8))
	d.devNS.Store(dev + (max(diff, -diff)-dev)/4)
}

// expected is the latency that a read seldom exceeds; 0 when nothing is known.
func (d *driveHealth) expected() time.Duration {
	return time.Duration(d.meanNS.Load() + 4*d.devNS.Load())
}
