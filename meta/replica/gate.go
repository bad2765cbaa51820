package replica

import (
	"sync"
	"sync/atomic"
)

// gate counts who uses a drive, so that it is not closed under them. Every read goes through it, so
// it takes no lock.
type gate struct {
	users atomic.Int64 // and gateClosed, once it is closed
	idle  chan struct{}
	once  sync.Once
}

const gateClosed = 1 << 62

func newGate() *gate { return &gate{idle: make(chan struct{})} }

// enter counts the caller in until leave; false if the gate is closed.
func (g *gate) enter() bool {
	if g.users.Add(1) > gateClosed {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.users.Add(-1) == gateClosed {
		g.once.Do(func() { close(g.idle) })
	}
}

// close lets nobody in any more, and returns when all have left.
func (g *gate) close() {
	if g.users.Add(gateClosed) == gateClosed {
		g.once.Do(func() { close(g.idle) })
	}
	<-g.idle
}
