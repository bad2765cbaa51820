package seal

import (
	"errors"
	"hash/maphash"
	"io"
	"sync"
)

// ErrRandom is returned by a guarded source that gave the same bytes twice.
var ErrRandom = errors.New("seal: the random source repeats itself; nothing is sealed with it any more")

const (
	guardWindow  = 1024 // draws remembered
	guardMinimum = 12   // bytes; shorter draws repeat by chance too soon to be judged
)

// guard remembers fingerprints of the last draws.
type guard struct {
	rand io.Reader
	seed maphash.Seed

	mu     sync.Mutex
	seen   map[uint64]struct{}
	ring   [guardWindow]uint64
	next   int
	broken bool
}

// Guard wraps a random source and fails for good with ErrRandom when a draw of at least twelve bytes
// repeats one of the last 1,024: a source that is stuck or has a short cycle. By chance that happens
// once in 10^16 draws. It is safe for concurrent use if rand is.
func Guard(rand io.Reader) io.Reader {
	return &guard{rand: rand, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{}, guardWindow)}
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := io.ReadFull(g.rand, p)
	if err != nil {
		clear(p)
		return 0, err
	}
	if !g.admit(p) {
		clear(p)
		return 0, ErrRandom
	}
	return n, nil
}

// admit reports whether the draw is new, and remembers it.
func (g *guard) admit(draw []byte) bool {
	sum := maphash.Bytes(g.seed, draw)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken || len(draw) < guardMinimum {
		return !g.broken
	}
	if _, again := g.seen[sum]; again {
		g.broken = true
		return false
	}
	delete(g.seen, g.ring[g.next])
	g.ring[g.next] = sum
	g.seen[sum] = struct{}{}
	g.next = (g.next + 1) % guardWindow
	return true
}
