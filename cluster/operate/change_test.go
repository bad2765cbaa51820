package operate

import (
	"strings"
	"testing"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

func TestDrainingADriveIsRefusedWhenTooFewWouldBeLeft(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{1, 1, 1, 1})
	_, err := w.operator(nil).DrainDrive(t.Context(), driveID(1, 0).String())
	refusedFor(t, err, CodeTooFewDrives)
	for _, number := range []string{"2+2 needs 4", "4 stay now and 3 would be left"} {
		if !strings.Contains(err.Error(), number) {
			t.Errorf("%q does not say %q", err, number)
		}
	}
	if s, _ := w.state(driveID(1, 0)); s != metapb.Drive_ACTIVE {
		t.Errorf("refused, and the drive is %s", s)
	}
}

func TestDrainingIsRefusedWhenReplicasWouldHaveNoPlace(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 1, M: 1}, []int{1, 1, 1}) // two shards, three replicas
	_, err := w.operator(nil).DrainDrive(t.Context(), driveID(1, 0).String())
	refusedFor(t, err, CodeTooFewDrives)
}

func TestADriveIsDrainedAndKept(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o, d := w.operator(nil), driveID(0, 1)
	for _, changed := range []bool{true, false} {
		c, err := o.DrainDrive(t.Context(), "node0:/mnt/b")
		if err != nil || c.Changed != changed || c.State != StateDraining || c.ID != d.String() {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if s, removed := w.state(d); s != metapb.Drive_DRAINING || removed || w.nudged != 1 || w.waited != w.View().Version {
		t.Errorf("%s, removed %v, %d nudges, waited for layout %d", s, removed, w.nudged, w.waited)
	}
	for _, changed := range []bool{true, false} {
		c, err := o.UndrainDrive(t.Context(), d.String())
		if err != nil || c.Changed != changed || c.State != StateActive {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if s, _ := w.state(d); s != metapb.Drive_ACTIVE {
		t.Error(s)
	}
}

func TestWhereNothingMovesNothingIsDrained(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 4, M: 2}, []int{8})
	o := w.operator(func(c *Config) { c.Rebalance = nil })
	_, err := o.DrainDrive(t.Context(), driveID(0, 1).String())
	refusedFor(t, err, CodeUnsupported)
	_, err = o.DrainNode(t.Context(), "node0")
	refusedFor(t, err, CodeUnsupported)
}

func TestTwoDrainsAtTheSameTimeLeaveEnoughDrives(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o := w.operator(nil)
	other := driveID(0, 1)
	w.before = func(*metapb.Command) { // between the decision and the change
		if _, err := o.DrainDrive(t.Context(), other.String()); err != nil {
			t.Errorf("the first of two: %v", err)
		}
	}
	_, err := o.DrainDrive(t.Context(), driveID(1, 0).String())
	refusedFor(t, err, CodeTooFewDrives)
	draining := 0
	for _, d := range w.View().Drives {
		if d.State == metapb.Drive_DRAINING {
			draining++
		}
	}
	if draining != 1 {
		t.Errorf("%d drives drain, and one may", draining)
	}
}

func TestAChangeInBetweenIsSeen(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o, d := w.operator(nil), driveID(1, 0)
	w.before = func(*metapb.Command) { // it was absent for too long at that very moment
		if err := o.setDrive(t.Context(), d, false, metapb.Drive_GONE, metapb.Drive_ACTIVE); err != nil {
			t.Error(err)
		}
	}
	_, err := o.DrainDrive(t.Context(), d.String())
	refusedFor(t, err, CodeGone)
	if s, _ := w.state(d); s != metapb.Drive_GONE {
		t.Error(s)
	}
}

func TestWhatHoldsDataIsNotRemovedWithoutForce(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o, d := w.operator(nil), driveID(0, 1)
	if _, err := o.DrainDrive(t.Context(), d.String()); err != nil {
		t.Fatal(err)
	}
	w.name(d)
	w.vacate(d)
	_, err := o.RemoveDrive(t.Context(), d.String(), false)
	refusedFor(t, err, CodeNotEmpty) // a record names it
	w = newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	w.shards = 0
	d = w.status[0].Leader
	_, err = w.operator(nil).RemoveDrive(t.Context(), d.String(), false)
	refusedFor(t, err, CodeNotEmpty) // it is in use
	if s, _ := w.state(d); s != metapb.Drive_ACTIVE {
		t.Error(s)
	}
	o = w.operator(nil)
	if _, err := o.DrainDrive(t.Context(), d.String()); err != nil {
		t.Fatal(err)
	}
	_, err = o.RemoveDrive(t.Context(), d.String(), false)
	refusedFor(t, err, CodeNotEmpty) // a replica is there
	w.vacate(d)
	if _, err := o.RemoveDrive(t.Context(), d.String(), false); err != nil {
		t.Error(err)
	}
}

func TestWhetherADriveIsEmptyIsNotGuessed(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o, d := w.operator(nil), driveID(0, 1)
	if _, err := o.DrainDrive(t.Context(), d.String()); err != nil {
		t.Fatal(err)
	}
	w.vacate(d)
	w.status[3] = replica.GroupStatus{Group: 3} // does not say who is in it
	_, err := o.RemoveDrive(t.Context(), d.String(), false)
	refusedFor(t, err, CodeNotEmpty)
}

func TestADrainedDriveIsRemoved(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o, d := w.operator(nil), driveID(0, 1)
	w.name(driveID(0, 0), driveID(1, 0))
	if _, err := o.DrainDrive(t.Context(), d.String()); err != nil {
		t.Fatal(err)
	}
	w.vacate(d)
	for _, changed := range []bool{true, false} {
		c, err := o.RemoveDrive(t.Context(), d.String(), false)
		if err != nil || c.Changed != changed || c.State != StateRetired {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if s, removed := w.state(d); s != metapb.Drive_RETIRED || !removed {
		t.Errorf("%s, removed %v", s, removed)
	}
	_, err := o.UndrainDrive(t.Context(), d.String())
	refusedFor(t, err, CodeGone)
	if c, err := o.DrainDrive(t.Context(), d.String()); err != nil || c.Changed || c.State != StateRetired {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestForceGivesADeadDriveUp(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o, d := w.operator(nil), driveID(0, 1)
	w.kill(d)
	_, err := o.RemoveDrive(t.Context(), d.String(), false)
	refusedFor(t, err, CodeNotEmpty)
	for _, changed := range []bool{true, false} {
		c, err := o.RemoveDrive(t.Context(), d.String(), true)
		if err != nil || c.Changed != changed || c.State != StateGone {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if s, removed := w.state(d); s != metapb.Drive_GONE || !removed {
		t.Errorf("%s, removed %v", s, removed)
	}
}

func TestAGivenUpDriveIsRemovedForGood(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 1, 1, 1})
	o, d := w.operator(nil), driveID(0, 1)
	if err := o.setDrive(t.Context(), d, false, metapb.Drive_GONE); err != nil {
		t.Fatal(err)
	}
	if c, err := o.RemoveDrive(t.Context(), d.String(), false); err != nil || !c.Changed {
		t.Fatalf("%+v, %v", c, err)
	}
	if s, removed := w.state(d); s != metapb.Drive_GONE || !removed {
		t.Errorf("%s, removed %v", s, removed)
	}
}

func TestForceDoesNotLoseData(t *testing.T) {
	t.Run("shards", func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 4, M: 2}, []int{2, 2, 2, 2})
		w.kill(driveID(1, 0), driveID(2, 0))
		o := w.operator(nil)
		if err := o.setDrive(t.Context(), driveID(1, 0), false, metapb.Drive_GONE); err != nil {
			t.Fatal(err)
		}
		_, err := o.RemoveDrive(t.Context(), driveID(3, 0).String(), true) // a third one
		refusedFor(t, err, CodeWouldLoseData)
		if _, err := o.RemoveDrive(t.Context(), driveID(2, 0).String(), true); err != nil { // which is missing anyway
			t.Error(err)
		}
	})
	t.Run("while data waits for repair", func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 3, M: 1}, []int{2, 2, 2, 2})
		k := &worker{}
		o := w.operator(func(c *Config) { c.Repair = k })
		k.stats.Queued = 5
		_, err := o.RemoveDrive(t.Context(), driveID(3, 0).String(), true)
		refusedFor(t, err, CodeWouldLoseData)
		k.stats.Queued = 0
		if _, err := o.RemoveDrive(t.Context(), driveID(3, 0).String(), true); err != nil {
			t.Error(err)
		}
	})
	t.Run("a majority", func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 2, 2})
		g := &w.status[2]
		g.Members = g.Members[:3]
		g.Members[1].Lost = true // of three replicas two are well
		g.Leader = g.Members[0].Drive
		_, err := w.operator(nil).RemoveDrive(t.Context(), g.Members[2].Drive.String(), true)
		refusedFor(t, err, CodeWouldLoseMajority)
	})
	t.Run("too few drives to rebuild on", func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{1, 1, 1, 1})
		w.kill(driveID(0, 0))
		_, err := w.operator(nil).RemoveDrive(t.Context(), driveID(0, 0).String(), true)
		refusedFor(t, err, CodeTooFewDrives)
	})
}

func TestANodeIsDrainedAndRemoved(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 2, 2, 2})
	o, n := w.operator(nil), nodeID(3)
	for _, changed := range []bool{true, false} {
		c, err := o.DrainNode(t.Context(), "node3")
		if err != nil || c.Changed != changed || c.State != StateDraining {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	_, err := o.UndrainDrive(t.Context(), driveID(3, 0).String())
	refusedFor(t, err, CodeInvalid) // the node is drained, not the drive
	_, err = o.RemoveNode(t.Context(), "node3", false)
	refusedFor(t, err, CodeNotEmpty)
	empty := func() bool {
		for _, n := range o.Status(t.Context()).Nodes {
			if n.Name == "node3" {
				return n.Empty
			}
		}
		return false
	}
	for d := range 2 {
		if empty() {
			t.Errorf("it may be stopped, it is said, with %d of 2 drives empty", d)
		}
		if err := o.setDrive(t.Context(), driveID(3, d), true, metapb.Drive_RETIRED, metapb.Drive_ACTIVE); err != nil {
			t.Fatal(err)
		}
	}
	if !empty() {
		t.Error("it is not said that it may be stopped")
	}
	for _, changed := range []bool{true, false} {
		c, err := o.RemoveNode(t.Context(), n.String(), false)
		if err != nil || c.Changed != changed || c.State != StateGone {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if s, removed := w.nodeState(n); s != metapb.Node_GONE || !removed {
		t.Errorf("%s, removed %v", s, removed)
	}
	_, err = o.UndrainNode(t.Context(), n.String())
	refusedFor(t, err, CodeGone)
}

func TestANodeIsNotDrainedWhenTooFewDrivesWouldBeLeft(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 5, M: 3}, []int{2, 2, 2, 2})
	_, err := w.operator(nil).DrainNode(t.Context(), "node1")
	refusedFor(t, err, CodeTooFewDrives)
	if !strings.Contains(err.Error(), "8 stay now and 6 would be left") {
		t.Error(err)
	}
	if s, _ := w.nodeState(nodeID(1)); s != metapb.Node_ACTIVE {
		t.Error(s)
	}
}

func TestTwoNodesAreNotDrainedAtTheSameTimeIfOneMayBe(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{1, 1, 1, 1, 1})
	o := w.operator(nil)
	w.before = func(*metapb.Command) {
		if _, err := o.DrainNode(t.Context(), "node1"); err != nil {
			t.Error(err)
		}
	}
	_, err := o.DrainNode(t.Context(), "node2")
	refusedFor(t, err, CodeTooFewDrives)
	if s, _ := w.nodeState(nodeID(2)); s != metapb.Node_ACTIVE {
		t.Errorf("the second one is %s", s)
	}
}

func TestADrainOfANodeIsCalledOff(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 2, 2, 2})
	o := w.operator(nil)
	if _, err := o.DrainNode(t.Context(), "node1"); err != nil {
		t.Fatal(err)
	}
	if err := o.setDrive(t.Context(), driveID(1, 1), true, metapb.Drive_RETIRED); err != nil {
		t.Fatal(err)
	}
	c, err := o.UndrainNode(t.Context(), "node1")
	if err != nil || !c.Changed || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "/mnt/b") {
		t.Errorf("%+v, %v", c, err)
	}
	if s, _ := w.nodeState(nodeID(1)); s != metapb.Node_ACTIVE {
		t.Error(s)
	}
}

func TestAnInterruptedRemovalOfANodeCanBeSaidAgain(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 2, 2, 2})
	o, n := w.operator(nil), nodeID(1)
	w.kill(driveID(1, 0), driveID(1, 1))
	w.store.Fail(func(cmd *metapb.Command) error {
		if cmd.GetPutNode() != nil {
			return errAway
		}
		return nil
	})
	if _, err := o.RemoveNode(t.Context(), "node1", true); !kind.Is(err, kind.Unavailable) {
		t.Fatal(err)
	}
	w.store.Fail(nil)
	if s, _ := w.nodeState(n); s != metapb.Node_ACTIVE {
		t.Fatalf("the node was taken out before its drives: %s", s)
	}
	if c, err := o.RemoveNode(t.Context(), "node1", true); err != nil || !c.Changed {
		t.Fatalf("%+v, %v", c, err)
	}
	for d := range 2 {
		if s, removed := w.state(driveID(1, d)); s != metapb.Drive_GONE || !removed {
			t.Errorf("drive %d: %s, removed %v", d, s, removed)
		}
	}
}

func TestAFrontIsTakenOffTheListWhenItIsStopped(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{1, 1, 1, 1, 0})
	o := w.operator(nil)
	_, err := o.DrainNode(t.Context(), "node4")
	refusedFor(t, err, CodeInvalid)
	_, err = o.RemoveNode(t.Context(), "node4", false)
	refusedFor(t, err, CodeStillRunning)
	if _, err := o.RemoveNode(t.Context(), "node4", true); err != nil {
		t.Error(err)
	}
}

func TestNamesAreUnderstoodOrRefused(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 2, 2, 2})
	p, err := w.operator(nil).fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := driveID(1, 1)
	for _, name := range []string{want.String(), want.String()[:4], "  " + want.String()[:6] + " ", "node1:/mnt/b", nodeID(1).String()[:8] + ":/mnt/b/", strings.ToUpper(want.String()[:5])} {
		if d, err := p.drive(name); err != nil || d.ID != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, code := range map[string]string{"": CodeInvalid, "a1": CodeUnknownDrive, "node1": CodeUnknownDrive, "node1:/mnt/z": CodeUnknownDrive, "a1d": CodeUnknownDrive} {
		_, err := p.drive(name)
		refusedFor(t, err, code)
	}
	w.addDrive(1, 1, "")
	if n, err := p.nodeOf("node2"); err != nil || n.ID != nodeID(2) {
		t.Error(err)
	}
	if n, err := p.nodeOf(nodeID(2).String()[:8]); err != nil || n.ID != nodeID(2) {
		t.Error(err)
	}
	_, err = p.nodeOf("node9")
	refusedFor(t, err, CodeUnknownNode)
	// Two of the same name: a node that was wiped and came back.
	fresh := id.Node{9, 9, 9}
	w.must(&metapb.Command{Op: &metapb.Command_PutNode{PutNode: &metapb.PutNode{Node: &metapb.Node{Id: fresh[:], Name: "node2", Storage: true}}}})
	if p, err = w.operator(nil).fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = p.nodeOf("node2")
	refusedFor(t, err, CodeAmbiguous)
}

func TestSettingsAreChangedOneByOne(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{1, 1, 1, 1})
	o := w.operator(nil)
	if s, err := o.SetRebalanceRate(t.Context(), 64<<20); err != nil || !s.Changed {
		t.Fatalf("%+v, %v", s, err)
	}
	w.before = func(*metapb.Command) { // another operator, at the same time
		if _, err := o.SetRepairAfter(t.Context(), time.Hour); err != nil {
			t.Error(err)
		}
	}
	if s, err := o.PauseRebalance(t.Context()); err != nil || !s.Changed {
		t.Fatalf("%+v, %v", s, err)
	}
	got := w.View().Settings
	if !got.RebalancePaused || got.RebalanceBytesPerSecond != 64<<20 || got.RepairAfterMs != 3_600_000 {
		t.Errorf("one change has undone another: %v", got)
	}
	if s, err := o.PauseRebalance(t.Context()); err != nil || s.Changed {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := o.ResumeRebalance(t.Context()); err != nil || w.View().Settings.RebalancePaused {
		t.Error(err)
	}
	for _, rate := range []int64{-1, 1, maxRate + 1} {
		_, err := o.SetRebalanceRate(t.Context(), rate)
		refusedFor(t, err, CodeInvalid)
	}
	_, err := o.SetRepairAfter(t.Context(), time.Second)
	refusedFor(t, err, CodeInvalid)
	if s, err := o.SetRebalanceRate(t.Context(), 0); err != nil || s.RebalanceRate != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestWithoutTheSystemGroupNothingIsChanged(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{2, 2, 2})
	o := w.operator(nil)
	w.store.Silence(errAway)
	if _, err := o.DrainDrive(t.Context(), "node0:/mnt/a"); !kind.Is(err, kind.Unavailable) {
		t.Error(err)
	}
	if _, err := o.PauseRebalance(t.Context()); !kind.Is(err, kind.Unavailable) {
		t.Error(err)
	}
}
