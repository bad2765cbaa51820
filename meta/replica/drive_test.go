package replica_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/meta/client"
	"holdfast/meta/fsm"
	"holdfast/meta/replica"
	"holdfast/meta/replica/replicatest"
	"holdfast/proto/metapb"
)

// powerCut stops a host as a power cut would and lets its drives start again.
func powerCut(h *replica.Host, drives ...*replicatest.Drive) {
	for _, d := range drives {
		d.Crash()
	}
	_ = h.Close()
	for _, d := range drives {
		d.Restart()
	}
}

// waitSame waits until the replicas of every group on drives are equal and as many as there should be.
func waitSame(t testing.TB, h *replica.Host, groups uint32, replicas int, drives []*replicatest.Drive) {
	t.Helper()
	for g := range groups + 1 {
		var state string
		for try := 0; ; try++ {
			seen, n := map[string]bool{}, 0
			state = ""
			for _, d := range drives {
				if index, sum, err := h.Hash(t.Context(), g, d.ID); err == nil {
					state = fmt.Sprintf("%d %x", index, sum)
					seen[state] = true
					n++
				}
			}
			if len(seen) == 1 && n == replicas {
				break
			}
			if try == 300 {
				t.Fatalf("group %d: %d replicas, states %v", g, n, seen)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func moveAll(t testing.TB, h *replica.Host, missing []replica.MissingReplica, to func(replica.MissingReplica) id.Drive) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, m := range missing {
		if err := h.MoveReplica(ctx, m.Group, m.Drive, to(m)); err != nil {
			st := h.Status(t.Context()).Groups[m.Group]
			t.Fatalf("move group %d from %v to %v: %v\n%+v", m.Group, m.Drive, to(m), err, st)
		}
	}
	if left := h.Missing(ctx); len(left) > 0 {
		t.Fatalf("still missing: %+v", left)
	}
}

func TestWipedDriveIsReplacedThroughMoveReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(6)
		cfg := testConfig(t, 4, drives...)
		cfg.KeepEntries = 10
		cfg.Beginning = beginning(5, drives)
		h := mustOpen(t, cfg)
		for g := range uint32(5) {
			for i := range 50 {
				mustPut(t, h, g, fmt.Sprint(i), fmt.Sprint("v", i))
			}
		}
		powerCut(h, drives...)

		wiped := drives[1]
		drives[1] = replicatest.NewDrive(7)
		cfg = testConfig(t, 4, drives...)
		cfg.KeepEntries = 10
		cfg.Beginning = beginning(5, drives) // must not begin anything on the new drive
		h = mustOpen(t, cfg)
		missing := h.Missing(t.Context())
		if len(missing) == 0 {
			t.Fatal("nobody misses the wiped drive")
		}
		for _, m := range missing {
			if m.Drive != wiped.ID {
				t.Fatalf("missing %+v", m)
			}
		}
		moveAll(t, h, missing, func(replica.MissingReplica) id.Drive { return drives[1].ID })
		waitSame(t, h, 4, 5, drives)
		for _, g := range h.Status(t.Context()).Groups {
			for _, m := range g.Members {
				if m.Drive == drives[1].ID && m.RaftID <= 5 {
					t.Errorf("group %d: the new drive got the old raft ID %d", g.Group, m.RaftID)
				}
			}
		}
		// Now any other two drives may go.
		powerCut(h, drives...)
		cfg = testConfig(t, 4, drives[0], drives[1], drives[4], drives[5])
		h = mustOpen(t, cfg)
		for g := range uint32(5) {
			for i := range 50 {
				if got := mustGet(t, h, g, fmt.Sprint(i)); got != fmt.Sprint("v", i) {
					t.Errorf("group %d key %d: %q", g, i, got)
				}
			}
			mustPut(t, h, g, "more", "more")
		}
		mustClose(t, h)
	})
}

func TestDamagedLogRefusesToVoteUntilItIsRebuiltUnderNewIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 2, drives...)
		cfg.Beginning = beginning(3, drives)
		h := mustOpen(t, cfg)
		for g := range uint32(3) {
			mustPut(t, h, g, "k", "v")
		}
		powerCut(h, drives...)

		drives[0].Disk.Damaged = true
		two := testConfig(t, 2, drives[0], drives[1])
		h, err := replica.Open(t.Context(), two)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := h.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a drive with a damaged log made a quorum: %v", err)
		}
		cancel()
		powerCut(h, drives...) // the damage is gone, but the drive must remember

		h, err = replica.Open(t.Context(), two)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		if err := h.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a drive whose log was replaced made a quorum: %v", err)
		}
		cancel()
		powerCut(h, drives...)

		h = mustOpen(t, testConfig(t, 2, drives...))
		missing := h.Missing(t.Context())
		if len(missing) != 3 {
			t.Fatalf("missing: %+v", missing)
		}
		moveAll(t, h, missing, func(m replica.MissingReplica) id.Drive { return m.Drive })
		waitSame(t, h, 2, 3, drives)
		powerCut(h, drives...)

		h = mustOpen(t, two) // now it counts
		for g := range uint32(3) {
			if got := mustGet(t, h, g, "k"); got != "v" {
				t.Errorf("group %d: read %q", g, got)
			}
		}
		mustClose(t, h)
	})
}

func TestReplicaThatFindsDamageStopsAndIsRebuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 1, drives...)
		cfg.Beginning = beginning(3, drives)
		var hit, panicked atomic.Bool
		cfg.Apply = func(s fsm.Store, group uint32, index uint64, cmd *metapb.Command) (*metapb.Result, error) {
			if cmd.GetKey() == "panic" && panicked.CompareAndSwap(false, true) {
				panic("as the test wants")
			}
			if cmd.GetKey() == "unlucky" && hit.CompareAndSwap(false, true) {
				return nil, fmt.Errorf("%w: as the test wants", fsm.ErrDamaged)
			}
			return testApply(s, group, index, cmd)
		}
		h := mustOpen(t, cfg)
		c, err := client.New(client.Config{Host: h})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, h, 1, "k", "v")
		if _, err := c.Apply(t.Context(), 1, put("unlucky", "v")); err != nil {
			t.Errorf("one bad replica failed a write: %v", err)
		}
		time.Sleep(5 * time.Second)
		missing := h.Missing(t.Context())
		if len(missing) != 1 {
			t.Fatalf("missing: %+v", missing)
		}
		moveAll(t, h, missing, func(m replica.MissingReplica) id.Drive { return m.Drive })
		waitSame(t, h, 1, 3, drives)
		if got := mustGet(t, h, 1, "unlucky"); got != "v" {
			t.Errorf("read %q", got)
		}
		if _, err := c.Apply(t.Context(), 1, put("panic", "v")); err != nil {
			t.Errorf("one replica that panicked failed a write: %v", err)
		}
		moveAll(t, h, h.Missing(t.Context()), func(m replica.MissingReplica) id.Drive { return m.Drive })
		waitSame(t, h, 1, 3, drives)
		mustClose(t, h)
	})
}

func TestWritesGoOnWhenTheLeadersDriveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(6)
		cfg := testConfig(t, 16, drives...)
		cfg.Beginning = beginning(5, drives)
		h := mustOpen(t, cfg)
		c, err := client.New(client.Config{Host: h})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var worst atomic.Int64
		stop := make(chan struct{})
		for w := range 16 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					start, g := time.Now(), uint32((w+i)%17)
					key, value := fmt.Sprint(w, "-", i), fmt.Sprint("v", i)
					if _, err := c.Apply(t.Context(), g, put(key, value)); err != nil {
						t.Errorf("write failed: %v", err)
					}
					if a, err := c.Ask(t.Context(), g, &metapb.Query{Key: key}); err != nil || parseRegister(a.GetMessage()).value != value {
						t.Errorf("read back %v, %v", a.GetMessage(), err)
					}
					if took := int64(time.Since(start)); took > worst.Load() {
						worst.Store(took)
					}
					time.Sleep(30 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		drives[0].Fail(errors.New("EIO"))
		time.Sleep(3 * time.Second)
		drives[3].Fail(errors.New("EIO"))
		time.Sleep(3 * time.Second)
		close(stop)
		wg.Wait()
		t.Logf("the longest wait was %v", time.Duration(worst.Load()))
		if worst.Load() > int64(time.Second) {
			t.Errorf("fail-over took %v", time.Duration(worst.Load()))
		}
		for g, d := range h.Leaders() {
			if d == drives[0].ID || d == drives[3].ID || d.IsZero() {
				t.Errorf("group %d is led by %s", g, d)
			}
		}
		mustClose(t, h)
	})
}

func TestNobodyWaitsForeverWithoutAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1, 3, 3, 1)
		time.Sleep(5 * time.Second)
		var lead *replica.Host
		var at int
		for i := range s.hosts {
			if d := s.host(i).Leaders()[1]; !d.IsZero() {
				lead, at = s.host(i), i
			}
		}
		s.isolate(at)
		start := time.Now()
		_, err := lead.Propose(t.Context(), 1, encode(put("k", "v")))
		var u *replica.UnknownError
		if !errors.As(err, &u) {
			t.Errorf("a proposal without a quorum: %v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v to say so", took)
		}
		if _, err := lead.Ask(t.Context(), 1, &metapb.Query{Key: "k"}); !errors.Is(err, replica.ErrNotLeader) {
			t.Errorf("a read without a quorum: %v", err)
		}
		// The others have a leader by now, and can tell that it never happened.
		for i := range s.hosts {
			if i == at || s.host(i).Leaders()[1].IsZero() {
				continue
			}
			if res, known, err := s.host(i).Outcome(t.Context(), u); res != nil || !known || err != nil {
				t.Errorf("outcome: %v, %v, %v", res, known, err)
			}
		}
		s.close()
	})
}

func TestReadsWithoutAQuorumFailToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1, 3, 3, 1)
		time.Sleep(5 * time.Second)
		for i := range s.hosts {
			s.isolate(i)
		}
		var wg sync.WaitGroup
		for i := range s.hosts {
			for range 3 {
				wg.Go(func() {
					start := time.Now()
					if _, err := s.host(i).Ask(t.Context(), 1, &metapb.Query{Key: "k"}); err == nil {
						t.Error("a read was answered without a quorum")
					}
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("a read hung for %v", took)
					}
				})
			}
		}
		wg.Wait()
		s.close()
	})
}

func TestEffectsThatFillATransactionAreSplitBetweenEntries(t *testing.T) {
	drives := testDrives(3)
	for _, d := range drives {
		d.KV.Limit = 6000
	}
	cfg := testConfig(t, 1, drives...)
	cfg.Beginning = beginning(3, drives)
	h := mustOpen(t, cfg)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			c := put(fmt.Sprint(i), "v")
			c.GetPutVersion().Manifest.Size = uint64(i * 25) // up to nearly a transaction by itself
			if _, err := h.Propose(t.Context(), 1, encode(c)); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if a, err := h.Ask(t.Context(), 1, &metapb.Query{Key: "#count"}); err != nil || a.GetMessage() != "200" {
		t.Errorf("%v entries applied, %v", a.GetMessage(), err)
	}
	waitSame(t, h, 1, 3, drives)
	mustClose(t, h)
}

func TestLogIsCutAndRestartsFromWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		for _, d := range drives {
			d.Disk.SegmentBytes, d.KV.AutoFlush = 64<<10, 10
		}
		cfg := testConfig(t, 3, drives...)
		cfg.Beginning = beginning(3, drives)
		cfg.KeepEntries, cfg.LogBytes = 20, 512<<10
		h := mustOpen(t, cfg)
		mustPut(t, h, 0, "idle", "since the beginning") // pins the first segment
		value := strings.Repeat("x", 300)
		for i := range 6000 {
			mustPut(t, h, 1, fmt.Sprint(i%50), value)
			time.Sleep(5 * time.Millisecond)
		}
		for _, d := range h.Status(t.Context()).Drives {
			if d.LogBytes > 800<<10 {
				t.Errorf("the log still has %d bytes", d.LogBytes)
			}
		}
		for range 3 {
			powerCut(h, drives...)
			h = mustOpen(t, cfg)
			if got := mustGet(t, h, 0, "idle"); got != "since the beginning" {
				t.Errorf("read %q", got)
			}
			if got := mustGet(t, h, 1, "7"); got != value {
				t.Errorf("read %q", got)
			}
			if a, err := h.Ask(t.Context(), 1, &metapb.Query{Key: "#count"}); err != nil || a.GetMessage() != "6000" {
				t.Errorf("%v entries applied, %v", a.GetMessage(), err)
			}
			waitSame(t, h, 3, 3, drives)
		}
		mustClose(t, h)
	})
}

func TestInterruptedBeginningIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 1, drives[0]) // as if the process ended before the others
		cfg.Beginning = beginning(3, drives)
		b, err := replica.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		powerCut(b, drives...)
		cfg = testConfig(t, 1, drives...)
		cfg.Beginning = beginning(3, drives)
		h := mustOpen(t, cfg)
		mustPut(t, h, 1, "k", "v")
		mustClose(t, h)
	})
}

func TestReplicaThatCannotReadItsStateHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 1, drives...)
		cfg.Beginning = beginning(3, drives)
		var bad atomic.Pointer[id.Drive]
		var h *replica.Host
		cfg.Answer = func(r fsm.Reader, group uint32, q *metapb.Query) (*metapb.Answer, error) {
			if b := bad.Load(); b != nil && h.Leaders()[group] == *b {
				return nil, fmt.Errorf("%w: as the test wants", fsm.ErrDamaged)
			}
			return testAnswer(r, group, q)
		}
		h = mustOpen(t, cfg)
		c, err := client.New(client.Config{Host: h})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, h, 1, "k", "v")
		lead := h.Leaders()[1]
		bad.Store(&lead)
		if a, err := c.Ask(t.Context(), 1, &metapb.Query{Key: "k"}); err != nil || parseRegister(a.GetMessage()).value != "v" {
			t.Errorf("read %v, %v", a, err)
		}
		missing := h.Missing(t.Context())
		if len(missing) != 1 || missing[0].Drive != lead {
			t.Fatalf("missing: %+v", missing)
		}
		moveAll(t, h, missing, func(m replica.MissingReplica) id.Drive { return m.Drive })
		mustClose(t, h)
	})
}

func TestManyLargeCommandsAtOnceFitIntoRecords(t *testing.T) {
	drives := testDrives(3)
	cfg := testConfig(t, 1, drives...)
	cfg.Beginning = beginning(3, drives)
	h := mustOpen(t, cfg)
	var wg sync.WaitGroup
	value := strings.Repeat("v", 300_000)
	for i := range 45 {
		wg.Go(func() {
			if _, err := h.Propose(t.Context(), 1, encode(put(fmt.Sprint(i), value))); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if _, err := h.Propose(t.Context(), 1, encode(put("largest", strings.Repeat("v", replica.MaxCommand-100)))); err != nil {
		t.Error(err)
	}
	waitSame(t, h, 1, 3, drives)
	powerCut(h, drives...)
	h = mustOpen(t, cfg)
	for i := range 45 {
		if got := mustGet(t, h, 1, fmt.Sprint(i)); got != value {
			t.Errorf("key %d: %d bytes", i, len(got))
		}
	}
	mustClose(t, h)
}

func TestGroupIsFullWhenMostOfItsDrivesAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 1, drives...)
		cfg.Beginning = beginning(3, drives)
		var full [3]atomic.Bool
		for i := range cfg.Drives {
			cfg.Drives[i].Full = full[i].Load
		}
		h := mustOpen(t, cfg)
		for _, c := range []struct {
			drives []int
			want   bool
		}{{nil, false}, {[]int{0}, false}, {[]int{0, 2}, true}, {[]int{2}, false}} {
			for i := range full {
				full[i].Store(slices.Contains(c.drives, i))
			}
			time.Sleep(3 * time.Second)
			if h.Full(1) != c.want {
				t.Errorf("full drives %v: group full %v", c.drives, h.Full(1))
			}
		}
		mustClose(t, h)
	})
}
