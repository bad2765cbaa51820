package replica

import "sync"

// inbox is where everyone leaves work for a drive's loop. Nobody waits here: what other replicas
// send is dropped when too much lies there, clients' requests are refused, and what the log and
// the applier report is bounded by what the loop gave them.
type inbox struct {
	mu     sync.Mutex
	now    work
	spare  work
	closed bool
	wake   chan struct{} // has room for one

	maxBytes, maxPending int
}

// work is one helping of an inbox.
type work struct {
	bytes     int // of messages
	messages  []Message
	written   []*appendBatch
	applied   []applyDone
	proposals []*proposal
	handed    bool // the proposals were handed to raft, or some of them
	reads     []*read
	calls     []func(*loop)
	ticks     int
}

func (w *work) empty() bool {
	return len(w.messages)+len(w.written)+len(w.applied)+len(w.proposals)+len(w.reads)+len(w.calls)+w.ticks == 0
}

// recycle drops all references but keeps the arrays.
func (w *work) recycle() {
	clear(w.messages)
	clear(w.written)
	clear(w.applied)
	clear(w.proposals)
	clear(w.reads)
	clear(w.calls)
	*w = work{
		messages: w.messages[:0], written: w.written[:0], applied: w.applied[:0],
		proposals: w.proposals[:0], reads: w.reads[:0], calls: w.calls[:0],
	}
}

func newInbox(cfg *Config) *inbox {
	return &inbox{wake: make(chan struct{}, 1), maxBytes: cfg.MaxQueuedBytes, maxPending: cfg.MaxPending}
}

func (in *inbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// put runs add under the lock and wakes the loop. It reports whether the inbox is open and add
// took the work.
func (in *inbox) put(add func(*work) bool) bool {
	in.mu.Lock()
	ok := !in.closed && add(&in.now)
	in.mu.Unlock()
	if ok {
		in.signal()
	}
	return ok
}

// send leaves messages; those that do not fit are dropped.
func (in *inbox) send(msgs []Message) {
	in.put(func(w *work) bool {
		for i := range msgs {
			size := msgs[i].size()
			if w.bytes+size > in.maxBytes {
				break
			}
			w.bytes += size
			w.messages = append(w.messages, msgs[i])
		}
		return true
	})
}

func (in *inbox) propose(p *proposal) (taken, open bool) {
	open = in.put(func(w *work) bool {
		if taken = len(w.proposals) < in.maxPending; taken {
			w.proposals = append(w.proposals, p)
		}
		return true
	})
	return taken, open
}

func (in *inbox) read(r *read) (taken, open bool) {
	open = in.put(func(w *work) bool {
		if taken = len(w.reads) < in.maxPending; taken {
			w.reads = append(w.reads, r)
		}
		return true
	})
	return taken, open
}

func (in *inbox) call(f func(*loop)) bool {
	return in.put(func(w *work) bool { w.calls = append(w.calls, f); return true })
}

// tick counts at most two: a loop that was held up must not make up for it, or it would
// campaign for want of heartbeats that lie right here.
func (in *inbox) tick() {
	in.put(func(w *work) bool { w.ticks = min(w.ticks+1, 2); return true })
}

// take returns what has come in since, or nil. It is valid until the next take.
func (in *inbox) take() *work {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.now.empty() {
		return nil
	}
	in.spare.recycle()
	in.now, in.spare = in.spare, in.now
	return &in.spare
}

// close refuses all later work and returns what lay there.
func (in *inbox) close() *work {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	rest := in.now
	in.now = work{}
	return &rest
}
