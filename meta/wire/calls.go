package wire

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/proto/metapb"
)

// calls serves a caller: each request by a goroutine of its own, answers as they come, in frames of
// as many as are ready.
func (s *Service) calls(stream grpc.ServerStream) error {
	rpc.Unawaited(stream.Context())
	ctx, cancel := context.WithCancel(stream.Context())
	w := &answerer{out: frames{stream: stream}, cancel: cancel, max: s.cfg.MaxCalls}
	defer w.working.Wait() // nobody may write after the handler has returned
	defer w.end()
	in := frames{stream: stream}
	for {
		frame, err := in.Recv()
		if err != nil {
			return ended(err)
		}
		if err := decodeRequests(frame, func(r request) { w.came.Store(r.number); s.take(ctx, w, r) }); err != nil {
			return err
		}
	}
}

// take starts a request.
func (s *Service) take(ctx context.Context, w *answerer, r request) {
	if r.op == opAskMany {
		s.takeMany(ctx, w, r)
		return
	}
	if !w.begin() {
		w.refuse(answer{number: r.number, group: r.group, status: statusOverloaded})
		return
	}
	r.payload = bytes.Clone(r.payload)
	w.working.Go(func() { w.finish(s.serve(ctx, &r)) })
}

// takeMany starts a query of several groups; each answers by itself.
func (s *Service) takeMany(ctx context.Context, w *answerer, r request) {
	groups, query, err := decodeBatch(r.payload)
	q := &metapb.Query{}
	if err == nil {
		err = proto.Unmarshal(query, q)
	}
	if err != nil || len(groups) == 0 {
		w.refuse(answer{number: r.number, status: statusError, payload: errorPayload(kind.New(kind.InvalidArgument, "wire: malformed query of many groups"))})
		return
	}
	for _, g := range groups {
		if !w.begin() {
			w.refuse(answer{number: r.number, group: g, status: statusOverloaded})
			continue
		}
		one := request{number: r.number, timeout: r.timeout, group: g}
		w.working.Go(func() {
			w.finish(s.answer(ctx, &one, func(ctx context.Context) ([]byte, error) { return s.ask(ctx, g, q) }))
		})
	}
}

// answerer writes the answers to one caller. Whoever has an answer and finds nobody writing writes
// for all.
type answerer struct {
	out     frames
	cancel  context.CancelFunc
	max     int
	working sync.WaitGroup
	came    atomic.Uint64 // the number of the newest request

	mu      sync.Mutex
	busy    int // requests under way, or answered and not yet written
	queue   []queuedAnswer
	writing bool
	over    bool
	wrote   time.Time
	pulsing *time.Timer // nil: nothing is under way
}

type queuedAnswer struct {
	answer
	counted bool // by begin
}

// pulse is how long a caller that is owed answers hears nothing from a node that is well: a fraction
// of Config.Silence.
const pulse = 250 * time.Millisecond

// begin counts a request in, unless there are too many.
func (w *answerer) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy >= w.max {
		return false
	}
	w.busy++
	if w.pulsing == nil && !w.over {
		w.working.Add(1)
		w.pulsing = time.AfterFunc(pulse, w.beat)
	}
	return true
}

// beat tells a caller that has waited for a while that this node lives, and how far it has heard it.
func (w *answerer) beat() {
	defer w.working.Done()
	w.mu.Lock()
	if w.busy == 0 || w.over {
		w.pulsing = nil
		w.mu.Unlock()
		return
	}
	w.working.Add(1)
	w.pulsing = time.AfterFunc(pulse, w.beat)
	mine := !w.writing && time.Since(w.wrote) >= pulse/2
	w.writing = w.writing || mine
	w.mu.Unlock()
	if mine {
		w.write(true)
	}
}

// finish answers a request that begin counted.
func (w *answerer) finish(a answer) { w.enqueue(queuedAnswer{a, true}) }

// refuse answers one that it did not.
func (w *answerer) refuse(a answer) { w.enqueue(queuedAnswer{a, false}) }

func (w *answerer) enqueue(a queuedAnswer) {
	w.mu.Lock()
	w.queue = append(w.queue, a)
	mine := !w.writing && !w.over
	w.writing = w.writing || mine
	flooded := len(w.queue) > 4*w.max
	w.mu.Unlock()
	if flooded { // it asks and does not listen
		w.end()
	} else if mine {
		runtime.Gosched() // others who are about to answer go along
		w.write(false)
	}
}

// write sends what is queued, and a frame without answers if there is nothing and one is wanted. The
// caller has set writing.
func (w *answerer) write(empty bool) {
	var frame []byte
	for {
		answers, more := w.next(empty)
		if !more {
			return
		}
		frame, empty = append(frame[:0], version), false
		for i := range answers {
			frame = answers[i].append(frame)
		}
		if len(answers) == 0 {
			alive := answer{status: statusAlive, number: w.came.Load()}
			frame = alive.append(frame)
		}
		if err := w.out.Send(frame); err != nil {
			w.end()
			return
		}
	}
}

// next takes a frame's worth of answers off the queue. If there is nothing more, writing is over.
func (w *answerer) next(empty bool) (answers []queuedAnswer, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || len(w.queue) == 0 && !empty {
		w.writing = false
		return nil, false
	}
	w.wrote = time.Now()
	n, size := 0, 0
	for n < len(w.queue) && (n == 0 || size+len(w.queue[n].payload) <= frameTarget) {
		size += len(w.queue[n].payload) + answerOverhead
		if w.queue[n].counted {
			w.busy--
		}
		n++
	}
	answers = w.queue[:n:n]
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	return answers, true
}

// end gives up on the caller: nobody waits for answers any more.
func (w *answerer) end() {
	w.mu.Lock()
	w.over = true
	if w.pulsing != nil && w.pulsing.Stop() {
		w.working.Done()
		w.pulsing = nil
	}
	w.mu.Unlock()
	w.cancel()
}
