package rebalance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/upkeep"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/node"
	"holdfast/node/nodetest"
	"holdfast/object"
	"holdfast/proto/metapb"
)

var scheme42 = erasure.Scheme{K: 4, M: 2}

// TestANodeThatJoinsTakesItsShareAndNoMore: every shard ends up where placement wants it, what was left
// behind is deleted, and hardly more is moved than the least possible.
func TestANodeThatJoinsTakesItsShareAndNoMore(t *testing.T) {
	for _, c := range []struct {
		scheme        erasure.Scheme
		nodes, drives int
	}{{scheme42, 3, 4}, {scheme42, 3, 2}, {erasure.Scheme{K: 5, M: 3}, 4, 2}, {erasure.Scheme{K: 2, M: 2}, 4, 1}, {scheme42, 1, 8}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, c.scheme, c.nodes, c.drives)
			w.fill(150, 30_000)
			before := w.bytesOn()
			b, stop := w.start(w.config())
			w.until("at rest", settledNow(w, b))
			if p := b.Progress(); p.MovedShards != 0 {
				t.Errorf("%+v: %d shards moved although nothing had changed", c, p.MovedShards)
			}
			joined := w.addNode(c.drives)
			w.until("level", settledNow(w, b))
			time.Sleep(2 * time.Minute)
			stop()
			if n := w.census(); n != 0 {
				t.Errorf("%+v: %d shards were left behind", c, n)
			}
			after := w.bytesOn()
			p, must := b.Progress(), least(before, after)
			t.Logf("%+v: moved %d bytes, the least possible is %d (%.3f), reported %d", c, p.MovedBytes, must, float64(p.MovedBytes)/float64(must), p.LeastBytes)
			if float64(p.MovedBytes) > 1.1*float64(must) || p.LeastBytes != must || p.LeftShards != 0 || len(p.Drives) != 0 {
				t.Errorf("%+v: %+v, the least possible is %d", c, p, must)
			}
			var sum, all int64
			for d, n := range after {
				if all += n; containsDrive(joined, d) {
					sum += n
				}
			}
			if share := float64(sum) * float64(c.nodes+1) / float64(all); share < 0.85 || share > 1.15 {
				t.Errorf("%+v: the new node has %.2f of its share", c, share)
			}
			w.readAll()
		})
	}
}

func containsDrive(all []id.Drive, d id.Drive) bool {
	for _, x := range all {
		if x == d {
			return true
		}
	}
	return false
}

// TestDrainEmptiesADriveAndANode: and says so, when nothing names them any more.
func TestDrainEmptiesADriveAndANode(t *testing.T) {
	for what, whole := range map[string]bool{"a drive": false, "a node": true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, scheme42, 4, 3)
			leaving := w.layout.View().Drives[:1]
			if whole {
				leaving = w.layout.View().Drives[:3]
			}
			w.fill(100, 30_000)
			before := w.bytesOn()
			b, stop := w.start(w.config())
			defer stop()
			w.layout.change(func(v *cluster.View) {
				if whole {
					v.Nodes[0].State = metapb.Node_DRAINING
				}
			})
			if !whole {
				w.layout.set(leaving[0].ID, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
				_, err := w.meta.Apply(t.Context(), meta.SystemGroup, &metapb.Command{Op: &metapb.Command_PutDrive{PutDrive: &metapb.PutDrive{
					StateOnly: true, Drive: &metapb.Drive{Id: leaving[0].ID[:], State: metapb.Drive_DRAINING}}}})
				must(t, err)
			}
			for i := range leaving {
				w.until(what+" is retired", func() bool { return w.record(leaving[i].ID).State == metapb.Drive_RETIRED })
				if !w.record(leaving[i].ID).Removed {
					t.Errorf("%s: would register again by itself", what)
				}
			}
			w.until("leftovers are cleared", func() bool { return w.census() == 0 })
			for i := range leaving {
				if shards, _ := w.drives[leaving[i].ID].Census(); len(shards) != 0 {
					t.Errorf("%s: %d shards are left on it", what, len(shards))
				}
			}
			if moved, need := b.Progress().MovedBytes, least(before, w.bytesOn()); float64(moved) > 1.1*float64(need) {
				t.Errorf("%s: moved %d bytes, the least possible is %d", what, moved, need)
			}
			w.readAll()
		})
	}
}

func (w *world) record(d id.Drive) *metapb.Drive {
	w.t.Helper()
	a, err := w.meta.Ask(w.t.Context(), meta.SystemGroup, &metapb.Query{Op: &metapb.Query_ListDrives{ListDrives: &metapb.ListDrives{}}})
	must(w.t, err)
	for _, rec := range a.Drives {
		if string(rec.Id) == string(d[:]) {
			return rec
		}
	}
	w.t.Fatalf("no drive %s", d)
	return nil
}

// TestMovingKeepsToTheRateThatIsSet: in time, and when it is changed.
func TestMovingKeepsToTheRateThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 2)
		w.fill(100, 100_000)
		w.layout.change(func(v *cluster.View) { v.Settings = &metapb.Settings{RebalanceBytesPerSecond: 10_000} })
		b, stop := w.start(w.config())
		defer stop()
		w.until("at rest", settledNow(w, b))
		w.addNode(2)
		w.until("it moves", func() bool { return b.Progress().MovedShards > 3 })
		begin, from := time.Now(), b.Progress().MovedBytes
		time.Sleep(40 * time.Second)
		p := b.Progress()
		if rate := float64(p.MovedBytes-from) / time.Since(begin).Seconds(); rate > 11_000 || rate < 7_000 {
			t.Errorf("%.0f bytes a second, want 10000", rate)
		}
		if p.Limit != 10_000 || p.BytesPerSecond < 7_000 || p.BytesPerSecond > 13_000 || p.Eta <= 0 || p.Eta > 10*time.Minute {
			t.Errorf("%+v", p)
		}
		w.layout.change(func(v *cluster.View) { v.Settings = &metapb.Settings{RebalanceBytesPerSecond: 100_000} })
		begin, from = time.Now(), b.Progress().MovedBytes
		w.until("level", settledNow(w, b))
		if rate := float64(b.Progress().MovedBytes-from) / time.Since(begin).Seconds(); rate > 130_000 || rate < 25_000 {
			t.Errorf("%.0f bytes a second, want up to 100000", rate)
		}
	})
}

func TestPausedItMovesNothingAndResumedItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 2)
		w.fill(100, 100_000)
		w.layout.change(func(v *cluster.View) { v.Settings = &metapb.Settings{RebalanceBytesPerSecond: 50_000} })
		b, stop := w.start(w.config())
		defer stop()
		w.addNode(2)
		w.until("it moves", func() bool { return b.Progress().MovedShards > 3 })
		w.layout.change(func(v *cluster.View) {
			v.Settings = &metapb.Settings{RebalanceBytesPerSecond: 50_000, RebalancePaused: true}
		})
		time.Sleep(time.Minute) // what is under way ends
		before := b.Progress()
		if !before.Paused || before.LeftShards == 0 {
			t.Fatalf("%+v", before)
		}
		time.Sleep(30 * time.Minute)
		if after := b.Progress(); after.MovedShards != before.MovedShards || after.LeftShards == 0 {
			t.Fatalf("paused, it moved %d shards; %d are left", after.MovedShards-before.MovedShards, after.LeftShards)
		}
		w.layout.change(func(v *cluster.View) { v.Settings = &metapb.Settings{} })
		w.until("level", settledNow(w, b))
		if p := b.Progress(); float64(p.MovedBytes) > 1.1*float64(p.LeastBytes) {
			t.Errorf("moved %d bytes, the least possible is %d", p.MovedBytes, p.LeastBytes)
		}
	})
}

// TestKilledHalfWayItIsCompletedElsewhere: nothing but the records is needed, and nothing is moved twice but
// what was under way.
func TestKilledHalfWayItIsCompletedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 2)
		w.fill(100, 100_000)
		w.layout.change(func(v *cluster.View) { v.Settings = &metapb.Settings{RebalanceBytesPerSecond: 50_000} })
		before := w.bytesOn()
		w.addNode(2)
		var moved int64
		for n := range 4 {
			b, stop := w.start(w.config())
			if n < 3 {
				w.until("it moves", func() bool { return b.Progress().MovedShards > 5 })
			} else {
				w.until("level", settledNow(w, b))
				time.Sleep(2 * time.Minute)
			}
			stop()
			moved += b.Progress().MovedBytes
		}
		if need := least(before, w.bytesOn()); float64(moved) > 1.1*float64(need) {
			t.Errorf("moved %d bytes, the least possible is %d", moved, need)
		}
		// What those who were killed left behind, and nothing else, is for the sweep.
		if n := w.census(); n > 3*(5+8+8) {
			t.Errorf("%d shards are orphans", n)
		}
		w.readAll()
	})
}

// TestNodesThatMoveAtOnceDoNoHarm: two that both believe they lead everything.
func TestNodesThatMoveAtOnceDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 2)
		w.fill(60, 30_000)
		w.addNode(2)
		first, stopFirst := w.start(w.config())
		second, stopSecond := w.start(w.config())
		w.until("level", settledNow(w, first))
		w.until("level", settledNow(w, second))
		time.Sleep(2 * time.Minute)
		stopFirst()
		stopSecond()
		w.census()
		w.readAll()
	})
}

// TestReadersAlwaysGetTheRightBytes: those that look data up before, during and after their shards move. No
// reader even misses a shard where it was told to look, within the grace.
func TestReadersAlwaysGetTheRightBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 4, 2)
		w.fill(30, 300_000)
		w.layout.change(func(v *cluster.View) { v.Settings = &metapb.Settings{RebalanceBytesPerSecond: 20_000} })
		for _, d := range w.drives {
			d.Slow(nodetest.Read, 20*time.Millisecond)
		}
		b, stop := w.start(w.config())
		w.layout.change(func(v *cluster.View) { v.Nodes[1].State = metapb.Node_DRAINING })
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		reads := make([]int, 12)
		for n := range reads {
			wait := 300 * time.Millisecond // between looking up and reading
			if n > 1 {
				wait = time.Duration(n) * 4 * time.Second
			}
			readers.Go(func() {
				for ctx.Err() == nil {
					for key := range w.bodies {
						switch err := w.readLate(ctx, key, wait); {
						case ctx.Err() != nil:
							return
						case err != nil:
							t.Errorf("%s: %v", key, err)
							return
						}
						reads[n]++
					}
				}
			})
		}
		w.until("level", settledNow(w, b))
		time.Sleep(90 * time.Second) // leftovers are cleared
		cancel()
		readers.Wait()
		stop()
		if n := w.damage.Load(); n != 0 {
			t.Errorf("readers missed %d shards", n)
		}
		if n := w.census(); n != 0 {
			t.Errorf("%d shards were left behind", n)
		}
		for n := range reads {
			if reads[n] < 3 {
				t.Errorf("reader %d read %d objects", n, reads[n])
			}
		}
	})
}

// TestADriveThatFillsUp: what should go there stays where it is; what must leave its drive goes elsewhere;
// and when there is room again it is made good.
func TestADriveThatFillsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(100, 30_000)
		full := w.addNode(3)[0]
		w.drives[full].Fail(nodetest.Create, kind.New(kind.Full, "the reserve is reached"), 10)
		leaving := w.layout.View().Drives[1].ID
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		b, stop := w.start(w.config())
		defer stop()
		w.until("the drive that leaves is empty", func() bool { return w.bytesOn()[leaving] == 0 })
		time.Sleep(10 * time.Minute)
		if shards, _ := w.drives[full].Census(); len(shards) != 10 {
			t.Errorf("%d shards are on the full drive, it took 10", len(shards))
		}
		if n := w.drives[full].Calls(nodetest.Create); n > 400 {
			t.Errorf("the full drive was asked %d times", n)
		}
		if p := b.Progress(); p.LeftShards == 0 {
			t.Errorf("%+v", p)
		}
		w.drives[full].Fail(nodetest.Create, nil, 0)
		w.until("level", settledNow(w, b))
		time.Sleep(2 * time.Minute)
		w.readAll()
		if n := w.census(); n != 0 {
			t.Errorf("%d shards were left behind", n)
		}
	})
}

// TestAnAbsentDriveMovesNothing: neither off it nor onto it, nor because of it; a drain rebuilds what it
// cannot copy.
func TestAnAbsentDriveMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 4, 2)
		w.fill(60, 30_000)
		b, stop := w.start(w.config())
		defer stop()
		away := w.layout.View().Drives[3].ID
		out := func(is bool) {
			w.drives[away].SetOut(is)
			w.layout.set(away, func(d *cluster.DriveView) { d.Alive = !is })
		}
		out(true)
		time.Sleep(time.Hour)
		if p := b.Progress(); p.MovedShards != 0 {
			t.Fatalf("%d shards were moved for an absence", p.MovedShards)
		}
		w.fill(40, 30_000) // goes elsewhere
		out(false)
		w.until("level", settledNow(w, b))
		if p := b.Progress(); p.MovedShards == 0 {
			t.Fatal("what was written meanwhile is not on the drive")
		}
		out(true)
		w.layout.set(away, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		w.until("empty", func() bool { return w.bytesOn()[away] == 0 })
		w.readAll()
	})
}

// TestAShardThatCannotBeReadIsRebuilt.
func TestAShardThatCannotBeReadIsRebuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(30, 30_000)
		leaving := w.layout.View().Drives[1].ID
		shards, _ := w.drives[leaving].Census()
		for i, s := range shards {
			if i%2 == 0 {
				w.drives[leaving].Flip(s, 0, 9)
			}
		}
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		_, stop := w.start(w.config())
		w.until("empty", func() bool { return w.bytesOn()[leaving] == 0 })
		time.Sleep(2 * time.Minute)
		stop()
		if n := w.census(); n != 0 {
			t.Errorf("%d shards were left behind", n)
		}
		w.readAll()
	})
}

// TestAnOldShardStaysUntilTheNewOneIsSeenToBeThere: a sweep that was held up may have deleted it.
func TestAnOldShardStaysUntilTheNewOneIsSeenToBeThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(30, 30_000)
		leaving := w.layout.View().Drives[1].ID
		old, _ := w.drives[leaving].Census()
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		_, stop := w.start(w.config())
		defer stop()
		w.until("empty", func() bool { return w.bytesOn()[leaving] == 0 })
		lost := 0
		for _, ref := range w.refs() {
			for i, d := range ref.Drives {
				s := node.Shard{Data: ref.Data, Index: uint8(i)}
				if lost < 5 && containsShard(old, s) {
					w.drives[d].Drop(s)
					lost++
				}
			}
		}
		time.Sleep(3 * time.Minute)
		if left, _ := w.drives[leaving].Census(); lost == 0 || len(left) != lost {
			t.Errorf("%d old shards are left, %d new ones were lost", len(left), lost)
		}
		queued := 0
		for g := uint32(1); g <= groupsOfTests; g++ {
			a, err := w.meta.Ask(t.Context(), g, &metapb.Query{Op: &metapb.Query_ScanRepair{ScanRepair: &metapb.ScanRepair{}}})
			must(t, err)
			queued += len(a.Data)
		}
		if queued != lost {
			t.Errorf("%d data IDs are queued for repair, %d shards were lost", queued, lost)
		}
	})
}

// TestAShardThatHasGoneBackIsKept: a to b, and to a again before the old shard was to be deleted.
func TestAShardThatHasGoneBackIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(20, 30_000)
		leaving := w.layout.View().Drives[1].ID
		before := w.refs()
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		_, stop := w.start(w.config())
		defer stop()
		w.until("empty", func() bool { return w.bytesOn()[leaving] == 0 })
		w.layout.change(func(v *cluster.View) { v.Settings = &metapb.Settings{RebalancePaused: true} })
		for n, ref := range w.refs() {
			for i := range ref.Drives {
				if before[n].Drives[i] == leaving {
					must(t, upkeep.Swap(t.Context(), w.meta, 1, ref, []upkeep.Move{{Index: i, To: leaving}}))
				}
			}
		}
		time.Sleep(5 * time.Minute)
		if left, _ := w.drives[leaving].Census(); len(left) == 0 {
			t.Fatal("no shard went back")
		}
		w.census()
	})
}

// TestAMoveIsNotEnteredWhenTheRecordHasChanged: nor counted, and nothing is deleted for it.
func TestAMoveIsNotEnteredWhenTheRecordHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(40, 30_000)
		leaving := w.layout.View().Drives[1].ID
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		cfg := w.config()
		m := &meddling{world: w}
		cfg.Metadata = m
		b, stop := w.start(cfg)
		w.until("empty", func() bool { return w.bytesOn()[leaving] == 0 })
		w.until("level", settledNow(w, b))
		time.Sleep(2 * time.Minute)
		stop()
		if p := b.Progress(); m.meddled == 0 || p.MovedShards != int64(m.swapped) {
			t.Errorf("%d shards were counted, %d were moved; %d times another was faster", p.MovedShards, m.swapped, m.meddled)
		}
		w.census() // the copies that were not entered are orphans
		w.readAll()
	})
}

// meddling moves another shard of the same data before every third swap.
type meddling struct {
	*world
	mu               sync.Mutex
	calls            int
	meddled, swapped int
}

func (m *meddling) Groups() uint32 { return m.meta.Groups() }
func (m *meddling) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	return m.meta.Ask(ctx, group, q)
}
func (m *meddling) Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error) {
	c := cmd.GetSwapDrives()
	if c == nil {
		return m.meta.Apply(ctx, group, cmd)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls++; m.calls%3 == 1 {
		if err := m.meddle(ctx, group, c); err != nil {
			return nil, err
		}
	}
	res, err := m.meta.Apply(ctx, group, cmd)
	if err == nil {
		m.swapped++
	}
	return res, err
}

// meddle rebuilds a shard that stays on the drive that another is about to go to.
func (m *meddling) meddle(ctx context.Context, group uint32, c *metapb.SwapDrives) error {
	a, err := m.meta.Ask(ctx, group, &metapb.Query{Op: &metapb.Query_GetData{GetData: &metapb.GetData{DataIds: [][]byte{c.DataId}}}})
	if err != nil {
		return err
	}
	ref, err := upkeep.RefOf(a.Data[0])
	if err != nil {
		return err
	}
	stays, to := -1, id.Drive{}
	for _, s := range c.Swaps {
		if string(s.From) == string(s.To) {
			stays = int(s.Index)
		} else {
			to = id.Drive(s.To)
		}
	}
	if err := m.shards.Rebuild(ctx, ref, []int{stays}, []id.Drive{to}); err != nil {
		return err
	}
	m.meddled++
	return upkeep.Swap(ctx, m.meta, 1, ref, []upkeep.Move{{Index: stays, To: to}})
}

func containsShard(all []node.Shard, s node.Shard) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// TestNothingIsDeletedWhileAGroupDoesNotAnswer: and what was deleted meanwhile leaves no copy.
func TestNothingIsDeletedWhileAGroupDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(30, 30_000)
		leaving := w.layout.View().Drives[1].ID
		old, _ := w.drives[leaving].Census()
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		_, stop := w.start(w.config())
		defer stop()
		w.until("empty", func() bool { return w.bytesOn()[leaving] == 0 })
		w.meta.Silence(errors.New("no leader"))
		time.Sleep(5 * time.Minute)
		if left, _ := w.drives[leaving].Census(); len(left) != len(old) {
			t.Errorf("%d of %d old shards are left", len(left), len(old))
		}
		w.meta.Silence(nil)
	})
}

// TestDataThatIsDeletedWhileItMovesLeavesNoCopy.
func TestDataThatIsDeletedWhileItMovesLeavesNoCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scheme42, 3, 3)
		w.fill(20, 30_000)
		leaving := w.layout.View().Drives[1].ID
		w.layout.set(leaving, func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		cfg := w.config()
		cfg.Metadata = deleting{w}
		b, stop := w.start(cfg)
		w.until("surveyed", func() bool { return b.Progress().Surveyed && b.Progress().LeftShards == 0 })
		time.Sleep(2 * time.Minute)
		stop()
		if b.Progress().MovedShards != 0 || len(w.refs()) != 0 {
			t.Fatalf("%d shards were moved, %d data IDs are left", b.Progress().MovedShards, len(w.refs()))
		}
		shards := 0
		for _, d := range w.drives {
			s, _ := d.Census()
			shards += len(s)
		}
		if shards != 20*6 { // where they were: for the reaper
			t.Errorf("%d shards, want %d", shards, 20*6)
		}
	})
}

// deleting deletes all objects before the first swap.
type deleting struct{ *world }

func (d deleting) Groups() uint32 { return d.meta.Groups() }
func (d deleting) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	return d.meta.Ask(ctx, group, q)
}
func (d deleting) Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error) {
	if cmd.GetSwapDrives() != nil {
		for key := range d.bodies {
			_, err := d.engine.Delete(ctx, object.DeleteRequest{Bucket: "b", Key: key})
			if err != nil {
				return nil, err
			}
		}
	}
	return d.meta.Apply(ctx, group, cmd)
}
