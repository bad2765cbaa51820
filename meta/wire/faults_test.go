package wire_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/meta/replica"
)

// bound is what a fault may cost on a machine that does much else. What it costs on an idle one
// is logged.
const bound = 15 * time.Second

// within retries f until it succeeds, and reports how long that took.
func within(t *testing.T, what string, f func() error) {
	t.Helper()
	start := time.Now()
	for {
		one := time.Now()
		err := f()
		if took := time.Since(one); took > 12*time.Second {
			t.Errorf("%s: one request took %v", what, took)
		}
		if err == nil {
			break
		}
		if time.Since(start) > bound {
			t.Fatalf("%s: %v after %v", what, err, time.Since(start))
		}
	}
	t.Logf("%s: after %v", what, time.Since(start).Round(time.Millisecond))
}

func TestGroupsGoOnWhenTheirLeaderIsKilled(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 2})
	front := c.nodes[3]
	front.mustPut(1, "a", "before")
	old := c.leaderOf(1)
	c.nodes[old].stop()
	within(t, "put", func() error { return front.put(1, "a", "after") })
	front.wants(1, "a", "after")
	for g := range uint32(3) {
		within(t, fmt.Sprint("group ", g), func() error { return front.put(g, "b", "after") })
	}
	c.nodes[old].start()
	within(t, "the one that came back", func() error {
		if got, err := c.nodes[old].get(1, "a"); err != nil || got != "after" {
			return fmt.Errorf("%q, %w", got, err)
		}
		return nil
	})
	c.waitApplied(c.nodes[old], 1)
}

// waitApplied waits until a node's replica has all that the leader has committed.
func (c *cluster) waitApplied(n *node, group uint32) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		lead := c.nodes[c.leaderOf(group)]
		at, sum, err := lead.host.Hash(c.t.Context(), group, lead.drive.ID)
		if err != nil {
			continue
		}
		if i, s, err := n.host.Hash(c.t.Context(), group, n.drive.ID); err == nil && i == at {
			if s != sum {
				c.t.Errorf("group %d: replicas differ at %d", group, i)
			}
			return
		}
	}
	c.t.Fatalf("node %d does not catch up in group %d", n.i, group)
}

// isolate cuts all ways of a node, in one or both directions.
func (c *cluster) isolate(i int, out, in, on bool) {
	for other := range c.nodes {
		if other == i {
			continue
		}
		if out {
			c.sever(i, other, on)
		}
		if in {
			c.sever(other, i, on)
		}
	}
}

func TestGroupsGoOnWhenTheirLeaderIsNotHeardOrDoesNotHear(t *testing.T) {
	for name, way := range map[string]struct{ out, in bool }{
		"not heard": {out: true}, "does not hear": {in: true}, "neither": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
			front := c.nodes[3]
			front.mustPut(1, "a", "before")
			old := c.leaderOf(1)
			c.isolate(old, way.out, way.in, true)
			within(t, "get", func() error { _, err := front.get(1, "a"); return err })
			within(t, "put", func() error { return front.put(1, "a", "after") })
			front.wants(1, "a", "after")
			c.isolate(old, way.out, way.in, false)
			c.waitApplied(c.nodes[old], 1)
			within(t, "the one that was cut off", func() error {
				if got, err := c.nodes[old].get(1, "a"); err != nil || got != "after" {
					return fmt.Errorf("%q, %w", got, err)
				}
				return nil
			})
		})
	}
}

// TestNoCommandTakesEffectTwice has writers retry nothing, while leaders are cut off in all
// ways, and counts.
func TestNoCommandTakesEffectTwice(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 2, factor: 3, groups: 1})
	var stop atomic.Bool
	var sure, unsure atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			n := c.nodes[3+w%2]
			for i := 0; !stop.Load(); i++ {
				switch err := n.put(1, fmt.Sprint("w", w), fmt.Sprint(i)); {
				case err == nil:
					sure.Add(1)
				case kind.Is(err, kind.Unavailable), kind.Is(err, kind.Timeout):
					unsure.Add(1)
				default:
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	for round := range 4 {
		old := c.leaderOf(1)
		if round == 3 {
			c.nodes[old].stop()
		} else {
			c.isolate(old, round != 1, round != 0, true)
		}
		next := c.leaderOf(1, old)
		before := sure.Load()
		within(t, "writes go on", func() error {
			time.Sleep(time.Millisecond)
			if sure.Load() < before+20 {
				return fmt.Errorf("node %d took no writes", next)
			}
			return nil
		})
		if round == 3 {
			c.nodes[old].start()
		} else {
			c.isolate(old, true, true, false)
		}
		c.waitHeard(old)
	}
	stop.Store(true)
	wg.Wait()
	front := c.nodes[4]
	front.wants(1, "#twice", "0")
	a, err := front.get(1, "#count")
	if err != nil {
		t.Fatal(err)
	}
	var count int64
	_, _ = fmt.Sscan(a, &count)
	if count < sure.Load() || count > sure.Load()+unsure.Load() {
		t.Errorf("%d took effect; %d were acknowledged, %d unknown", count, sure.Load(), unsure.Load())
	}
	t.Logf("%d acknowledged, %d unknown, %d took effect", sure.Load(), unsure.Load(), count)
}

func TestCommandWhoseAnswerIsLostIsNotSentAgain(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
	front := c.nodes[3]
	front.mustPut(1, "a", "before")
	lead := c.leaderOf(1)
	c.sever(lead, 3, true) // the leader is well, and heard by all but the front
	start := time.Now()
	err := front.put(1, "a", "after")
	if took := time.Since(start); !kind.Is(err, kind.Unavailable) || took > 10*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	c.sever(lead, 3, false)
	within(t, "get", func() error { _, err := front.get(1, "a"); return err })
	front.wants(1, "a", "after")
	front.wants(1, "#twice", "0")
	front.wants(1, "#count", "2")
}

// TestCommandsThatALeaderTookWithItAreSettledByTheNext: nobody is told that the outcome is not known.
func TestCommandsThatALeaderTookWithItAreSettledByTheNext(t *testing.T) {
	for name, strike := range map[string]func(c *cluster, old int){
		"killed":        func(c *cluster, old int) { c.nodes[old].stop() },
		"not heard":     func(c *cluster, old int) { c.isolate(old, true, false, true) },
		"does not hear": func(c *cluster, old int) { c.isolate(old, false, true, true) },
		"neither":       func(c *cluster, old int) { c.isolate(old, true, true, true) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
			front := c.nodes[3]
			front.mustPut(1, "a", "before")
			old := c.leaderOf(1)
			var wg sync.WaitGroup
			begin := time.Now()
			for i := range 20 {
				wg.Go(func() {
					if i == 10 {
						strike(c, old)
					}
					if err := front.put(1, fmt.Sprint("k", i), "after"); err != nil {
						t.Errorf("put %d: %v after %v", i, err, time.Since(begin))
					}
				})
			}
			wg.Wait()
			t.Logf("after %v; %d of unknown outcome at first", time.Since(begin).Round(time.Millisecond), front.router.Stats().Unknown)
			front.wants(1, "#twice", "0")
			front.wants(1, "#count", "21")
			for i := range 20 {
				front.wants(1, fmt.Sprint("k", i), "after")
			}
		})
	}
}

// TestALeaderThatIsBackRefusesWhatWasGivenUp: a command that may still be on its way is not taken once
// somebody was told that it never comes to anything.
func TestALeaderThatIsBackRefusesWhatWasGivenUp(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
	front := c.nodes[3]
	front.mustPut(1, "a", "before")
	term, committed := c.nodes[c.leaderOf(1)].host.Led(1)
	late := put("a", "late")
	late.RequestId = []byte("0123456789abcdef")
	u := &replica.UnknownError{Group: 1, Term: term, After: committed, Request: late.RequestId}
	if res, known, err := front.router.Outcome(t.Context(), u); err != nil || !known || res != nil {
		t.Fatalf("before it comes in: %v, %v, %v", res, known, err)
	}
	if _, err := front.router.Propose(t.Context(), 1, encode(late)); !kind.Is(err, kind.NotLeader) {
		t.Errorf("when it comes in: %v", err)
	}
	taken := put("a", "taken")
	taken.RequestId = []byte("fedcba9876543210")
	if _, err := front.router.Propose(t.Context(), 1, encode(taken)); err != nil {
		t.Fatal(err)
	}
	u.Request = taken.RequestId
	if res, known, err := front.router.Outcome(t.Context(), u); err != nil || !known || res == nil {
		t.Errorf("one that was taken: %v, %v, %v", res, known, err)
	}
	lead := c.nodes[c.leaderOf(1)].host
	if _, err := lead.ProposeIn(t.Context(), 1, term-1, encode(put("a", "of another term"))); !kind.Is(err, kind.NotLeader) {
		t.Errorf("a command for another term: %v", err)
	}
	u.Request, u.After = []byte("0000000000000000"), 0 // its place may be in what is forgotten
	if res, known, err := front.router.Outcome(t.Context(), u); err != nil || known || res != nil {
		t.Errorf("one of long ago: %v, %v, %v", res, known, err)
	}
	front.wants(1, "a", "taken")
}

// waitHeard waits until a node follows or leads again.
func (c *cluster) waitHeard(i int) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		lead := c.nodes[c.leaderOf(1)]
		for _, g := range lead.host.Status(c.t.Context()).Groups[1].Members {
			if g.Drive == c.nodes[i].drive.ID && g.Active {
				return
			}
		}
	}
	c.t.Fatalf("node %d is not heard of", i)
}

func TestHostThatWasAwayCatchesUpBySnapshot(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1, edit: func(c *cluster) {
		c.cfg.KeepEntries, c.cfg.LogBytes, c.cfg.CacheBytes, c.cfg.ChunkBytes = 10, 4<<10, 2<<10, 300
		for _, n := range c.nodes[:3] {
			n.drive.Disk.SegmentBytes = 2 << 10
		}
	}})
	front := c.nodes[3]
	away := c.nodes[(c.leaderOf(1)+1)%3]
	away.stop()
	for i := range 400 {
		front.mustPut(1, fmt.Sprint("key", i%50), fmt.Sprint("value", i))
	}
	lead := c.nodes[c.leaderOf(1)]
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // the log is cut in the background
		r := lead.host.Status(t.Context()).Groups[1].Replicas[0]
		if r.First > 100 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the log is not cut: it begins at %d", r.First)
		}
		front.mustPut(1, "more", "x")
	}
	away.start()
	c.waitApplied(away, 1)
	if away.received.Load() == 0 {
		t.Error("no snapshot came in")
	}
}

func TestUnknownOutcomesAreSettledByTheNextLeader(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
	front := c.nodes[3]
	front.mustPut(1, "a", "b")
	// An index that was never used, of a term that is over.
	lead := c.nodes[c.leaderOf(1)]
	term := lead.host.Status(t.Context()).Groups[1].Term
	if _, known, err := front.router.Outcome(t.Context(), &replica.UnknownError{Group: 1, Index: 1 << 40, Term: term}); !kind.Is(err, kind.NotLeader) {
		t.Errorf("the term is not over: %v, %v", known, err)
	}
	within(t, "outcome", func() error {
		res, known, err := front.router.Outcome(t.Context(), &replica.UnknownError{Group: 1, Index: 1 << 40, Term: term - 1})
		if err == nil && (!known || res != nil) {
			t.Errorf("%v, %v", res, known)
		}
		return err
	})
	if _, known, err := front.router.Outcome(t.Context(), &replica.UnknownError{Group: 1}); err != nil || known {
		t.Errorf("an outcome without a place: %v, %v", known, err)
	}
}

func TestReplicaMovesBetweenNodes(t *testing.T) {
	c := newCluster(t, setup{storage: 4, fronts: 1, factor: 3, groups: 3})
	front := c.nodes[4]
	for i := range 50 {
		front.mustPut(1, fmt.Sprint("key", i), "value")
	}
	lead := c.nodes[c.leaderOf(1)]
	members := lead.host.Status(t.Context()).Groups[1].Members
	member := map[int]bool{}
	for _, m := range members {
		member[int(m.Drive[15])-1] = true
	}
	var to, from *node
	for _, n := range c.nodes[:4] {
		if !member[n.i] {
			to = n
		} else if n != lead {
			from = n
		}
	}
	if err := front.router.MoveReplica(t.Context(), 1, from.drive.ID, to.drive.ID); err != nil {
		t.Fatal(err)
	}
	c.waitApplied(to, 1)
	g := front.router.Status(t.Context()).Groups[1]
	if len(g.Members) != 3 || g.Leader.IsZero() || len(g.Replicas) < 3 {
		t.Errorf("status %+v", g)
	}
	if d := front.router.Status(t.Context()).Drives; len(d) != 4 {
		t.Errorf("%d drives", len(d))
	}
	front.wants(1, "key49", "value")
}
