package fanout

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// PutSpec says what to write where.
type PutSpec struct {
	Data     id.Data
	Scheme   erasure.Scheme
	BlockLen int        // bytes of a full block; 0 means erasure.BlockLen(Scheme.K)
	Length   int64      // bytes that src yields
	Drives   []id.Drive // one a shard; zero where there is none
	Spares   []id.Drive // taken in order for drives that are missing or fail in time
	// Margin is how many shards beyond K must be durable: at least 1 and at most M, but for M = 0.
	Margin int
	// Inspect, if set, sees the bytes of src in order, on one goroutine which is not that of Put's
	// caller while that reads. It has returned for the last time before Put returns. It must not
	// change or keep what it is given.
	Inspect func(data []byte)
}

func (s *PutSpec) validate() (erasure.Layout, error) {
	l := erasure.Layout{Scheme: s.Scheme, BlockLen: s.BlockLen, Length: s.Length}
	if l.BlockLen == 0 && s.Scheme.K > 0 {
		l.BlockLen = erasure.BlockLen(s.Scheme.K)
	}
	if err := l.Validate(); err != nil {
		return l, fmt.Errorf("fanout: put: %w", err)
	}
	if len(s.Drives) != s.Scheme.Shards() {
		return l, fmt.Errorf("fanout: put: %d drives for %s", len(s.Drives), s.Scheme)
	}
	if s.Margin < min(1, s.Scheme.M) || s.Margin > s.Scheme.M {
		return l, fmt.Errorf("fanout: put: a margin of %d for %s", s.Margin, s.Scheme)
	}
	return l, nil
}

// put is one write under way. The caller's goroutine reads stripes, one goroutine a shard writes
// them; a write of several stripes has one goroutine that encodes besides.
type put struct {
	f      *Fanout
	spec   PutSpec
	layout erasure.Layout
	codec  *erasure.Codec
	total  int // stripes
	quorum int // shards that must be durable
	class  int // of the block buffers
	began  time.Time
	ctx    context.Context // of the drives' calls; ends with the Put
	cancel context.CancelFunc

	wake    chan struct{} // something changed for the caller
	helpers sync.WaitGroup

	mu       sync.Mutex
	encode   sync.Cond // the encoder waits for a stripe
	inspect  sync.Cond // the inspector waits for bytes
	work     sync.Cond // shards wait for an encoded stripe
	stripes  []*stripe // in flight, at most Config.StripesInFlight
	filled   int       // stripes read
	encoded  int       // stripes encoded
	readable int64     // bytes that may be inspected
	seen     int64     // bytes inspected
	shards   []shard
	spares   []id.Drive
	over     bool // no block may be touched and nothing committed any more
	stop     bool // helpers end early
	failed   bool // the write has: nobody will name its shards
	err      error
	lagged   time.Duration // how long the caller waited for slow drives in all
	running  int           // shards whose goroutine has not ended
	doubtful []doubt
}

// Put reads exactly spec.Length bytes from src and writes them as shards. It returns the drive of
// each shard, zero where the shard is missing. Either at least K+Margin shards are durable, or an
// error says why not and the shards are aborted or deleted. src is read on the caller's goroutine
// and not before memory for it was granted.
func (f *Fanout) Put(ctx context.Context, spec PutSpec, src io.Reader) ([]id.Drive, error) {
	layout, err := spec.validate()
	if err != nil {
		return nil, err
	}
	codec, err := f.codecs.Get(spec.Scheme)
	if err != nil {
		return nil, err
	}
	p := &put{
		f: f, spec: spec, layout: layout, codec: codec, total: layout.Stripes(),
		quorum: spec.Scheme.K + spec.Margin, began: time.Now(), wake: make(chan struct{}, 1),
		shards: make([]shard, spec.Scheme.Shards()), spares: spec.Spares,
	}
	p.encode.L, p.inspect.L, p.work.L = &p.mu, &p.mu, &p.mu
	for i := range p.shards {
		p.shards[i].next = spec.Drives[i]
	}
	if p.total > 0 {
		p.class = classFor(layout.BlockSize(0))
		if err := f.puts.acquire(ctx, p.stripeBytes()); err != nil {
			return nil, err
		}
		p.stripes = append(make([]*stripe, 0, f.cfg.StripesInFlight), f.newStripe(len(p.shards), p.class))
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	defer p.cancel()
	if p.total <= 1 {
		err = p.single(src)
	} else {
		err = p.stream(ctx, src)
	}
	if err == nil {
		err = p.wait(ctx)
	}
	return p.finish(ctx, err)
}

func (p *put) stripeBytes() int64 { return int64(len(p.shards)) * classBytes(p.class) }

// single writes data of at most one stripe: it is read and encoded before any drive is asked, and
// the caller's goroutine, with nothing more to read, inspects it.
func (p *put) single(src io.Reader) error {
	if p.total == 1 {
		st := p.stripes[0]
		st.begin(0, p.layout.StripeData(0), p.layout.BlockSize(0))
		if err := st.fill(src, p.spec.Scheme.K, func(int) {}); err != nil {
			return bodyError(err)
		}
		if err := p.codec.Encode(st.blocks()); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.filled, p.encoded, p.readable, p.seen = p.total, p.total, p.layout.Length, p.layout.Length
	p.mu.Unlock()
	p.startShards()
	if p.spec.Inspect != nil {
		for i := 0; p.total == 1 && i < p.spec.Scheme.K; i++ {
			if data := p.stripes[0].data(i); len(data) > 0 {
				p.spec.Inspect(data)
			}
		}
	}
	return nil
}

// stream writes data of several stripes: stripe n+1 is read while stripe n is encoded, inspected
// and written.
func (p *put) stream(ctx context.Context, src io.Reader) error {
	p.startShards()
	p.helpers.Add(1)
	go p.runEncoder()
	if p.spec.Inspect != nil {
		p.helpers.Add(1)
		go p.runInspector()
	}
	filled := func(bytes int) {
		if p.spec.Inspect == nil {
			return
		}
		p.mu.Lock()
		p.readable += int64(bytes)
		p.inspect.Signal()
		p.mu.Unlock()
	}
	for n := range p.total {
		st, err := p.take(ctx, n)
		if err != nil {
			return err
		}
		if err := st.fill(src, p.spec.Scheme.K, filled); err != nil {
			return bodyError(err)
		}
		p.mu.Lock()
		p.filled++
		p.encode.Signal()
		p.mu.Unlock()
	}
	return nil
}

func bodyError(err error) error { return fmt.Errorf("fanout: read the data: %w", err) }

func (p *put) startShards() {
	p.f.background.Add(len(p.shards))
	p.running = len(p.shards)
	for i := range p.shards {
		go p.run(i)
	}
}

// take finds buffers for stripe n: new ones while the budget has some to spare, else those of a
// stripe that every live shard has written. A write keeps what it was granted until it ends, so a
// write that has begun never waits for another.
func (p *put) take(ctx context.Context, n int) (*stripe, error) {
	var lag lagWatch
	defer lag.stop()
	for {
		p.mu.Lock()
		if err := p.fatal(); err != nil {
			p.mu.Unlock()
			return nil, err
		}
		st := p.idle(n)
		if st == nil {
			// Only a drive that is slower than a quorum of the others counts as lagging.
			lag.watch(p.lagging())
			if lag.on() && p.patience(lag.since()) <= 0 {
				tail := p.tail()
				p.abandon(func(s *shard) bool { return s.pos <= tail })
				st = p.idle(n)
			}
		}
		if st != nil {
			p.lagged += lag.since()
			p.reclaim(st)
			st.begin(n, p.layout.StripeData(n), p.layout.BlockSize(n))
			p.mu.Unlock()
			return st, nil
		}
		left := p.patience(lag.since())
		p.mu.Unlock()
		if err := lag.wait(ctx, p.wake, left); err != nil {
			return nil, err
		}
	}
}

// idle is a stripe whose buffers nobody uses any more, or a new one; nil when there is none now.
func (p *put) idle(n int) *stripe {
	if n == 0 {
		return p.stripes[0]
	}
	if len(p.stripes) < p.f.cfg.StripesInFlight && p.f.puts.try(p.stripeBytes()) {
		st := p.f.newStripe(len(p.shards), p.class)
		p.stripes = append(p.stripes, st)
		return st
	}
	tail := min(p.tail(), p.used())
	for _, st := range p.stripes {
		if st.n < tail {
			return st
		}
	}
	return nil
}

// used is the number of stripes that encoder and inspector are done with.
func (p *put) used() int {
	if p.spec.Inspect == nil {
		return p.encoded
	}
	return min(p.encoded, int(p.seen/p.layout.StripeLen()))
}

// find is the stripe in flight with number n.
func (p *put) find(n int) *stripe {
	for _, st := range p.stripes {
		if st.n == n {
			return st
		}
	}
	panic("fanout: a stripe was taken back while it was needed")
}

func (p *put) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *put) runEncoder() {
	defer p.helpers.Done()
	for n := range p.total {
		p.mu.Lock()
		for p.filled <= n && !p.stop {
			p.encode.Wait()
		}
		if p.stop {
			p.mu.Unlock()
			return
		}
		st := p.find(n)
		p.mu.Unlock()
		err := p.codec.Encode(st.blocks())
		p.mu.Lock()
		if err != nil {
			p.err, p.stop = err, true
			p.notify()
			p.mu.Unlock()
			return
		}
		p.encoded++
		p.work.Broadcast()
		p.mu.Unlock()
	}
}

func (p *put) runInspector() {
	defer p.helpers.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.seen < p.layout.Length {
		for p.seen == p.readable && !p.stop {
			p.inspect.Wait()
		}
		if p.stop {
			return
		}
		n := p.layout.Stripe(p.seen)
		st := p.find(n)
		at := int(p.seen - int64(n)*p.layout.StripeLen())
		data := st.data(at / st.size)[at%st.size:]
		data = data[:min(int64(len(data)), p.readable-p.seen)]
		p.mu.Unlock()
		p.spec.Inspect(data)
		p.mu.Lock()
		p.seen += int64(len(data))
		if p.seen%p.layout.StripeLen() == 0 {
			p.notify()
		}
	}
}

// shardName names shard i.
func (p *put) shardName(i int) node.Shard { return node.Shard{Data: p.spec.Data, Index: uint8(i)} }

// shortage is the error of a write that too few drives took part in.
func (p *put) shortage() error {
	k, causes := kind.Full, 0
	var last error
	for i := range p.shards {
		if err := p.shards[i].err; err != nil {
			causes++
			last = err
			if !kind.Is(err, kind.Full) {
				k = kind.Unavailable
			}
		}
	}
	if causes == 0 {
		k = kind.Unavailable
	}
	return kind.Wrap(k, last, "fanout: write %s: fewer than %d of %d shards could be stored", p.spec.Data, p.quorum, len(p.shards))
}
