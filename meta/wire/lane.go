package wire

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/meta/replica"
)

// lane is the way of messages to one node: a bounded queue and a goroutine that empties it into
// frames. Whatever waits when the goroutine wakes goes out together.
type lane struct {
	address string
	open    func(ctx context.Context, address string) (frameStream, error)
	limits  laneLimits
	counts  *transportCounts
	report  func(address string, err error)

	mu     sync.Mutex
	queue  []replica.Message
	sizes  []int // of each in queue
	bytes  int
	spare  []replica.Message
	spare2 []int
	closed bool
	wake   chan struct{} // has room for one
}

// frameStream is a stream of frames to a node. Send does not keep the slice.
type frameStream interface {
	Send(frame []byte) error
	Close()
}

type laneLimits struct {
	messages, bytes int
	// stall is how long one frame may take to be taken by the connection.
	stall time.Duration
	// pause between attempts to open a stream: the first, and the longest.
	firstPause, lastPause time.Duration
}

// transportCounts is shared by the lanes of a Transport.
type transportCounts struct {
	messages, frames atomic.Uint64 // sent
	dropped          atomic.Uint64 // messages: no room, or the node was not reached
	homeless         atomic.Uint64 // messages for drives of no known node
}

func newLane(address string, limits laneLimits, counts *transportCounts) *lane {
	return &lane{address: address, limits: limits, counts: counts, wake: make(chan struct{}, 1)}
}

// messageOverhead is what a message is counted as besides its entries, in bytes.
const messageOverhead = 128

func sizeOf(m *replica.Message) int {
	n := messageOverhead
	for _, e := range m.Raft.GetEntries() {
		n += len(e.GetData())
	}
	return n
}

// put queues messages. When there is no room the oldest go: raft would rather have the newest.
func (l *lane) put(msgs []replica.Message) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	for i := range msgs {
		size := sizeOf(&msgs[i])
		l.queue, l.sizes, l.bytes = append(l.queue, msgs[i]), append(l.sizes, size), l.bytes+size
	}
	if len(l.queue) > l.limits.messages || l.bytes > l.limits.bytes {
		l.shed()
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// shed drops the oldest until three quarters of the room are taken, so that a full queue is not
// moved up for every message.
func (l *lane) shed() {
	n := 0
	for n < len(l.queue) && (len(l.queue)-n > l.limits.messages*3/4 || l.bytes > l.limits.bytes/4*3) {
		l.bytes -= l.sizes[n]
		n++
	}
	kept := copy(l.queue, l.queue[n:])
	clear(l.queue[kept:])
	l.queue = l.queue[:kept]
	l.sizes = append(l.sizes[:0], l.sizes[n:]...)
	l.counts.dropped.Add(uint64(n))
}

// take returns what waits. It is valid until the next take.
func (l *lane) take() []replica.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.spare)
	l.queue, l.spare = l.spare[:0], l.queue
	l.sizes, l.spare2 = l.spare2[:0], l.sizes
	l.bytes = 0
	return l.spare
}

// retire ends the lane if nothing waits, and reports whether it did.
func (l *lane) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		return false
	}
	l.closed = true
	return true
}

// run sends until ctx ends, or nothing was to be sent for idle.
func (l *lane) run(ctx context.Context, idle time.Duration, retired func() bool) {
	s := sender{lane: l, pause: l.limits.firstPause}
	defer s.drop()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
		case <-timer.C:
			if retired() {
				return
			}
		case <-ctx.Done():
			return
		}
		if msgs := l.take(); len(msgs) > 0 {
			s.send(ctx, msgs)
		}
		timer.Reset(idle)
	}
}

// sender is what a lane's goroutine has at hand.
type sender struct {
	lane   *lane
	stream frameStream
	cancel context.CancelFunc // of the stream
	enc    messageEncoder
	pause  time.Duration
}

// drop gives the stream up.
func (s *sender) drop() {
	if s.stream != nil {
		s.stream.Close()
		s.cancel()
		s.stream = nil
	}
}

// send puts messages into frames, as few as they fit in. What cannot be sent is dropped.
func (s *sender) send(ctx context.Context, msgs []replica.Message) {
	if s.stream == nil && !s.connect(ctx) {
		s.lane.counts.dropped.Add(uint64(len(msgs)))
		return
	}
	s.enc.reset(s.enc.buf)
	for i := range msgs {
		if err := s.enc.add(&msgs[i]); err != nil {
			s.lane.counts.dropped.Add(1)
			s.lane.report(s.lane.address, err)
		}
		if s.enc.empty() || len(s.enc.buf) < frameTarget && i < len(msgs)-1 {
			continue
		}
		if !s.flush(ctx) {
			s.lane.counts.dropped.Add(uint64(len(msgs) - i))
			return
		}
	}
	s.lane.counts.messages.Add(uint64(len(msgs)))
	if cap(s.enc.buf) > 2*frameTarget {
		s.enc.buf = nil
	}
}

// flush sends the frame, over a new stream if the one there is broke.
func (s *sender) flush(ctx context.Context) bool {
	err := s.write()
	if err != nil && s.connect(ctx) {
		err = s.write()
	}
	if err != nil {
		s.lane.report(s.lane.address, err)
		return false
	}
	s.lane.counts.frames.Add(1)
	s.enc.reset(s.enc.buf)
	return true
}

// write is one attempt. A node that takes nothing for too long has its stream cut, so that the lane
// is not stuck with it.
func (s *sender) write() error {
	watch := time.AfterFunc(s.lane.limits.stall, s.cancel)
	err := s.stream.Send(s.enc.buf)
	watch.Stop()
	if err != nil {
		s.drop()
	}
	return err
}

// connect opens a stream, or waits a moment if that fails: what is queued meanwhile is worth little.
func (s *sender) connect(ctx context.Context) bool {
	inner, cancel := context.WithCancel(ctx)
	watch := time.AfterFunc(s.lane.limits.stall, cancel)
	stream, err := s.lane.open(inner, s.lane.address)
	if watch.Stop(); err == nil {
		s.stream, s.cancel, s.pause = stream, cancel, s.lane.limits.firstPause
		return true
	}
	cancel()
	s.lane.report(s.lane.address, err)
	select {
	case <-time.After(s.pause):
	case <-ctx.Done():
	}
	s.pause = min(2*s.pause, s.lane.limits.lastPause)
	return false
}
