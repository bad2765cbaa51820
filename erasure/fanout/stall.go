package fanout

import (
	"context"
	"errors"
	"time"

	"holdfast/erasure"
)

// errStalled says that the sink took too long and the read has let go of its memory.
var errStalled = errors.New("fanout: the sink stalled")

// stream reads by stripes and fetches ahead. It returns how far it came. A slow sink would hold the
// memory that others wait for, and a few clients on slow lines would bring all reads to a stop; so
// when the sink takes longer than Config.StallAfter for a stripe, all is let go but the block it
// has, and errStalled is returned.
func (g *get) stream(ctx context.Context, pos, end int64, sink func([]byte) error) (int64, error) {
	g.mu.Lock()
	g.budget, g.stalled, g.lent = g.f.gets, false, -1
	g.mu.Unlock()
	var watch *time.Timer
	err := g.each(ctx, g.layout.Stripe(pos), g.layout.Stripe(end-1), g.plan(pos, end), func(st *gather) error {
		if watch == nil {
			watch = time.AfterFunc(g.f.cfg.StallAfter, g.letGo)
		} else {
			watch.Reset(g.f.cfg.StallAfter)
		}
		defer watch.Stop()
		for i := range g.layout.K {
			piece, err := g.lend(st, i)
			if err == nil && len(piece) > 0 {
				err = sink(piece)
				pos += int64(len(piece))
			}
			if err != nil {
				return err
			}
		}
		_, err := g.lend(st, -1)
		return err
	})
	return pos, err
}

// lend hands data block i to the sink, or takes the last one back.
func (g *get) lend(st *gather, i int) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lent = i
	switch {
	case g.stalled:
		return nil, errStalled
	case i < 0:
		return nil, nil
	}
	return st.out[i], nil
}

// letGo frees what a stalled sink does not have. What it has is charged to the stalled.
func (g *get) letGo() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lent < 0 || g.stalled {
		return
	}
	g.stalled = true
	g.f.stats.stalled.Add(1)
	if g.next != nil {
		g.next.releaseBut(-1)
	}
	g.cur.releaseBut(g.lent)
	for _, r := range g.cur.reads {
		r.buf.charge(g.f.stalled)
	}
	if own := &g.cur.own[g.lent]; own.block != nil {
		own.charge(g.f.stalled)
	}
	g.f.gets.release(g.granted)
	g.granted = 0
}

// trickle reads for a sink that has stalled: a sealed chunk at a time, one block at most, outside of
// the budget. When the sink has kept up for a stripe and there is memory to spare, it returns.
func (g *get) trickle(ctx context.Context, pos, end int64, sink func([]byte) error) (int64, error) {
	g.mu.Lock()
	g.budget, g.room = g.f.stalled, 0
	g.mu.Unlock()
	kept := int64(0) // bytes that the sink took fast enough
	for pos < end {
		to := min(end, g.chunkEnd(pos))
		began := time.Now()
		if err := g.piece(ctx, pos, to, sink); err != nil {
			return pos, err
		}
		// Twice the rate at which it would stall again.
		if stripe := g.layout.StripeLen(); time.Since(began) > time.Duration(float64(g.f.cfg.StallAfter)/2*float64(to-pos)/float64(stripe)) {
			kept = 0
		} else if kept += to - pos; kept >= stripe {
			if room := g.stripeRoom(); g.f.gets.try(room) {
				g.mu.Lock()
				g.granted = room
				g.mu.Unlock()
				return to, nil
			}
			kept = 0
		}
		pos = to
	}
	return pos, nil
}

// piece reads a range that lies in one block.
func (g *get) piece(ctx context.Context, pos, to int64, sink func([]byte) error) error {
	st := g.prepare(g.layout.Stripe(pos), g.plan(pos, to))
	g.begin(st)
	defer func() {
		st.release()
		g.idle = st
	}()
	if err := g.await(ctx, st); err != nil {
		return err
	}
	if err := st.settle(); err != nil {
		return err
	}
	for i := range g.layout.K {
		if len(st.out[i]) > 0 {
			g.mu.Lock()
			st.releaseBut(i)
			g.mu.Unlock()
			return sink(st.out[i])
		}
	}
	return nil
}

// chunkEnd is the end of the sealed chunk, as blocks hold them, that the byte at pos is in.
func (g *get) chunkEnd(pos int64) int64 {
	n := g.layout.Stripe(pos)
	size := int64(g.layout.BlockSize(n))
	start := int64(n) * g.layout.StripeLen()
	start += (pos - start) / size * size // of the block
	at := (pos - start) / erasure.SealedChunk * erasure.SealedChunk
	return start + min(size, at+erasure.SealedChunk)
}

// stripeRoom is the memory that a stripe of the data takes.
func (g *get) stripeRoom() int64 {
	return int64(g.layout.K) * classBytes(classFor(min(g.layout.BlockLen, g.layout.BlockSize(0))))
}
