package rebalance

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// TestTheNextLeaderGoesOnWithAMove that was begun: with the learner that is there, and at once.
func TestTheNextLeaderGoesOnWithAMove(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"a node joins":       func(w *world) { w.addNode(1) },
		"a drive is drained": func(w *world) { w.layout.set(w.names()[0], drained) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 1)
			r := newReplicas(t, 17, 3, w.names())
			var second atomic.Bool
			for i := range 2 {
				cfg := w.config()
				cfg.Metadata, cfg.Groups, cfg.Members = manyGroups{w.meta}, at{r, func(uint32) bool { return second.Load() == (i == 1) }}, r.all
				_, stop := w.start(cfg)
				defer stop()
			}
			time.Sleep(time.Hour)
			was := r.count()
			change(w)
			w.until(what+": a move has begun", func() bool { return r.count() > was })
			time.Sleep(1050 * time.Millisecond) // one takes three seconds
			second.Store(true)
			time.Sleep(3 * time.Second)
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.moves-was != 2 || r.begun-was != 1 || r.gaveUp > 0 {
				t.Errorf("%s: %d moves, %d with a learner of their own, %d were given up", what, r.moves-was, r.begun-was, r.gaveUp)
			}
		})
	}
}

func drained(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING }

// TestALearnerThatNobodyWantsIsGivenUp, but not while its drive is away: that is soon back.
func TestALearnerThatNobodyWantsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 1)
		r := newReplicas(t, 17, 3, w.names())
		_, stop := w.leaders(r, 2)
		defer stop()
		time.Sleep(time.Hour)
		was := r.count()
		group, drive := unwanted(w, r)
		learner := func(alive bool) {
			r.mu.Lock()
			r.learner[group] = drive
			r.mu.Unlock()
			w.layout.set(drive, func(d *cluster.DriveView) { d.Alive = alive })
			time.Sleep(time.Minute)
		}
		gaveUp := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.gaveUp
		}
		learner(false)
		if gaveUp() != 0 {
			t.Error("it was given up although its drive is away")
		}
		learner(true)
		if gaveUp() != 1 || r.count() != was {
			t.Errorf("it was given up %d times, and %d replicas moved", gaveUp(), r.count()-was)
		}
	})
}

// unwanted is a group, and a drive that should not have a replica of it although it has the fewest.
func unwanted(w *world, r *replicas) (uint32, id.Drive) {
	f, counts := upkeep.NewFleet(w.layout.View()), r.counts()
	lo, _ := spreadOfCounts(counts, w.names())
	for g, members := range r.all(w.t.Context()) {
		wanted := placement.Replicas(f.Candidates(f.Takes), g, len(members))
		for _, d := range w.names() {
			if counts[d] == lo && !slices.Contains(members, d) && !slices.Contains(wanted, d) {
				return g, d
			}
		}
	}
	w.t.Fatal("every drive is wanted everywhere")
	return 0, id.Drive{}
}

// stuck is a group whose moves never end.
type stuck struct{ at }

func (s stuck) MoveReplica(ctx context.Context, g uint32, from, to id.Drive) error {
	if g != 0 {
		return s.at.MoveReplica(ctx, g, from, to)
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestAMoveToADriveThatIsGoneHoldsUpNoOther for long.
func TestAMoveToADriveThatIsGoneHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 1)
		r := newReplicas(t, 17, 3, w.names())
		cfg := w.config()
		cfg.Metadata, cfg.Groups, cfg.Members = manyGroups{w.meta}, stuck{at{r, func(uint32) bool { return true }}}, r.all
		_, stop := w.start(cfg)
		defer stop()
		w.layout.set(w.names()[0], drained) // it has a replica of group 0
		time.Sleep(20 * time.Second)
		if r.count() > 0 {
			t.Fatal("group 0 is the first, and is stuck")
		}
		for _, d := range w.names()[3:] { // one of them is the target
			w.layout.set(d, func(d *cluster.DriveView) { d.Alive = false })
		}
		time.Sleep(30 * time.Second)
		if r.count() == 0 {
			t.Error("the other groups still wait for a move to a drive that is gone")
		}
	})
}

// TestNewDrivesAreNotWaitedForAsLongAsOthersThatChange.
func TestNewDrivesAreNotWaitedForAsLongAsOthersThatChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 1)
		w.fill(30, 20_000)
		r := newReplicas(t, 17, 3, w.names())
		cfg := w.config()
		cfg.Metadata, cfg.Groups, cfg.Members = twoKinds{w.meta, manyGroups{w.meta}}, at{r, func(uint32) bool { return true }}, r.all
		b, stop := w.start(cfg)
		defer stop()
		was := 0
		begun := func() bool { return r.count() > was && b.Progress().MovedShards+b.Progress().LeftShards > 0 }
		time.Sleep(time.Hour)
		was = r.count()
		w.addNode(1)
		time.Sleep(2 * time.Second)
		w.addNode(1) // the next drive of the same node would be the like
		time.Sleep(2 * time.Second)
		if begun() {
			t.Error("it did not wait for drives that come one after the other")
		}
		if time.Sleep(4 * time.Second); !begun() {
			t.Error("nothing has begun 6 s after drives came")
		}
		w.until("level", func() bool { p := b.Progress(); return p.Surveyed && p.LeftShards == 0 && p.LeftReplicas == 0 })
		moved := r.count()
		time.Sleep(time.Minute)
		w.layout.set(w.names()[1], func(d *cluster.DriveView) { d.Alive = false })
		time.Sleep(2 * time.Second)
		w.layout.set(w.names()[1], func(d *cluster.DriveView) { d.State, d.Alive = metapb.Drive_DRAINING, true })
		time.Sleep(2 * time.Second)
		w.addNode(1) // does not make it shorter
		if time.Sleep(6 * time.Second); r.count() != moved {
			t.Error("a change of a drive that was there was not waited for")
		}
	})
}

// twoKinds has few groups with data, and more without.
type twoKinds struct {
	data interface {
		Groups() uint32
		Apply(context.Context, uint32, *metapb.Command) (*metapb.Result, error)
		Ask(context.Context, uint32, *metapb.Query) (*metapb.Answer, error)
	}
	manyGroups
}

func (m twoKinds) Ask(ctx context.Context, g uint32, q *metapb.Query) (*metapb.Answer, error) {
	if g > m.data.Groups() {
		return &metapb.Answer{}, nil
	}
	return m.data.Ask(ctx, g, q)
}

// TestWhatIsLeftIsNotKnownUntilReplicasWereLookedAt, either.
func TestWhatIsLeftIsNotKnownUntilReplicasWereLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 1)
		r := newReplicas(t, 17, 3, w.names())
		nodes, stop := w.leaders(r, 3)
		defer stop()
		known := func() (left int64, ok bool) {
			ok = true
			for _, b := range nodes {
				p := b.Progress()
				left, ok = left+p.LeftReplicas, ok && p.Surveyed
			}
			return left, ok
		}
		time.Sleep(time.Hour)
		if left, ok := known(); left != 0 || !ok {
			t.Fatalf("in a cluster that is level: %d left, known %t", left, ok)
		}
		was := r.count()
		w.addNode(1)
		for range 600 {
			synctest.Wait()
			if left, ok := known(); ok && left == 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		moved := r.count()
		if time.Sleep(time.Hour); moved == was || r.count() != moved {
			t.Errorf("%d moves when nothing was said to be left, %d in the end", moved-was, r.count()-was)
		}
	})
}
