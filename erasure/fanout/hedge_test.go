package fanout

import (
	"testing"
	"testing/synctest"
	"time"

	"holdfast/node/nodetest"
)

// TestASpareThatIsLateIsHedgedToo: a drive of data hangs, and the first spare as well; and where the last
// block of a stripe is shorter than the others, the spare is not sent to the drive that hangs.
func TestASpareThatIsLateIsHedgedToo(t *testing.T) {
	for _, hang := range [][]int{{1, 4}, {3}, {3, 4}, {0, 3}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 6, defaultHedge)
			for _, d := range r.drives {
				d.Slow(nodetest.Read, time.Millisecond)
			}
			data := randomBytes(4*tiny-50, 1) // the last block is shorter
			ref := r.put(r.small(scheme42, len(data)), data)
			for range 5 {
				r.mustGet(ref, data)
			}
			for _, i := range hang {
				r.drive(ref.Drives[i]).Slow(nodetest.Read, time.Minute)
			}
			if took := r.timed(func() { r.mustGet(ref, data) }); took > 3*time.Second {
				t.Errorf("with shards %v hanging a read took %v", hang, took)
			}
			r.f.Close()
		})
	}
}
