package rebalance

import (
	"testing"
	"testing/synctest"
	"time"

	"holdfast/cluster"
	"holdfast/proto/metapb"
)

// TestWhatIsLeftIsNotKnownUntilTheChangedLayoutWasSurveyed: a script that waits until nothing is left must
// not be told so of the layout before.
func TestWhatIsLeftIsNotKnownUntilTheChangedLayoutWasSurveyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(20, 30_000)
		b, stop := w.start(w.config())
		defer stop()
		w.until("settled", settledNow(w, b))
		leaving := w.layout.View().Drives[1].ID
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		if p := b.Progress(); p.Surveyed || p.Layout != w.layout.View().Version {
			t.Fatalf("at once after the change: surveyed %t, of layout %d, want %d", p.Surveyed, p.Layout, w.layout.View().Version)
		}
		for n := 0; ; n++ {
			p := b.Progress()
			if p.Surveyed && p.LeftShards == 0 {
				break
			}
			if n > 36_000 {
				t.Fatal("an hour was not enough")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.misplaced(); n != 0 {
			t.Errorf("nothing was said to be left, and %d shards were not where they should be", n)
		}
	})
}
