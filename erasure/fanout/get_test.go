package fanout

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/nodetest"
)

// defaultHedge restores the real bounds of hedging; only where the clock is a test's own.
func defaultHedge(c *Config) { c.HedgeMin, c.HedgeMax, c.HedgeFirst = 0, 0, 0 }

func (r *rig) reads() []int {
	n := make([]int, len(r.drives))
	for i, d := range r.drives {
		n[i] = d.Calls(nodetest.Read)
	}
	return n
}

// TestARangeReadsOnlyItsBlocks counts the reads of each drive.
func TestARangeReadsOnlyItsBlocks(t *testing.T) {
	r := newRig(t, 6, nil)
	data := randomBytes(3*4*tiny-50, 1) // last stripe: blocks of ceil(142/4) = 36
	ref := r.put(r.small(scheme42, len(data)), data)
	for _, c := range []struct {
		off, n int64
		want   [6]int
	}{
		{0, 1, [6]int{1}},
		{tiny - 1, 1, [6]int{1}},
		{tiny, tiny, [6]int{0, 1}},
		{tiny - 1, 2, [6]int{1, 1}},
		{0, 4 * tiny, [6]int{1, 1, 1, 1}},
		{4*tiny - 1, 2, [6]int{1, 0, 0, 1}},
		{8*tiny + 36, 36, [6]int{0, 1}},
		{int64(len(data)) - 1, 1, [6]int{0, 0, 0, 1}},
		{0, int64(len(data)), [6]int{3, 3, 3, 3}},
		{5, 0, [6]int{}},
	} {
		before := r.reads()
		got, err := r.get(ref, c.off, c.n)
		if err != nil || !bytes.Equal(got, data[c.off:c.off+c.n]) {
			t.Fatalf("range %d+%d: wrong bytes or %v", c.off, c.n, err)
		}
		for i, n := range r.reads() {
			if n-before[i] != c.want[i] {
				t.Errorf("range %d+%d: %d reads of shard %d, want %d", c.off, c.n, n-before[i], i, c.want[i])
			}
		}
	}
}

// TestADegradedRangeReadsEachBlockOnce: where decoding is needed, what is read directly is read so
// that it serves for decoding too.
func TestADegradedRangeReadsEachBlockOnce(t *testing.T) {
	r := newRig(t, 6, nil)
	data := randomBytes(4*tiny, 1)
	ref := r.put(r.small(scheme42, len(data)), data)
	ref.Drives[1] = id.Drive{}
	before := r.reads()
	got, err := r.get(ref, tiny-5, tiny+20)
	if err != nil || !bytes.Equal(got, data[tiny-5:2*tiny+15]) {
		t.Fatalf("wrong bytes or %v", err)
	}
	sum := 0
	for i, n := range r.reads() {
		if n -= before[i]; n > 1 {
			t.Errorf("%d reads of shard %d", n, i)
		}
		sum += n
	}
	if sum != 4 {
		t.Errorf("%d reads", sum)
	}
}

// TestAMissingDriveIsNotAsked: what is known to be missing costs no delay and no report.
func TestAMissingDriveIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, func(c *Config) {
			defaultHedge(c)
			c.OnDamage = func(s node.Shard, _ id.Drive, _ error) { t.Errorf("shard %d was reported", s.Index) }
		})
		data := randomBytes(3*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		ref.Drives[1] = id.Drive{}
		r.router.Remove(ref.Drives[3])
		start := time.Now()
		r.mustGet(ref, data)
		if time.Since(start) > 0 {
			t.Errorf("waited %v", time.Since(start))
		}
		if n := r.reads(); n[1] != 0 || n[3] != 0 || n[4] != 3 || n[5] != 3 {
			t.Errorf("reads %v", n)
		}
	})
}

// TestDamageIsReportedOnceARequest although it is met in every stripe.
func TestDamageIsReportedOnceARequest(t *testing.T) {
	reports := make(chan node.Shard, 100)
	r := newRig(t, 6, func(c *Config) { c.OnDamage = func(s node.Shard, _ id.Drive, _ error) { reports <- s } })
	data := randomBytes(8*4*tiny, 1)
	ref := r.put(r.small(scheme42, len(data)), data)
	r.drives[0].Zero(shardOf(ref, 0))
	r.drives[2].Drop(shardOf(ref, 2))
	for n := 1; n <= 2; n++ {
		r.mustGet(ref, data)
		r.f.Close()
		if len(reports) != 2*n {
			t.Errorf("%d reports after %d reads", len(reports), n)
		}
	}
}

// TestASlowDriveIsHedged: a drive that hangs costs one hedge delay, not more, however many stripes;
// and once that is known, nothing.
func TestASlowDriveIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, defaultHedge)
		for i, d := range r.drives {
			d.Slow(nodetest.Read, time.Duration(900+100*i)*time.Microsecond)
		}
		data := randomBytes(20*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		for range 5 {
			r.mustGet(ref, data)
		}
		healthy := r.timed(func() { r.mustGet(ref, data) })
		if s := r.f.Stats(); s.Hedged != 0 {
			t.Errorf("hedged without need: %+v", s)
		}
		r.drives[1].Slow(nodetest.Read, 10*time.Second)
		first := r.timed(func() { r.mustGet(ref, data) })
		if first > healthy+20*time.Millisecond {
			t.Errorf("the first read took %v, a healthy one %v", first, healthy)
		}
		worst := time.Duration(0)
		for range 100 {
			worst = max(worst, r.timed(func() { r.mustGet(ref, data) }))
		}
		if worst > healthy+20*time.Millisecond {
			t.Errorf("the worst read took %v, a healthy one %v", worst, healthy)
		}
		if s := r.f.Stats(); s.Hedged > 30 {
			t.Errorf("a drive known to be slow was waited for again and again: %+v", s)
		}
		r.drives[1].Slow(nodetest.Read, time.Millisecond)
		for range 800 {
			r.mustGet(ref, data)
		}
		before := r.reads()[1]
		r.mustGet(ref, data)
		if n := r.reads()[1] - before; n != 20 {
			t.Errorf("a drive that recovered is asked for %d of 20 blocks", n)
		}
		r.f.Close()
	})
}

func (r *rig) timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// TestAtMostMSparesAStripe when everything is slow.
func TestAtMostMSparesAStripe(t *testing.T) {
	for _, scheme := range []erasure.Scheme{{K: 1}, {K: 1, M: 2}, {K: 4, M: 2}, {K: 3, M: 1}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, scheme.Shards(), defaultHedge)
			for _, d := range r.drives {
				d.Slow(nodetest.Read, time.Minute)
			}
			data := randomBytes(scheme.K*tiny, 1)
			ref := r.put(r.small(scheme, len(data)), data)
			r.mustGet(ref, data)
			sum := 0
			for _, n := range r.reads() {
				sum += n
			}
			if sum > scheme.Shards() {
				t.Errorf("%s: %d reads", scheme, sum)
			}
			r.f.Close()
		})
	}
}

// TestAnErrorIsAnsweredAtOnce: no hedge delay before the parity is asked.
func TestAnErrorIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, defaultHedge)
		data := randomBytes(5*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		r.drives[0].Fail(nodetest.Read, errEIO, 0)
		r.drives[3].Flip(shardOf(ref, 3), 2, 2)
		if took := r.timed(func() { r.mustGet(ref, data) }); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

// TestTheNextStripeIsFetchedWhileTheSinkRuns.
func TestTheNextStripeIsFetchedWhileTheSinkRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		for _, d := range r.drives {
			d.Slow(nodetest.Read, 10*time.Millisecond)
		}
		data := randomBytes(10*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		took := r.timed(func() {
			err := r.f.Get(context.Background(), ref, 0, int64(len(data)), func([]byte) error {
				time.Sleep(2500 * time.Microsecond) // four times a stripe
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		if took != 110*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheSinksErrorEndsTheRead(t *testing.T) {
	r := newRig(t, 6, nil)
	data := randomBytes(10*4*tiny, 1)
	ref := r.put(r.small(scheme42, len(data)), data)
	full, calls := errors.New("the client left"), 0
	err := r.f.Get(context.Background(), ref, 0, int64(len(data)), func([]byte) error {
		if calls++; calls == 6 {
			return full
		}
		return nil
	})
	if err != full || calls != 6 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	r.f.Close()
	if s := r.f.Stats(); s.GetBytes+s.HeldBytes != 0 {
		t.Errorf("%+v", s)
	}
}

func TestACanceledReadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var damage atomic.Int32
		r := newRig(t, 6, func(c *Config) { c.OnDamage = func(node.Shard, id.Drive, error) { damage.Add(1) } })
		data := randomBytes(10*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		for _, d := range r.drives {
			d.Slow(nodetest.Read, time.Hour)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := r.f.Get(ctx, ref, 0, 5, func([]byte) error { return nil })
		if !kind.Is(err, kind.Canceled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		r.f.Close()
		if s := r.f.Stats(); s.GetBytes+s.HeldBytes != 0 || damage.Load() != 0 {
			t.Errorf("%+v, %d reports", s, damage.Load())
		}
	})
}

func TestImpossibleReadsAreRefused(t *testing.T) {
	r := newRig(t, 6, nil)
	ref := r.put(r.small(scheme42, 100), make([]byte, 100))
	for _, c := range [][2]int64{{-1, 1}, {0, 101}, {100, 1}, {0, -1}, {1 << 62, 1 << 62}} {
		if _, err := r.get(ref, c[0], c[1]); !kind.Is(err, kind.InvalidRange) {
			t.Errorf("range %v: %v", c, err)
		}
	}
	ref.Drives = ref.Drives[:5]
	if _, err := r.get(ref, 0, 1); !kind.Is(err, kind.Damaged) {
		t.Error(err)
	}
}

// TestALateReadTouchesNobodysBytes: a drive hangs, its read is given up, and when it ends at last
// other requests use their buffers.
func TestALateReadTouchesNobodysBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, defaultHedge)
		data, other := randomBytes(3*4*tiny, 1), randomBytes(3*4*tiny, 2)
		ref, refOther := r.put(r.small(scheme42, len(data)), data), r.put(r.small(scheme42, len(other)), other)
		for range 20 {
			release := r.drives[1].Hang(nodetest.Read)
			r.mustGet(ref, data)
			hidden := refOther
			hidden.Drives = append([]id.Drive(nil), refOther.Drives...)
			hidden.Drives[1] = id.Drive{}
			var out bytes.Buffer
			err := r.f.Get(context.Background(), hidden, 0, int64(len(other)), func(b []byte) error {
				if release != nil {
					release()
					release = nil
				}
				synctest.Wait() // the late reads fill their buffers now
				out.Write(b)
				return nil
			})
			if err != nil || !bytes.Equal(out.Bytes(), other) {
				t.Fatalf("wrong bytes or %v", err)
			}
		}
		r.f.Close()
		if s := r.f.Stats(); s.GetBytes+s.HeldBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}
