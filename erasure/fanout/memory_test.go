package fanout

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/erasure"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/nodetest"
)

func TestEveryBlockSizeHasABuffer(t *testing.T) {
	var p blockPool
	sizes := []int{1, 64, 4096 - node.BlockTrailer, 4096 - node.BlockTrailer + 1, node.MaxBlockLen}
	for k := 1; k <= 16; k++ {
		sizes = append(sizes, erasure.BlockLen(k))
	}
	for _, size := range sizes {
		b := p.get(classFor(size))
		buf := b.buf[:size]
		if !node.Aligned(buf) {
			t.Errorf("%d bytes: not aligned, or no room for a trailer", size)
		}
		if int64(cap(buf)) != classBytes(b.class) {
			t.Errorf("%d bytes: %d are charged for %d", size, classBytes(b.class), cap(buf))
		}
		if size >= erasure.SealedChunk && size <= erasure.BlockLen(1) && cap(buf)-size > size/8 {
			for k := 1; k <= 16; k++ {
				if size == erasure.BlockLen(k) {
					t.Errorf("%d bytes waste a buffer of %d", size, cap(buf))
				}
			}
		}
		p.put(b)
	}
}

// TestTheBudgetIsFairAndExact: in order of arrival, never above the limit, nothing lost when
// waiters leave.
func TestTheBudgetIsFairAndExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10, 10)
		ctx, cancel := context.WithCancel(context.Background())
		if err := b.acquire(ctx, 10); err != nil || b.try(1) {
			t.Fatal("not exact")
		}
		var order []int
		left := make(chan error, 1)
		for i, n := range []int64{8, 1, 100} { // the last one wants more than there is
			go func() {
				if err := b.acquire(context.Background(), n); err != nil {
					t.Error(err)
				}
				order = append(order, i)
			}()
			synctest.Wait()
			if i == 0 {
				go func() { left <- b.acquire(ctx, 5) }()
				synctest.Wait()
			}
		}
		b.release(2)
		synctest.Wait()
		if len(order) != 0 || b.try(1) {
			t.Fatal("a small one overtook a large one")
		}
		cancel()
		if err := <-left; !kind.Is(err, kind.Canceled) {
			t.Fatal(err)
		}
		for i, n := range []int64{6, 8, 3} { // each lets one in
			b.release(n)
			synctest.Wait()
			if len(order) != i+1 || order[i] != i {
				t.Fatalf("order %v, %d in use", order, b.inUse())
			}
		}
		if b.inUse() != 100 {
			t.Fatalf("%d in use", b.inUse())
		}
		b.release(100)
		if b.inUse() != 0 || !b.try(10) {
			t.Fatal("something is lost")
		}
	})
}

// TestAWaiterThatIsServedAndLeavesGivesBack: both can happen at once.
func TestAWaiterThatIsServedAndLeavesGivesBack(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(1, 1)
			b.force(1)
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- b.acquire(ctx, 1) }()
			synctest.Wait()
			cancel()
			b.release(1)
			if err := <-served; (err == nil) != (b.inUse() == 1) {
				t.Fatalf("%v, %d in use", err, b.inUse())
			}
		})
	}
}

// TestMemoryStaysBelowItsCap runs 64 writes and 64 reads at once through budgets of few stripes,
// with waits at random, and looks at every read of every body.
func TestMemoryStaysBelowItsCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		class := classBytes(classFor(tiny))
		const stripes = 5
		r := newRig(t, 6, func(c *Config) { c.MaxPutBytes, c.MaxGetBytes = stripes*6*class, stripes*4*class })
		for _, d := range r.drives {
			d.Slow(nodetest.Write, time.Millisecond)
			d.Slow(nodetest.Read, time.Millisecond)
		}
		var most, mostGet atomic.Int64
		look := func() {
			s := r.f.Stats()
			most.Store(max(most.Load(), s.PutBytes))
			mostGet.Store(max(mostGet.Load(), s.GetBytes))
			if s.HeldBytes > s.PutBytes+s.GetBytes+s.SlowBytes {
				t.Errorf("more is held than was granted: %+v", s)
			}
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		}
		var wg sync.WaitGroup
		for n := range 64 {
			data := randomBytes(1+n*97%(7*4*tiny), uint64(n))
			spec := r.small(scheme42, len(data))
			wg.Go(func() {
				drives, err := r.f.Put(context.Background(), spec, &watched{bytes.NewReader(data), look})
				if err != nil {
					t.Error(err)
					return
				}
				var out bytes.Buffer
				err = r.f.Get(context.Background(), spec.ref(drives), 0, spec.Length, func(b []byte) error {
					look()
					out.Write(b)
					return nil
				})
				if err != nil || !bytes.Equal(out.Bytes(), data) {
					t.Errorf("wrong bytes or %v", err)
				}
			})
		}
		wg.Wait()
		r.f.Close()
		if s := r.f.Stats(); s.PutBytes != 0 || s.GetBytes != 0 || s.HeldBytes != 0 {
			t.Errorf("still charged: %+v", s)
		}
		if m := most.Load(); m > stripes*6*class || m < 2*6*class {
			t.Errorf("writes used up to %d of %d bytes", m, stripes*6*class)
		}
		if m := mostGet.Load(); m > stripes*4*class || m < 2*4*class {
			t.Errorf("reads used up to %d of %d bytes", m, stripes*4*class)
		}
	})
}

type watched struct {
	io.Reader
	look func()
}

func (w *watched) Read(p []byte) (int, error) {
	w.look()
	return w.Reader.Read(p)
}

// TestCopiesDoNotDeadlock: a copy reads by Get what it writes by Put. With room for one stripe of
// each, and reads that begin before their write has any, all of them end.
func TestCopiesDoNotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		class := classBytes(classFor(tiny))
		r := newRig(t, 6, func(c *Config) { c.MaxPutBytes, c.MaxGetBytes = 6*class, 4*class })
		data := randomBytes(9*4*tiny, 1)
		src := r.put(r.small(scheme42, len(data)), data)
		var wg sync.WaitGroup
		for range 16 {
			spec := r.small(scheme42, len(data))
			wg.Go(func() {
				pr, pw := io.Pipe()
				go func() {
					pw.CloseWithError(r.f.Get(context.Background(), src, 0, spec.Length, func(b []byte) error {
						_, err := pw.Write(b)
						return err
					}))
				}()
				drives, err := r.f.Put(context.Background(), spec, pr)
				if err != nil {
					t.Error(err)
					return
				}
				r.mustGet(spec.ref(drives), data)
			})
		}
		wg.Wait()
	})
}
