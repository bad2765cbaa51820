package fanout

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"

	"holdfast/internal/kind"
	"holdfast/node"
)

// blockClasses are the sizes of pooled buffers in pages: small ones by doubling, then those in
// which the block lengths of max(1, 16/k) sealed chunks and a trailer just fit.
var blockClasses = [...]int{1, 2, 4, 8, 17, 33, 49, 65, 81, 129, 257, 513}

// block is a pooled buffer, aligned and with room for a drive's trailer.
type block struct {
	buf   []byte // len is 0
	class int
}

// blockPool keeps buffers between requests. The garbage collector empties what idles.
type blockPool struct {
	pools [len(blockClasses)]sync.Pool
	held  atomic.Int64 // bytes of the buffers that are out
}

// classFor is the class whose buffers hold a payload of size bytes.
func classFor(size int) int {
	for c, pages := range blockClasses {
		if size+node.BlockTrailer <= pages*node.BlockAlign {
			return c
		}
	}
	panic("fanout: a block beyond node.MaxBlockLen")
}

// classBytes is the size of a buffer of a class.
func classBytes(class int) int64 { return int64(blockClasses[class]) * node.BlockAlign }

func (p *blockPool) get(class int) *block {
	p.held.Add(classBytes(class))
	if b, ok := p.pools[class].Get().(*block); ok {
		return b
	}
	return &block{buf: node.AllocBlock(int(classBytes(class)) - node.BlockTrailer)[:0], class: class}
}

func (p *blockPool) put(b *block) {
	p.held.Add(-classBytes(b.class))
	p.pools[b.class].Put(b)
}

// budget bounds bytes in use. Who waits is served in order of arrival, whatever its size, so that
// small requests do not starve large ones.
type budget struct {
	mu    sync.Mutex
	limit int64 // for who must have something
	ahead int64 // for who would like more
	used  int64
	queue list.List // of *waiter
}

type waiter struct {
	bytes int64
	ready chan struct{}
}

func newBudget(limit, ahead int64) *budget { return &budget{limit: limit, ahead: min(limit, ahead)} }

// acquire waits until n bytes are free. A request larger than the whole budget waits for all of it.
func (b *budget) acquire(ctx context.Context, n int64) error {
	b.mu.Lock()
	if b.queue.Len() == 0 && b.fits(n) {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	w := &waiter{bytes: n, ready: make(chan struct{})}
	e := b.queue.PushBack(w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready: // served meanwhile: give it back
		b.used -= n
	default:
		b.queue.Remove(e)
	}
	b.serve()
	return kind.Wrap(kind.Canceled, ctx.Err(), "fanout: waiting for memory")
}

// try takes n bytes if nobody waits and the use stays in the part for those who want more.
func (b *budget) try(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.Len() > 0 || b.used+n > b.ahead {
		return false
	}
	b.used += n
	return true
}

// force takes n bytes without asking: for the few that keep others from being stuck.
func (b *budget) force(n int64) {
	b.mu.Lock()
	b.used += n
	b.mu.Unlock()
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	b.used -= n
	b.serve()
	b.mu.Unlock()
}

func (b *budget) fits(n int64) bool { return b.used+min(n, b.limit) <= b.limit }

func (b *budget) serve() {
	for e := b.queue.Front(); e != nil; e = b.queue.Front() {
		w := e.Value.(*waiter)
		if !b.fits(w.bytes) {
			return
		}
		b.used += w.bytes
		b.queue.Remove(e)
		close(w.ready)
	}
}

func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
