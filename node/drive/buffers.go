package drive

import (
	"math/bits"
	"sync"
)

// The classes of pooled buffers are powers of two from 4 KiB to 8 MiB.
const (
	minClass = 12
	maxClass = 23
)

// buffers pools buffers by class.
type buffers struct {
	pools [maxClass - minClass + 1]sync.Pool
}

// get returns a buffer of n bytes with arbitrary contents.
func (p *buffers) get(n int) *[]byte {
	class := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if class > maxClass {
		b := make([]byte, n)
		return &b
	}
	if b, ok := p.pools[class-minClass].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<class)
	return &b
}

// put gives a buffer back.
func (p *buffers) put(b *[]byte) {
	class := bits.Len(uint(cap(*b)) - 1)
	if class >= minClass && class <= maxClass && cap(*b) == 1<<class {
		p.pools[class-minClass].Put(b)
	}
}
