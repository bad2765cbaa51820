package rpc

import (
	"math/bits"
	"sync"
	"unsafe"

	"google.golang.org/grpc/mem"
)

// The classes of pooled buffers: four to each power of two, so that a block of four sealed chunks and
// its trailer (65 pages) does not cost 128.
const (
	minClassBits = 12
	maxClassBits = 22 // MaxMessage
	classSteps   = 4
	classes      = (maxClassBits-minClassBits)*classSteps + 1

	// pageAlign is what O_DIRECT wants of address and length (node.BlockAlign).
	pageAlign = 4096
)

// Buffers pools buffers whose address and capacity are multiples of 4096, with arbitrary contents. It
// holds memory and no state. Safe for concurrent use.
type Buffers struct {
	pools [classes]sync.Pool
}

var _ mem.BufferPool = (*Buffers)(nil)

// NewBuffers makes an empty pool.
func NewBuffers() *Buffers { return &Buffers{} }

// classOf is the smallest class that holds n bytes, and its size; -1 if n is too large to be pooled.
func classOf(n int) (class, size int) {
	if n <= 1<<minClassBits {
		return 0, 1 << minClassBits
	}
	if n > 1<<maxClassBits {
		return -1, (n + pageAlign - 1) / pageAlign * pageAlign
	}
	octave := bits.Len(uint(n-1)) - 1 // 1<<octave < n <= 2<<octave
	step := max(1<<octave/classSteps, pageAlign)
	size = (n + step - 1) / step * step
	return (octave-minClassBits)*classSteps + (size-1<<octave)*classSteps/(1<<octave), size
}

// Get returns a buffer of n bytes.
func (p *Buffers) Get(n int) *[]byte {
	class, size := classOf(n)
	if class >= 0 {
		if b, ok := p.pools[class].Get().(*[]byte); ok {
			*b = (*b)[:n]
			return b
		}
	}
	raw := make([]byte, size+pageAlign)
	skip := 0
	if rest := int(uintptr(unsafe.Pointer(&raw[0])) % pageAlign); rest != 0 {
		skip = pageAlign - rest
	}
	b := raw[skip : skip+n : skip+size]
	return &b
}

// Put takes back what Get returned.
func (p *Buffers) Put(b *[]byte) {
	if class, size := classOf(cap(*b)); class >= 0 && size == cap(*b) {
		p.pools[class].Put(b)
	}
}
