package cluster

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// fourNodes is a village of nodes a to d with one drive each, all registered; a is where we are.
func fourNodes(t *testing.T) (*rig, *local) {
	t.Helper()
	v, g := newVillage(), newGroup()
	for _, name := range []string{"b", "c", "d"} {
		other := newRig(t, aNode(name, "z-"+name), nil, g, newLocal("drive-"+name))
		if _, err := other.membership(aNode(name, "z-"+name), other.locals()...).Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		other.stop()
		v.settle(aNode(name, "z-"+name), status("drive-"+name))
	}
	mine := newLocal("drive-a")
	r := newRig(t, aNode("a", "z-a"), v, g, mine)
	if _, err := r.membership(aNode("a", "z-a"), mine).Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.WaitLayout(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	pass(5 * time.Second)
	return r, mine
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// within fails unless ok comes true within d of virtual time.
func within(t *testing.T, d time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > d {
			t.Fatalf("%s: not within %s", what, d)
		}
		pass(10 * time.Millisecond)
	}
	return time.Since(began)
}

func TestViewJoinsTheLayoutWithWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		defer r.stop()
		view := r.View()
		if view.Cluster != clusterID("C") || view.Scheme.K != 2 || len(view.Nodes) != 4 || len(view.Drives) != 4 {
			t.Fatalf("%+v", view)
		}
		for i, name := range []string{"a", "b", "c", "d"} {
			n, d := view.Nodes[i], view.Drives[i]
			if n.ID != nodeID(name) || !n.Alive || n.Local != (name == "a") || !n.Storage || n.Zone != "z-"+name || n.PeerAddress != name+":9001" {
				t.Errorf("node %s: %+v", name, n)
			}
			if d.ID != driveID("drive-"+name) || d.Node != n.ID || !d.Alive || d.Local != n.Local || d.Zone != n.Zone || d.CapacityBytes != 100 || d.Status.FreeBytes != 50 {
				t.Errorf("drive of %s: %+v", name, d)
			}
			address, ok := r.NodeOf(d.ID)
			if ok == n.Local || ok && address != name+":9001" {
				t.Errorf("the way to the drive of %s is %q", name, address)
			}
			way, ok := r.routes.Drive(d.ID)
			if f, remote := way.(*far); !ok || remote == n.Local || remote && f.address != name+":9001" || way.Status().Out {
				t.Errorf("the route to the drive of %s is %v", name, way)
			}
		}
		if len(r.Nodes()) != 3 {
			t.Errorf("peers: %v", r.Nodes())
		}
		chosen, spares := Placer{Directory: r.Directory}.Place(id.Data{1}, 4)
		if len(spares) != 0 || !slices.Equal(sortedIDs(chosen), []id.Drive{driveID("drive-a"), driveID("drive-b"), driveID("drive-c"), driveID("drive-d")}) {
			t.Errorf("placed on %v, spares %v", chosen, spares)
		}
	})
}

func TestDeadNodeTakesNoShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		defer r.stop()
		changed := r.Changed()
		r.village.kill(nodeID("c"))
		select {
		case <-changed:
		case <-time.After(600 * time.Millisecond):
			t.Fatal("nobody was told")
		}
		synctest.Wait()
		if d := r.found(t, "drive-c"); d.Alive || time.Since(d.Since) != 0 || d.Status.FreeBytes != 50 || d.State != metapb.Drive_ACTIVE {
			t.Fatalf("%+v", d)
		}
		chosen, spares := Placer{Directory: r.Directory}.Place(id.Data{1}, 4)
		if chosen[3] != (id.Drive{}) || slices.Contains(chosen, driveID("drive-c")) || len(spares) != 0 {
			t.Fatalf("placed on %v, spares %v", chosen, spares)
		}
		way, ok := r.routes.Drive(driveID("drive-c"))
		if !ok || !way.Status().Out {
			t.Fatal("the route to a dead node's drive does not say that it is out")
		}
		pass(time.Minute)
		since := r.found(t, "drive-c").Since
		if time.Since(since) != time.Minute {
			t.Fatalf("dead since %s ago", time.Since(since))
		}
		// It returns with another address.
		n := aNode("c", "z-c")
		n.PeerAddress = "elsewhere:1"
		r.village.settle(n, status("drive-c"))
		synctest.Wait()
		if d := r.found(t, "drive-c"); !d.Alive || time.Since(d.Since) != 0 {
			t.Fatalf("%+v", d)
		}
		way, _ = r.routes.Drive(driveID("drive-c"))
		if address, _ := r.NodeOf(driveID("drive-c")); address != "elsewhere:1" || way.(*far).address != address || way.Status().Out {
			t.Fatalf("the way leads to %q and %v", address, way)
		}
	})
}

// TestNodeThatHangsIsNotAlive: its gossip may be answered while nothing else is.
func TestNodeThatHangsIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		defer r.stop()
		r.village.quietly("b:9001", func(h *home) { h.silent = true })
		took := within(t, 5*time.Second, "b is not alive", func() bool { return !r.node(t, "b").Alive })
		if took < pollAgain {
			t.Errorf("one answer that did not come was enough, after %s", took)
		}
		if d := r.found(t, "drive-b"); d.Alive || !r.found(t, "drive-c").Alive {
			t.Errorf("%+v", d)
		}
		r.village.quietly("b:9001", func(h *home) { h.silent = false })
		within(t, 4*time.Second, "b is alive again", func() bool { return r.node(t, "b").Alive && r.found(t, "drive-b").Alive })
	})
}

// TestGossipAloneKillsNobody: its packets may be lost while all else goes well. It is a hint.
func TestGossipAloneKillsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		defer r.stop()
		changed := r.Changed()
		r.village.edit(func() {
			for n, m := range r.village.members {
				m.Alive = false
				r.village.members[n] = m
			}
		})
		pass(time.Minute)
		select {
		case <-changed:
			t.Errorf("%+v", r.View().Nodes)
		default:
		}
		r.village.quietly("b:9001", func(h *home) { h.silent = true })
		within(t, 5*time.Second, "b is not alive", func() bool { return !r.node(t, "b").Alive && !r.found(t, "drive-b").Alive })
		r.village.quietly("b:9001", func(h *home) { h.silent = false })
		within(t, lostInterval+3*time.Second, "b is alive again", func() bool { return r.node(t, "b").Alive && r.found(t, "drive-b").Alive })
		// One that says that it goes is believed, though it answers still.
		r.village.edit(func() {
			m := r.village.members[nodeID("c")]
			m.Left, m.Since = true, time.Now()
			r.village.members[m.ID] = m
		})
		synctest.Wait()
		if r.node(t, "c").Alive || r.found(t, "drive-c").Alive {
			t.Error("a node that goes is counted on")
		}
		pass(5 * time.Second)
		if r.node(t, "c").Alive {
			t.Error("a node that goes is counted on")
		}
	})
}

// TestOneLostAnswerChangesNothing: a node is not given up for a hiccup.
func TestOneLostAnswerChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		defer r.stop()
		changed := r.Changed()
		for range 5 {
			r.village.quietly("b:9001", func(h *home) { h.silent = true })
			began := r.village.asks()
			for r.village.asks() < began+3 { // each is asked once: b hangs in that
				pass(time.Millisecond)
			}
			pass(900 * time.Millisecond)
			r.village.quietly("b:9001", func(h *home) { h.silent = false })
			pass(3 * time.Second)
		}
		select {
		case <-changed:
			t.Error("the view changed")
		default:
		}
	})
}

func TestDriveThatIsOutOrUnpluggedIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine := fourNodes(t)
		defer r.stop()
		r.village.quietly("b:9001", func(h *home) { h.drives[0].Out, h.drives[0].Reason = true, "broken" })
		r.village.quietly("c:9001", func(h *home) { h.drives = nil })
		r.village.quietly("d:9001", func(h *home) { h.drives[0].ReadOnly = true })
		pass(2 * time.Second)
		b, c, d := r.found(t, "drive-b"), r.found(t, "drive-c"), r.found(t, "drive-d")
		if b.Alive || b.Status.Reason != "broken" || c.Alive || !d.Alive || !d.Status.ReadOnly {
			t.Fatalf("b: %+v\nc: %+v\nd: %+v", b, c, d)
		}
		p := Placer{Directory: r.Directory}
		if chosen, _ := p.Place(id.Data{1}, 2); chosen[0] != driveID("drive-a") || chosen[1] != (id.Drive{}) {
			t.Fatalf("placed on %v", chosen)
		}
		if !p.Full() {
			t.Error("a full drive is not noticed")
		}
		// Those of this process need no poll.
		mine.set(func(s *node.Status) { s.Out = true })
		if chosen, _ := p.Place(id.Data{1}, 1); chosen[0] != (id.Drive{}) {
			t.Fatalf("placed on %v", chosen)
		}
	})
}

func TestDrainingTakesNoShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine := fourNodes(t)
		defer r.stop()
		b := driveID("drive-b")
		r.group.put(t, &metapb.PutDrive{Drive: &metapb.Drive{Id: b[:], State: metapb.Drive_DRAINING}, StateOnly: true})
		for _, name := range []string{"a", "c"} {
			n := nodeID(name)
			if _, err := r.group.Apply(t.Context(), 0, &metapb.Command{Op: &metapb.Command_PutNode{PutNode: &metapb.PutNode{
				Node: &metapb.Node{Id: n[:], State: metapb.Node_DRAINING}, StateOnly: true}}}); err != nil {
				t.Fatal(err)
			}
		}
		pass(1100 * time.Millisecond)
		p := Placer{Directory: r.Directory}
		for _, out := range []bool{false, true, false} { // what a local drive says of itself does not undo it
			pass(5 * time.Second)
			mine.set(func(s *node.Status) { s.Out = out })
			if chosen, _ := p.Place(id.Data{1}, 2); chosen[0] != driveID("drive-d") || chosen[1] != (id.Drive{}) {
				t.Fatalf("placed on %v", chosen)
			}
		}
		if d := r.found(t, "drive-b"); !d.Alive || d.State != metapb.Drive_DRAINING {
			t.Fatalf("%+v", d)
		}
		if len(r.View().Candidates()) != 4 {
			t.Fatal("a draining drive is still there")
		}
	})
}

// TestChangeOfLayoutIsSeenWithinTheInterval, and at once when it is nudged.
func TestChangeOfLayoutIsSeenWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		defer r.stop()
		b := driveID("drive-b")
		set := func(state metapb.Drive_State) uint64 {
			r.group.put(t, &metapb.PutDrive{Drive: &metapb.Drive{Id: b[:], State: state}, StateOnly: true})
			return r.group.index
		}
		set(metapb.Drive_DRAINING)
		within(t, 1100*time.Millisecond, "the state is seen", func() bool { return r.found(t, "drive-b").State == metapb.Drive_DRAINING })
		asked := r.group.asks()
		pass(time.Minute)
		if n := r.group.asks() - asked; n > 61 {
			t.Errorf("%d questions in a minute", n)
		}
		version := set(metapb.Drive_ACTIVE)
		began := time.Now()
		r.Nudge()
		if err := r.WaitLayout(t.Context(), version); err != nil || time.Since(began) > 2*watchPause {
			t.Errorf("a nudged change took %s: %v", time.Since(began), err)
		}
		if r.village.told() == 0 {
			t.Error("the other nodes were not told")
		}
		r.group.setDown(true)
		set(metapb.Drive_DRAINING)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.WaitLayout(ctx, r.group.index); err == nil {
			t.Error("a layout that nobody answered is known")
		}
		r.group.setDown(false)
		within(t, 1100*time.Millisecond, "the state is seen", func() bool { return r.found(t, "drive-b").State == metapb.Drive_DRAINING })
	})
}

// TestWaysNeedNoLayout: without them the group that has the layout finds no leader.
func TestWaysNeedNoLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, g := newVillage(), newGroup()
		g.down = true
		r := newRig(t, aNode("a", ""), v, g, newLocal("drive-a"))
		defer r.stop()
		v.settle(aNode("b", ""), status("drive-b"), status("drive-b2"))
		front := aNode("f", "")
		front.Storage = false
		v.settle(front)
		synctest.Wait()
		if address, ok := r.NodeOf(driveID("drive-b2")); !ok || address != "b:9001" {
			t.Fatalf("the way is %q", address)
		}
		if _, ok := r.routes.Drive(driveID("drive-b2")); !ok || len(r.Nodes()) != 1 || !r.Nodes()[0].Alive {
			t.Fatalf("no route; peers: %v", r.Nodes())
		}
		if len(r.View().Nodes) != 3 || len(r.View().Drives) != 0 {
			t.Fatalf("%+v", r.View())
		}
		v.kill(front.ID)
		synctest.Wait()
		if len(r.View().Nodes) != 2 { // what the layout does not name is there while it is alive
			t.Fatalf("%+v", r.View().Nodes)
		}
	})
}

// TestOneProcessAsksNobody, though its layout knows other nodes.
func TestOneProcessAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		r.stop()
		alone := newRig(t, aNode("a", "z-a"), nil, r.group, r.locals()...)
		defer alone.stop()
		pass(10 * time.Second)
		if d := alone.found(t, "drive-b"); d.Alive || !alone.found(t, "drive-a").Alive {
			t.Fatalf("%+v", d)
		}
	})
}

// TestMovedDriveIsFoundWhereItIs: the node that has it knows better than the layout.
func TestMovedDriveIsFoundWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fourNodes(t)
		defer r.stop()
		r.village.kill(nodeID("b"))
		r.village.settle(aNode("c", "z-c"), status("drive-c"), status("drive-b"))
		pass(3 * time.Second)
		d := r.found(t, "drive-b")
		if address, _ := r.NodeOf(d.ID); d.Node != nodeID("c") || d.Zone != "z-c" || !d.Alive || address != "c:9001" {
			t.Fatalf("%+v at %q", d, address)
		}
	})
}

// TestFreeSpaceIsNoChange: those who wait for one are not woken each two seconds.
func TestFreeSpaceIsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine := fourNodes(t)
		defer r.stop()
		changed := r.Changed()
		r.village.quietly("b:9001", func(h *home) { h.drives[0].FreeBytes = 7 })
		mine.set(func(s *node.Status) { s.FreeBytes = 8 })
		pass(5 * time.Second)
		if r.found(t, "drive-b").Status.FreeBytes != 7 || r.found(t, "drive-a").Status.FreeBytes != 8 {
			t.Error("free space is not kept up to date")
		}
		if way, _ := r.routes.Drive(driveID("drive-b")); way.Status().FreeBytes != 7 {
			t.Error("the route's is not")
		}
		select {
		case <-changed:
			t.Error("free space counts as a change")
		default:
		}
	})
}

// TestPlacingAllocatesNoMoreThanPlacement: it is on the way of every Put.
func TestPlacingAllocatesNoMoreThanPlacement(t *testing.T) {
	g := newGroup()
	mine := []node.Drive{newLocal("drive-a"), newLocal("drive-b"), newLocal("drive-c")}
	r := newRig(t, aNode("a", ""), nil, g, mine...)
	defer r.stop()
	if _, err := r.membership(aNode("a", ""), mine...).Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.WaitLayout(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { r.candidates() }); n > 0 {
		t.Errorf("%v allocations for the candidates", n)
	}
}
