package replica_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/client"
	"holdfast/meta/fsm"
	"holdfast/meta/replica"
	"holdfast/meta/replica/replicatest"
	"holdfast/proto/metapb"
)

// traffic writes and reads back until the returned function is called; nothing may fail, nor take longer
// than limit.
func traffic(t *testing.T, h *replica.Host, workers int, limit time.Duration) (stop func()) {
	t.Helper()
	c, err := client.New(client.Config{Host: h})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ended := make(chan struct{})
	for w := range workers {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-ended:
					return
				case <-time.After(40 * time.Millisecond):
				}
				start, g := time.Now(), uint32(w+i)%(h.Groups()+1)
				key, value := fmt.Sprint(w, "-", i), fmt.Sprint("v", i)
				if _, err := c.Apply(t.Context(), g, put(key, value)); err != nil {
					t.Errorf("write to group %d failed: %v", g, err)
				}
				a, err := c.Ask(t.Context(), g, &metapb.Query{Key: key})
				if err != nil || parseRegister(a.GetMessage()).value != value {
					t.Errorf("group %d: read back %v, %v", g, a.GetMessage(), err)
				}
				if took := time.Since(start); took > limit {
					t.Errorf("group %d: a write and a read took %v", g, took)
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(ended); wg.Wait() })
}

func mustRemove(t testing.TB, h *replica.Host, d *replicatest.Drive) {
	t.Helper()
	if err := h.RemoveDrive(d.ID); err != nil {
		t.Fatal(err)
	}
}

func mustAdd(t testing.TB, h *replica.Host, d *replicatest.Drive) {
	t.Helper()
	d.Restart()
	if err := h.AddDrive(t.Context(), d.Handle()); err != nil {
		t.Fatal(err)
	}
}

func TestDrivesComeAndGoUnderLoadAndNoRequestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(6)
		for _, d := range drives {
			d.Disk.SegmentBytes, d.KV.AutoFlush = 16<<10, 20
			d.Disk.SyncTime = func() time.Duration { return time.Millisecond }
		}
		cfg := testConfig(t, 8, drives...)
		cfg.Beginning = beginning(5, drives)
		cfg.KeepEntries, cfg.LogBytes, cfg.ChunkBytes = 20, 32<<10, 200
		h := mustOpen(t, cfg)
		stop := traffic(t, h, 4, time.Second)
		for round := range 9 {
			d := drives[round%6]
			switch round % 3 {
			case 0: // it loses what is not on stable storage, as when its process of old had been killed
				mustRemove(t, h, d)
				d.Crash()
			case 1:
				mustRemove(t, h, d)
			case 2: // it fails first, under everyone's feet
				d.Fail(errors.New("EIO"))
				time.Sleep(time.Second)
				mustRemove(t, h, d)
			}
			if st := h.Status(t.Context()); len(st.Drives) != 5 {
				t.Errorf("%d drives after one was removed", len(st.Drives))
			}
			if err := h.RemoveDrive(d.ID); err == nil {
				t.Error("a drive was removed twice")
			}
			time.Sleep(2 * time.Second)
			mustAdd(t, h, d)
			if err := h.AddDrive(t.Context(), d.Handle()); err == nil {
				t.Error("a drive was added twice")
			}
			time.Sleep(2 * time.Second)
		}
		stop()
		if missing := h.Missing(t.Context()); len(missing) > 0 {
			t.Errorf("replicas were lost: %+v", missing)
		}
		waitSame(t, h, 8, 5, drives)
		mustClose(t, h)
	})
}

// TestRemovedLeaderIsReplacedAtOnce although it does not hand over.
func TestRemovedLeaderIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 8, drives...)
		cfg.Beginning = beginning(3, drives)
		cfg.HeartbeatTicks, cfg.ElectionTicks = 50, 100 // a timeout would take ten seconds and more
		h := mustOpen(t, cfg)
		time.Sleep(2 * time.Second) // plans from the start are over
		led := 0
		for _, d := range h.Leaders() {
			if d == drives[0].ID {
				led++
			}
		}
		if led == 0 {
			t.Fatal("the drive leads nothing")
		}
		start := time.Now()
		if err := h.RemoveDriveAtOnce(drives[0].ID); err != nil {
			t.Fatal(err)
		}
		mustBeReady(t, h)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("new leaders after %v", took)
		}
		mustClose(t, h)
	})
}

func TestRemovedDriveLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		var hang atomic.Bool
		for _, d := range drives {
			d.Disk.SyncTime = func() time.Duration {
				if hang.Load() {
					return 20 * time.Second
				}
				return 0
			}
		}
		cfg := testConfig(t, 1, drives...)
		cfg.Beginning = beginning(3, drives)
		h := mustOpen(t, cfg)
		mustPut(t, h, 1, "k", "v")
		hang.Store(true) // everything hangs in the logs
		var lead *replicatest.Drive
		for _, d := range drives {
			if d.ID == h.Leaders()[1] {
				lead = d
			}
		}
		var wg sync.WaitGroup
		var answered atomic.Int64
		for i := range 50 {
			wg.Go(func() {
				_, err := h.Propose(t.Context(), 1, encode(put(fmt.Sprint(i), "v")))
				var u *replica.UnknownError
				if err != nil && !errors.As(err, &u) && !kind.Is(err, kind.NotLeader) {
					t.Errorf("propose: %v", err)
				}
				answered.Add(1)
			})
			wg.Go(func() {
				_, err := h.Ask(t.Context(), 1, &metapb.Query{Key: "k"})
				if err != nil && !kind.Is(err, kind.NotLeader) {
					t.Errorf("ask: %v", err)
				}
				answered.Add(1)
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_ = h.MoveReplica(ctx, 1, drives[0].ID, drives[0].ID)
		})
		time.Sleep(time.Second)
		removed := make(chan error)
		go func() { removed <- h.RemoveDrive(lead.ID) }()
		time.Sleep(5 * time.Second)
		if n := answered.Load(); n != 100 {
			t.Errorf("%d of 100 have an answer, long before the disk has", n)
		}
		if err := <-removed; err != nil {
			t.Error(err)
		}
		wg.Wait()
		mustClose(t, h)
	})
}

func TestRemoveDriveWaitsForWhoReadsFromIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 1, drives...)
		cfg.Beginning = beginning(3, drives)
		var slow, gone atomic.Bool
		cfg.Answer = func(r fsm.Reader, group uint32, q *metapb.Query) (*metapb.Answer, error) {
			if slow.Load() {
				time.Sleep(3 * time.Second)
				if gone.Load() {
					t.Error("a drive was closed under a reader")
				}
			}
			return testAnswer(r, group, q)
		}
		h := mustOpen(t, cfg)
		mustPut(t, h, 1, "k", "v")
		slow.Store(true)
		lead := h.Leaders()[1]
		go func() { _, _ = h.Ask(t.Context(), 1, &metapb.Query{Key: "k"}) }()
		time.Sleep(time.Second)
		if err := h.RemoveDrive(lead); err != nil {
			t.Error(err)
		}
		gone.Store(true)
		slow.Store(false)
		time.Sleep(5 * time.Second)
		mustClose(t, h)
	})
}

func TestAddedEmptyDriveTakesReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 2, drives...)
		cfg.Beginning = beginning(3, drives)
		h := mustOpen(t, cfg)
		stop := traffic(t, h, 3, time.Second)
		fresh := replicatest.NewDrive(4)
		mustAdd(t, h, fresh)
		for g := range uint32(3) {
			if err := h.MoveReplica(t.Context(), g, drives[1].ID, fresh.ID); err != nil {
				t.Fatal(err)
			}
		}
		mustRemove(t, h, drives[1]) // nobody needs it any more
		time.Sleep(3 * time.Second)
		if troubles := h.Troubles(t.Context()); len(troubles) > 0 {
			t.Errorf("troubles: %+v", troubles)
		}
		stop()
		waitSame(t, h, 2, 3, []*replicatest.Drive{drives[0], drives[2], fresh})
		mustClose(t, h)
	})
}

// TestDriveThatComesBackDamagedIsRebuiltInPlace is what healing without a restart rests on.
func TestDriveThatComesBackDamagedIsRebuiltInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(4)
		cfg := testConfig(t, 4, drives...)
		cfg.Beginning = beginning(3, drives)
		h := mustOpen(t, cfg)
		stop := traffic(t, h, 4, time.Second)
		time.Sleep(time.Second)
		in := func(m replica.MissingReplica) id.Drive { return m.Drive }
		for _, d := range drives {
			for g := range h.Groups() + 1 {
				if err := h.Spare(t.Context(), g, d.ID); err != nil {
					t.Errorf("all is whole, but: %v", err)
				}
			}
			for g := range h.Groups() + 1 { // the others must wait
				for _, other := range drives {
					if other != d && isMember(h, g, d.ID) && isMember(h, g, other.ID) && h.Spare(t.Context(), g, other.ID) == nil {
						t.Errorf("group %d could do without two of its three drives", g)
					}
				}
			}
			mustRemove(t, h, d)
			d.Disk.Damaged = true
			mustAdd(t, h, d)
			time.Sleep(time.Second)
			for g := range h.Groups() + 1 {
				for _, other := range drives {
					if other != d && isMember(h, g, d.ID) && isMember(h, g, other.ID) && h.Spare(t.Context(), g, other.ID) == nil {
						t.Errorf("group %d could do without a drive before the other is rebuilt", g)
					}
				}
			}
			moveAll(t, h, h.Missing(t.Context()), in)
			time.Sleep(6 * time.Second)
		}
		stop()
		waitSame(t, h, 4, 3, drives)
		mustClose(t, h)
	})
}

func isMember(h *replica.Host, group uint32, drive id.Drive) bool {
	for _, m := range h.Status(context.Background()).Groups[group].Members {
		if m.Drive == drive {
			return true
		}
	}
	return false
}

// TestLearnerThatIsLostOnItsDriveIsReplaced: a move to it must not wait for it for ever.
func TestLearnerThatIsLostOnItsDriveIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(4)
		cfg := testConfig(t, 1, drives...)
		cfg.Beginning = beginning(3, drives[:3])
		h := mustOpen(t, cfg)
		for i := range 20 {
			mustPut(t, h, 1, fmt.Sprint(i), "v")
		}
		fresh, old := drives[3], id.Drive{}
		for _, m := range h.Status(t.Context()).Groups[1].Members {
			old = m.Drive
		}
		fresh.Disk.SyncTime = func() time.Duration { return 700 * time.Millisecond } // so that it is caught half-way
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = h.MoveReplica(ctx, 1, old, fresh.ID) }()
		for acknowledged := false; !acknowledged; time.Sleep(time.Millisecond) {
			for _, m := range h.Status(t.Context()).Groups[1].Members {
				if m.Drive == fresh.ID && m.Match > 0 {
					if acknowledged = true; m.Voter {
						t.Fatal("the move was too fast for the test")
					}
				}
			}
		}
		cancel()
		mustRemove(t, h, fresh)
		fresh.Disk.SyncTime = nil
		if err := fresh.Disk.Reset(); err != nil { // whatever it acknowledged is gone
			t.Fatal(err)
		}
		fresh.KV = replicatest.NewKV()
		mustAdd(t, h, fresh)
		if why := fmt.Sprint(h.Troubles(t.Context())); !strings.Contains(why, "learner") {
			t.Errorf("the learner is not seen: %s", why)
		}
		again, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := h.MoveReplica(again, 1, old, fresh.ID); err != nil {
			t.Error(err)
		}
		if troubles := h.Troubles(t.Context()); len(troubles) > 0 {
			t.Errorf("troubles: %+v", troubles)
		}
		mustClose(t, h)
	})
}
