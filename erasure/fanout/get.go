package fanout

import (
	"context"
	"sync"
	"time"

	"holdfast/erasure"
	"holdfast/internal/kind"
)

// get is one read, or the reading half of a rebuild.
type get struct {
	f      *Fanout
	ref    Ref
	layout erasure.Layout
	codec  *erasure.Codec
	ctx    context.Context // of the drives' calls; ends with the Get
	wake   chan struct{}
	timer  *time.Timer
	delay  time.Duration // before spares are asked
	idle   *gather       // to be used again

	mu      sync.Mutex
	shards  []source
	budget  *budget // that buffers are charged to
	room    int64   // bytes granted for one stripe
	granted int64   // bytes granted in all
	cur     *gather // what the sink gets now
	next    *gather // what is fetched meanwhile; or nil
	lent    int     // data block that the sink has; -1 when it has none
	stalled bool    // the sink took too long: cur and next are gone but for what it has
}

// Get reads bytes [off, off+n) of the data and hands them to sink in order, in pieces of up to a
// block. sink may change a piece but not keep it; its error ends the read and is returned. While
// sink runs, the next stripe is fetched. Bytes that cannot be read are decoded from other shards;
// nothing unverified is handed on.
func (f *Fanout) Get(ctx context.Context, ref Ref, off, n int64, sink func(b []byte) error) error {
	if err := ref.validate(); err != nil {
		return err
	}
	if off < 0 || n < 0 || off > ref.Layout.Length-n {
		return kind.New(kind.InvalidRange, "fanout: read %s: no bytes [%d, %d+%d) in %d", ref.Data, off, off, n, ref.Layout.Length)
	}
	if n == 0 {
		return nil
	}
	g, stop, err := f.newGet(ctx, ref)
	if err != nil {
		return err
	}
	defer stop()
	g.weigh()
	if n >= ref.Layout.StripeLen() {
		g.preferNear()
	}
	for pos, end := off, off+n; pos < end; {
		if pos, err = g.stream(ctx, pos, end, sink); err == nil || err != errStalled {
			return err
		}
		if pos, err = g.trickle(ctx, pos, end, sink); err != nil {
			return err
		}
	}
	return nil
}

// plan wants the range [off, end) of the data.
func (g *get) plan(off, end int64) func(*gather) {
	return func(st *gather) {
		for i := range g.layout.K {
			from, to := g.layout.Span(st.n, i, off, end)
			st.want[i] = span{from, to}
		}
	}
}

func (f *Fanout) newGet(ctx context.Context, ref Ref) (*get, func(), error) {
	codec, err := f.codecs.Get(ref.Layout.Scheme)
	if err != nil {
		return nil, nil, err
	}
	g := &get{f: f, ref: ref, layout: ref.Layout, codec: codec, wake: make(chan struct{}, 1), delay: f.cfg.HedgeFirst, budget: f.gets, lent: -1}
	ctx, cancel := context.WithCancel(ctx)
	g.ctx = ctx
	g.open()
	return g, func() {
		cancel()
		if g.timer != nil {
			g.timer.Stop()
		}
	}, nil
}

// each reads stripes first to last, as plan wants them, and hands them to use in order. Memory for
// the first stripe is waited for; a second one is in flight only while there is memory to spare,
// so that a read that has begun never waits for another one to end.
func (g *get) each(ctx context.Context, first, last int, plan func(*gather), use func(*gather) error) error {
	cur := g.prepare(first, plan)
	room := cur.bytes()
	if last > first {
		g.idle = g.prepare(first+1, plan)
		room = max(room, g.idle.bytes())
	}
	if err := g.reserve(ctx, room); err != nil {
		return err
	}
	defer g.giveBack()
	g.begin(cur)
	for n, ahead := first, false; ; n++ {
		if err := g.await(ctx, cur); err != nil {
			cur.release()
			return err
		}
		var next *gather
		if n < last && (ahead || g.f.gets.try(room)) {
			next = g.prepare(n+1, plan)
			g.mu.Lock()
			if !ahead {
				ahead = true
				g.granted += room
			}
			next.start()
			g.mu.Unlock()
		}
		err := cur.settle()
		if err == nil {
			g.mu.Lock()
			g.cur, g.next = cur, next
			g.mu.Unlock()
			err = use(cur)
		}
		cur.release()
		g.idle = cur // reads that are still under way do not look at it any more
		if err != nil || n == last {
			if next != nil {
				next.release()
			}
			return err
		}
		if next == nil {
			next = g.prepare(n+1, plan)
			g.begin(next)
		}
		cur = next
	}
}

// reserve waits for the memory of one stripe.
func (g *get) reserve(ctx context.Context, room int64) error {
	g.mu.Lock()
	granted := g.granted
	g.room = room
	g.mu.Unlock()
	if granted >= room {
		return nil
	}
	if err := g.f.gets.acquire(ctx, room-granted); err != nil {
		return err
	}
	g.mu.Lock()
	g.granted = room
	g.mu.Unlock()
	return nil
}

func (g *get) giveBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.f.gets.release(g.granted)
	g.granted = 0
}

func (g *get) prepare(n int, plan func(*gather)) *gather {
	st := g.idle
	if g.idle = nil; st == nil {
		st = new(gather)
	}
	*st = gather{g: g, n: n, size: g.layout.BlockSize(n)}
	st.reads = st.few[:0]
	plan(st)
	return st
}

// bytes is the buffers that a stripe needs while nothing goes wrong.
func (st *gather) bytes() int64 {
	if st.quota > 0 {
		return int64(st.quota) * classBytes(classFor(st.size))
	}
	sum := int64(0)
	for _, w := range st.want {
		if !w.empty() {
			sum += classBytes(classFor(w.to - w.from))
		}
	}
	return sum
}

func (g *get) begin(st *gather) {
	g.mu.Lock()
	st.start()
	g.mu.Unlock()
}

func (g *get) notify() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// await waits until a stripe is ready and asks for spares when reads are late.
func (g *get) await(ctx context.Context, st *gather) error {
	for {
		g.mu.Lock()
		ready := st.ready()
		var next time.Duration
		if !ready {
			next = st.hedge(g.delay)
		}
		g.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-g.wake:
		case <-g.alarm(next):
		case <-ctx.Done():
			return kind.Wrap(kind.Canceled, ctx.Err(), "fanout: read %s", g.ref.Data)
		}
	}
}

// alarm fires after d; never when d is 0.
func (g *get) alarm(d time.Duration) <-chan time.Time {
	switch {
	case d == 0:
		return nil
	case g.timer == nil:
		g.timer = time.NewTimer(d)
	default:
		g.timer.Reset(d)
	}
	return g.timer.C
}
