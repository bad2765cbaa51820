package replica

import "sync"

// history remembers at which version of the KV each replica had applied how far, so that the loop
// can tell how far the KV's tables have got: only that far may a log be cut.
type history struct {
	mu      sync.Mutex
	samples []sample
	pending map[*replica]uint64 // applied since the last sample
	bytes   int                 // written since
}

type sample struct {
	version uint64
	applied map[*replica]uint64
}

const (
	// sampleBytes is how much is written between two samples: a sixteenth of a memtable.
	sampleBytes = 1 << 20
	// maxSamples bounds the history; the KV keeps at most a few memtables unflushed.
	maxSamples = 128
)

// note records what a committed transaction applied.
func (h *history) note(kv KV, jobs []applyJob, ends []int, written int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pending == nil {
		h.pending = make(map[*replica]uint64)
	}
	for i, end := range ends {
		h.pending[jobs[i].r] = jobs[i].entries[end-1].GetIndex()
	}
	if h.bytes += written; h.bytes >= sampleBytes {
		h.sample(kv)
	}
}

func (h *history) sample(kv KV) {
	txn := kv.Begin(false)
	s := sample{version: txn.Version(), applied: h.pending}
	txn.Discard()
	h.pending, h.bytes = make(map[*replica]uint64), 0
	if n := len(h.samples); n == maxSamples { // fold the last two: coarser, but never wrong
		for r, index := range h.samples[n-1].applied {
			if _, newer := s.applied[r]; !newer {
				s.applied[r] = index
			}
		}
		h.samples = h.samples[:n-1]
	}
	h.samples = append(h.samples, s)
}

// flushed calls visit with what the KV's tables hold by now, once for each piece of news, and
// returns the version of the oldest sample that they do not hold yet, or 0.
func (h *history) flushed(version uint64, visit func(r *replica, index uint64)) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for ; n < len(h.samples) && h.samples[n].version <= version; n++ {
		for r, index := range h.samples[n].applied {
			visit(r, index)
		}
	}
	h.samples = append(h.samples[:0], h.samples[n:]...)
	if len(h.samples) == 0 {
		return 0
	}
	return h.samples[0].version
}

// now makes a sample of what is pending.
func (h *history) now(kv KV) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pending) > 0 {
		h.sample(kv)
	}
}
