package cluster

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/cluster/gossip"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/proto/metapb"
)

// member is the membership of a node without a directory.
func member(g *group, self gossip.Node, drives ...node.Drive) Membership {
	return Membership{Metadata: g, Drives: client.NewDrives(drives...), Cluster: clusterID("C"), Node: self,
		Scheme: erasure.Scheme{K: 2, M: 2}, Now: func() time.Time { return time.UnixMilli(1000) }, Logger: slog.New(slog.DiscardHandler)}
}

func join(t *testing.T, m Membership) State {
	t.Helper()
	st, err := m.Join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// at puts a drive at a path.
func at(l *local, path string) *local {
	l.set(func(s *node.Status) { s.Path = path })
	return l
}

func TestJoinRegistersNodeAndDrivesOnce(t *testing.T) {
	g := newGroup()
	m := member(g, aNode("a", "z"), newLocal("one"), newLocal("two"))
	st := join(t, m)
	if st.Scheme.K != 2 || len(st.Lost)+len(st.Absent) != 0 {
		t.Fatalf("%+v", st)
	}
	n := nodeID("a")
	rec := g.drive(t, driveID("one"))
	if rec.Path != "/one" || string(rec.Node) != string(n[:]) || rec.Zone != "z" || rec.CapacityBytes != 100 || rec.SinceMs != 1000 || rec.State != metapb.Drive_ACTIVE {
		t.Fatalf("%v", rec)
	}
	index := g.index
	again := join(t, m)
	if g.index != index {
		t.Errorf("a second start wrote %d commands", g.index-index)
	}
	// Who waits for this version and then stores has drives to store on.
	if st.Version != index || again.Version != index {
		t.Errorf("the layout that has the drives is said to be %d, and at the second start %d; want %d", st.Version, again.Version, index)
	}
	other := member(g, aNode("b", "z"), newLocal("three"))
	other.Cluster = clusterID("D")
	if _, err := other.Join(t.Context()); !kind.Is(err, kind.Damaged) || !strings.Contains(err.Error(), clusterID("C").String()) {
		t.Errorf("a node of another cluster: %v", err)
	}
}

// TestReplacedDriveIsGoneOnItsNodeOnly: the same path on another node is another place.
func TestReplacedDriveIsGoneOnItsNodeOnly(t *testing.T) {
	g := newGroup()
	join(t, member(g, aNode("a", ""), at(newLocal("a1"), "/d1"), at(newLocal("a2"), "/d2")))
	join(t, member(g, aNode("b", ""), at(newLocal("b1"), "/d1"), at(newLocal("b2"), "/d2")))
	st := join(t, member(g, aNode("b", ""), at(newLocal("b3"), "/d1/")))
	if !slices.Equal(st.Lost, []id.Drive{driveID("b1")}) || !slices.Equal(st.Absent, []id.Drive{driveID("b2")}) {
		t.Fatalf("%+v", st)
	}
	for name, want := range map[string]metapb.Drive_State{"a1": metapb.Drive_ACTIVE, "a2": metapb.Drive_ACTIVE, "b1": metapb.Drive_GONE, "b2": metapb.Drive_ACTIVE, "b3": metapb.Drive_ACTIVE} {
		if rec := g.drive(t, driveID(name)); rec.State != want {
			t.Errorf("%s is %s", name, rec.State)
		}
	}
	if rec := g.drive(t, driveID("b1")); rec.Path != "/d1" || rec.CapacityBytes != 100 {
		t.Errorf("a lost drive's record was emptied: %v", rec)
	}
}

// TestOneProcessNeedsNoNode: what a single process of an earlier version wrote is still understood.
func TestOneProcessNeedsNoNode(t *testing.T) {
	g := newGroup()
	old := driveID("old")
	g.put(t, &metapb.PutDrive{Drive: &metapb.Drive{Id: old[:], Path: "/d1"}})
	st := join(t, member(g, gossip.Node{}, at(newLocal("new"), "/d1"), at(newLocal("same"), "/d2")))
	if !slices.Equal(st.Lost, []id.Drive{old}) || len(g.drive(t, driveID("new")).Node) != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestMovedDriveKeepsItsState(t *testing.T) {
	g := newGroup()
	d := driveID("one")
	join(t, member(g, aNode("a", "za"), newLocal("one")))
	g.put(t, &metapb.PutDrive{Drive: &metapb.Drive{Id: d[:], State: metapb.Drive_DRAINING}, StateOnly: true})
	join(t, member(g, aNode("b", "zb"), newLocal("one")))
	b := nodeID("b")
	if rec := g.drive(t, d); string(rec.Node) != string(b[:]) || rec.Zone != "zb" || rec.State != metapb.Drive_DRAINING {
		t.Fatalf("%v", rec)
	}
	if st := join(t, member(g, aNode("a", "za"), newLocal("two"))); len(st.Absent)+len(st.Lost) != 0 {
		t.Fatalf("the node that it left misses it: %+v", st)
	}
}

// TestJoinDoesNotUndoWhatGetsInBetween: an operator drains a drive while its node starts.
func TestJoinDoesNotUndoWhatGetsInBetween(t *testing.T) {
	g := newGroup()
	d := driveID("one")
	join(t, member(g, aNode("a", "za"), newLocal("one")))
	moved := member(g, aNode("a", "za"), at(newLocal("one"), "/elsewhere"))
	g.before = func(*metapb.Command) {
		g.put(t, &metapb.PutDrive{Drive: &metapb.Drive{Id: d[:], State: metapb.Drive_DRAINING}, StateOnly: true})
	}
	join(t, moved)
	if rec := g.drive(t, d); rec.State != metapb.Drive_DRAINING || rec.Path != "/elsewhere" {
		t.Fatalf("%v", rec)
	}
}

// TestRemovedStaysRemoved: a start is no operator's word.
func TestRemovedStaysRemoved(t *testing.T) {
	g := newGroup()
	d, n := driveID("one"), nodeID("a")
	m := member(g, aNode("a", ""), newLocal("one"))
	join(t, m)
	g.put(t, &metapb.PutDrive{Drive: &metapb.Drive{Id: d[:], State: metapb.Drive_GONE, Removed: true}, StateOnly: true})
	if _, err := g.Apply(t.Context(), 0, &metapb.Command{Op: &metapb.Command_PutNode{PutNode: &metapb.PutNode{
		Node: &metapb.Node{Id: n[:], State: metapb.Node_GONE, Removed: true}, StateOnly: true}}}); err != nil {
		t.Fatal(err)
	}
	if st := join(t, m); !slices.Equal(st.Removed, []id.Drive{d}) || g.drive(t, d).State != metapb.Drive_GONE {
		t.Fatalf("%+v %v", st, g.drive(t, d))
	}
	a, _ := g.Ask(t.Context(), 0, &metapb.Query{Op: &metapb.Query_ListNodes{ListNodes: &metapb.ListNodes{}}})
	if a.Nodes[0].State != metapb.Node_GONE || a.Nodes[0].Name != "a" {
		t.Fatalf("%v", a.Nodes)
	}
}

// TestGivenUpDriveRegistersAgainByItself: its node hung, and was not started anew.
func TestGivenUpDriveRegistersAgainByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine := fourNodes(t)
		defer r.stop()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.membership(aNode("a", "z-a"), mine).Keep(ctx)
		}()
		defer func() { stop(); <-done }()
		d := mine.Status().ID
		for _, out := range []bool{true, false} {
			mine.set(func(s *node.Status) { s.Out = out })
			pass(5 * time.Second)
			g := r.group
			g.put(t, &metapb.PutDrive{Drive: &metapb.Drive{Id: d[:], State: metapb.Drive_GONE}, StateOnly: true})
			pass(10 * time.Second)
			want := metapb.Drive_ACTIVE
			if out { // a drive that failed is given up with reason
				want = metapb.Drive_GONE
			}
			if rec := g.drive(t, d); rec.State != want {
				t.Fatalf("out %v: the drive is %s", out, rec.State)
			}
		}
	})
}

// TestCopiedDriveIsRefused: two that think they are the same would each vote.
func TestCopiedDriveIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine := fourNodes(t)
		defer r.stop()
		copied := newLocal("drive-b")
		_, err := r.membership(aNode("a", "z-a"), mine, copied).Join(t.Context())
		if err == nil || !strings.Contains(err.Error(), nodeID("b").String()) {
			t.Fatal(err)
		}
		r.village.kill(nodeID("b")) // then it was moved
		pass(time.Second)
		if _, err := r.membership(aNode("a", "z-a"), mine, copied).Join(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
