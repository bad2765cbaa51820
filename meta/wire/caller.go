package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/meta/replica"
)

// How a request may end without an answer.
var (
	// errNotSent: it never left; nothing happened.
	errNotSent = errors.New("wire: the node was not reached")
	// errLost: it left, and the stream broke or the node kept silent: it may have happened.
	errLost = errors.New("wire: the node did not answer")
)

// caller sends requests to one node over one stream, and pairs the answers with them. Requests that
// come together go out together: whoever finds nobody writing writes for all.
type caller struct {
	address string
	cfg     *Config
	counts  *routerCounts
	life    context.Context
	open    func(ctx context.Context) (callStream, error)

	mu      sync.Mutex
	stream  *openCalls // nil: none
	opening bool
	queue   []*call // not sent
	pending map[uint64]*call
	number  uint64
	watched bool      // the watchdog will look
	owed    time.Time // since when the node has owed something, or had been heard of
	silent  bool
	// A node may be heard and not hear: what left is to be acknowledged.
	newest  uint64    // number of the newest request that left
	heard   uint64    // and that the node has told of
	unheard time.Time // since when that has not grown although there is more; zero: there is not
}

type callStream interface {
	Send(frame []byte) error
	Recv() ([]byte, error)
}

// openCalls is a stream in use.
type openCalls struct {
	callStream
	cancel context.CancelFunc
	// Guarded by the caller's mu: whether somebody writes, and since when the frame.
	writing bool
	began   time.Time
}

// call is a request under way.
type call struct {
	request
	want int        // answers that are still to come
	sent bool       // left the queue: it may have happened
	done chan reply // has room for all answers and one error
}

type reply struct {
	answer
	err error
}

// routerCounts is shared by the callers of a Router.
type routerCounts struct {
	requests, frames  atomic.Uint64 // sent
	searches, unknown atomic.Uint64
}

func newCaller(life context.Context, cfg *Config, counts *routerCounts, address string) *caller {
	c := &caller{address: address, cfg: cfg, counts: counts, life: life, pending: map[uint64]*call{}}
	c.open = func(ctx context.Context) (callStream, error) {
		s, err := openStream(ctx, cfg.Dialer.Conn(address), address, methodCalls)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	return c
}

// hung reports whether the node has owed answers for so long that others should be asked. What could
// not be taken back is withheld from it earlier: a node that is well is heard of often enough.
func (c *caller) hung(o op) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent || !o.again() && len(c.pending) > 0 && c.quiet() >= c.cfg.Silence/2
}

// quiet is how long the node has said nothing, or nothing that shows that it hears. The caller holds mu.
func (c *caller) quiet() time.Duration {
	quiet := time.Since(c.owed)
	if !c.unheard.IsZero() {
		quiet = max(quiet, time.Since(c.unheard))
	}
	return quiet
}

// hears notes that the node has got all requests up to a number. The caller holds mu.
func (c *caller) hears(number uint64) {
	switch {
	case number <= c.heard:
	case number >= c.newest:
		c.heard, c.unheard = number, time.Time{}
	default:
		c.heard, c.unheard = number, time.Now()
	}
}

// do sends a request and waits for its answer. Without one the error is, or wraps, errNotSent or errLost.
func (c *caller) do(ctx context.Context, r request) (answer, error) {
	var out answer
	err := c.doMany(ctx, r, 1, func(a answer) { out = a })
	return out, err
}

// doMany is do for a request that has several answers.
func (c *caller) doMany(ctx context.Context, r request, want int, visit func(answer)) error {
	r.timeout = maxTimeout
	if deadline, ok := ctx.Deadline(); ok {
		r.timeout = min(time.Until(deadline), maxTimeout)
	}
	if r.timeout <= 0 {
		return fmt.Errorf("%w: %w", errNotSent, context.DeadlineExceeded)
	}
	k := &call{request: r, want: want, done: make(chan reply, want+1)}
	if err := c.enqueue(k); err != nil {
		return err
	}
	for range want {
		select {
		case a := <-k.done:
			if a.err != nil {
				return a.err
			}
			visit(a.answer)
		case <-ctx.Done():
			return errors.Join(c.abandon(k), ctx.Err())
		}
	}
	return nil
}

func (c *caller) enqueue(k *call) error {
	c.mu.Lock()
	if len(c.pending) >= c.cfg.MaxCalls {
		c.mu.Unlock()
		return replica.ErrOverloaded
	}
	if len(c.pending) == 0 {
		c.owed = time.Now()
	}
	c.number++
	k.number = c.number
	c.pending[k.number] = k
	c.queue = append(c.queue, k)
	c.watch()
	if c.stream == nil {
		if !c.opening {
			c.opening = true
			go c.connect()
		}
		c.mu.Unlock()
		return nil
	}
	s := c.stream
	mine := !s.writing
	s.writing = true
	c.mu.Unlock()
	if mine {
		runtime.Gosched() // others who are about to ask go along
		c.write(s)
	}
	return nil
}

// abandon forgets a request whose caller has gone, and says whether it may have happened.
func (c *caller) abandon(k *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, k.number)
	if k.sent {
		return errLost
	}
	return errNotSent
}

// connect opens the stream, and writes what has gathered.
func (c *caller) connect() {
	ctx, cancel := context.WithCancel(c.life)
	watch := time.AfterFunc(c.cfg.Stall, cancel)
	s, err := c.open(ctx)
	watch.Stop()
	c.mu.Lock()
	c.opening = false
	if err != nil {
		c.mu.Unlock()
		cancel()
		c.broke(nil, err)
		return
	}
	o := &openCalls{callStream: s, cancel: cancel, writing: true, began: time.Now()}
	c.stream = o
	c.mu.Unlock()
	go c.receive(o)
	c.write(o)
}

// maxShift is how many frames a request's own goroutine writes for others before another takes over.
const maxShift = 4

// write sends what is queued. The caller has set writing.
func (c *caller) write(s *openCalls) {
	var frame []byte
	for shift := 0; ; shift++ {
		if shift == maxShift {
			go c.write(s)
			return
		}
		calls := c.next(s)
		if len(calls) == 0 {
			return
		}
		frame = append(frame[:0], version)
		for _, k := range calls {
			frame = k.append(frame)
		}
		watch := time.AfterFunc(c.cfg.Stall, s.cancel)
		err := s.Send(frame)
		watch.Stop()
		if err != nil {
			c.broke(s, err)
			return
		}
	}
}

// next takes a frame's worth of requests off the queue. None means that there is nothing more to
// write: writing is over.
func (c *caller) next(s *openCalls) []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != s {
		return nil
	}
	var calls []*call
	size, n := 0, 0
	for ; n < len(c.queue) && (size == 0 || size+len(c.queue[n].payload) <= frameTarget); n++ {
		k := c.queue[n]
		if c.pending[k.number] != k { // abandoned: its caller was told that it never left
			continue
		}
		size += len(k.payload) + requestOverhead
		k.sent = true
		c.newest = max(c.newest, k.number)
		calls = append(calls, k)
	}
	if c.unheard.IsZero() && c.newest > c.heard {
		c.unheard = time.Now()
	}
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = nil
	}
	if len(calls) == 0 {
		s.writing = false
		return nil
	}
	s.began = time.Now()
	c.counts.frames.Add(1)
	c.counts.requests.Add(uint64(len(calls)))
	return calls
}

// receive hands out answers until the stream ends.
func (c *caller) receive(s *openCalls) {
	for {
		frame, err := s.Recv()
		if err == nil {
			err = c.deliver(frame)
		}
		if err != nil {
			c.broke(s, err)
			return
		}
	}
}

// deliver pairs the answers of a frame with their requests. An empty frame says that the node lives.
func (c *caller) deliver(frame []byte) error {
	var answers []answer
	err := decodeAnswers(frame, func(a answer) {
		a.payload = bytes.Clone(a.payload)
		answers = append(answers, a)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range answers {
		c.hears(a.number)
	}
	c.owed = time.Now()
	c.silent = c.silent && c.quiet() >= c.cfg.Silence
	for _, a := range answers {
		if a.status == statusAlive {
			continue
		}
		k := c.pending[a.number]
		if k == nil || !k.sent {
			continue
		}
		if k.want--; k.want == 0 {
			delete(c.pending, a.number)
		}
		k.done <- reply{answer: a}
	}
	return err
}

// broke ends a stream and what was under way on it; nil stands for one that could not be opened.
func (c *caller) broke(s *openCalls, err error) {
	if s != nil {
		s.cancel()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != s {
		return
	}
	c.stream, c.unheard, c.heard = nil, time.Time{}, c.number
	for _, k := range c.pending {
		c.fail(k, err)
	}
	c.queue = nil
}

// fail ends a request. The caller holds mu.
func (c *caller) fail(k *call, err error) {
	delete(c.pending, k.number)
	ended := errNotSent
	if k.sent {
		ended = errLost
	}
	k.done <- reply{err: fmt.Errorf("%w: %s: %w", ended, c.address, err)}
}

// watch arms the watchdog. The caller holds mu.
func (c *caller) watch() {
	if !c.watched {
		c.watched = true
		time.AfterFunc(c.cfg.Silence, c.look)
	}
}

var errSilent = errors.New("it is silent")

// look is the watchdog: of a node that keeps silent, or does not hear, first what can be asked elsewhere
// or traced is given up, then the rest, and the stream. A stream that takes nothing goes at once: who writes
// to it is somebody who waits for an answer.
func (c *caller) look() {
	c.mu.Lock()
	c.watched = false
	if len(c.pending) == 0 && (c.stream == nil || !c.stream.writing) {
		c.mu.Unlock()
		return
	}
	quiet := c.quiet()
	var hung *openCalls
	if quiet >= c.cfg.Silence {
		c.silent = true
		stuck := c.stream != nil && c.stream.writing && time.Since(c.stream.began) >= c.cfg.Silence/2
		c.giveUp(quiet >= c.cfg.Patience || stuck)
		if quiet >= c.cfg.Patience || stuck {
			hung, c.stream, c.queue = c.stream, nil, nil
			c.unheard, c.heard = time.Time{}, c.number
		}
	}
	if len(c.pending) > 0 || c.stream != nil && c.stream.writing {
		c.watched = true
		next := c.cfg.Silence - quiet
		if next <= 0 {
			next = c.cfg.Silence / 4
		}
		time.AfterFunc(next, c.look)
	}
	c.mu.Unlock()
	if hung != nil {
		hung.cancel()
	}
}

// giveUp fails what can be asked elsewhere or traced, or all. The caller holds mu.
func (c *caller) giveUp(all bool) {
	for _, k := range c.pending {
		if all || !k.sent || k.op.traceable() {
			c.fail(k, errSilent)
		}
	}
}

// close ends everything.
func (c *caller) close(err error) {
	c.mu.Lock()
	s := c.stream
	c.mu.Unlock()
	c.broke(s, err)
}

// idle reports whether nothing is under way.
func (c *caller) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) == 0
}
