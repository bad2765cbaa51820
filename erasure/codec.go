package erasure

import (
	"fmt"
	"sync"

	"github.com/klauspost/reedsolomon"
)

// maxInversions bounds the decode matrices that one codec keeps. A scheme with more patterns of
// loss than that computes them anew, which costs microseconds against a stripe's milliseconds.
const maxInversions = 4096

// Codec codes the blocks of one scheme. Safe for concurrent use; each call runs on the caller's
// goroutine alone, because requests are what runs in parallel.
type Codec struct {
	scheme Scheme
	rs     reedsolomon.Encoder // nil without parity
}

// NewCodec makes the codec of a scheme.
func NewCodec(s Scheme) (*Codec, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := &Codec{scheme: s}
	if s.M == 0 {
		return c, nil
	}
	rs, err := reedsolomon.New(s.K, s.M,
		reedsolomon.WithMaxGoroutines(1), reedsolomon.WithInversionCache(lossPatterns(s) <= maxInversions))
	if err != nil {
		return nil, fmt.Errorf("erasure: codec %s: %w", s, err)
	}
	c.rs = rs
	return c, nil
}

// Encode fills the M parity blocks from the K data blocks before them. All have the same size.
func (c *Codec) Encode(blocks [][]byte) error {
	if len(blocks) != c.scheme.Shards() {
		return fmt.Errorf("erasure: encode %s: got %d blocks", c.scheme, len(blocks))
	}
	if c.rs == nil || len(blocks[0]) == 0 {
		return nil
	}
	if err := c.rs.Encode(blocks); err != nil {
		return fmt.Errorf("erasure: encode %s: %w", c.scheme, err)
	}
	return nil
}

// Reconstruct fills those missing blocks (of length 0) that are wanted; K blocks at least must be
// there. A missing block with enough capacity is filled in place.
func (c *Codec) Reconstruct(blocks [][]byte, want []bool) error {
	if len(blocks) != c.scheme.Shards() || len(want) != len(blocks) {
		return fmt.Errorf("erasure: reconstruct %s: got %d blocks", c.scheme, len(blocks))
	}
	if c.rs == nil {
		for i := range want {
			if want[i] && len(blocks[i]) == 0 {
				return fmt.Errorf("erasure: reconstruct %s: without parity a lost block is lost", c.scheme)
			}
		}
		return nil
	}
	if err := c.rs.ReconstructSome(blocks, want); err != nil {
		return fmt.Errorf("erasure: reconstruct %s: %w", c.scheme, err)
	}
	return nil
}

// lossPatterns is the number of ways to lose up to M of the shards, or a large number.
func lossPatterns(s Scheme) int {
	sum, ways := 0, 1
	for lost := 1; lost <= s.M; lost++ {
		ways = ways * (s.Shards() - lost + 1) / lost
		if sum += ways; sum > maxInversions {
			break
		}
	}
	return sum
}

// Codecs makes the codec of each scheme once. The zero value is ready.
type Codecs struct {
	mu     sync.RWMutex
	codecs map[Scheme]*Codec
}

// Get is the codec of a scheme.
func (c *Codecs) Get(s Scheme) (*Codec, error) {
	c.mu.RLock()
	codec := c.codecs[s]
	c.mu.RUnlock()
	if codec != nil {
		return codec, nil
	}
	codec, err := NewCodec(s)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.codecs == nil {
		c.codecs = make(map[Scheme]*Codec)
	}
	if old := c.codecs[s]; old != nil {
		return old, nil
	}
	c.codecs[s] = codec
	return codec, nil
}
