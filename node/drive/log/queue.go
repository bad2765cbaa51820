package log

import "sync"

// entry is a record that waits for the writer.
type entry struct {
	kind  uint8
	parts [][]byte
	size  int    // of the payload
	sum   uint64 // of the payload
	done  func(Pos, error)
}

// queue hands entries from many goroutines to the writer, bounded in bytes.
type queue struct {
	mu      sync.Mutex
	room    sync.Cond // something was taken
	wake    chan struct{}
	entries []entry
	spare   []entry // the slice that the writer has finished with
	bytes   int64
	limit   int64
	closed  bool
}

func (q *queue) init(limit int64) {
	q.room.L = &q.mu
	q.wake = make(chan struct{}, 1)
	q.limit = limit
}

// put appends e, waiting for room; false if the queue is closed.
func (q *queue) put(e entry) bool {
	q.mu.Lock()
	for q.bytes > q.limit && !q.closed {
		q.room.Wait()
	}
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.entries = append(q.entries, e)
	q.bytes += int64(e.size)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns all that waits; it blocks until there is something, and returns nil when the queue
// is closed and empty. The slice is valid until the next take.
func (q *queue) take() []entry {
	for {
		if all, closed := q.tryTake(); len(all) > 0 || closed {
			return all
		}
		<-q.wake
	}
}

func (q *queue) tryTake() (all []entry, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 {
		return nil, q.closed
	}
	all = q.entries
	q.entries, q.spare = q.spare[:0], all
	q.bytes = 0
	q.room.Broadcast()
	return all, false
}

// empty reports whether nothing waits.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries) == 0
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.room.Broadcast()
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
