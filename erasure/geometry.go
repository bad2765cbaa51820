package erasure

import (
	"fmt"

	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// SealedChunk is the length in bytes of a sealed chunk: the unit of BlockLen. Package seal, which
// this package must not know, makes them; a test there compares.
const SealedChunk = 64<<10 + 16

// stripeChunks is how many sealed chunks of data a stripe aims at: 1 MiB, enough that the cost a
// stripe is small against its bytes, and small enough for 96 of them in flight.
const stripeChunks = 16

// BlockLen is the length in bytes of a full block with k data shards.
func BlockLen(k int) int { return max(1, stripeChunks/k) * SealedChunk }

// Layout is the scheme and geometry of one run of stripes. All arithmetic of the package doc is
// in its methods. Offsets are bytes of data.
type Layout struct {
	Scheme
	BlockLen int   // bytes of a block of a full stripe
	Length   int64 // bytes of data
}

// FromProto takes a layout from its record and checks it.
func FromProto(p *metapb.Layout) (Layout, error) {
	l := Layout{
		Scheme:   Scheme{K: int(p.GetK()), M: int(p.GetM())},
		BlockLen: int(p.GetBlockLen()), Length: int64(p.GetLength()),
	}
	return l, l.Validate()
}

// Proto is the record of the layout.
func (l Layout) Proto() *metapb.Layout {
	return &metapb.Layout{K: uint32(l.K), M: uint32(l.M), BlockLen: uint32(l.BlockLen), Length: uint64(l.Length)}
}

// Validate reports whether the numbers are possible.
func (l Layout) Validate() error {
	if err := l.Scheme.Validate(); err != nil {
		return err
	}
	if l.BlockLen < 1 || l.BlockLen > node.MaxBlockLen || l.Length < 0 {
		return fmt.Errorf("erasure: layout %s with blocks of %d and %d bytes of data is impossible", l.Scheme, l.BlockLen, l.Length)
	}
	return nil
}

// StripeLen is the bytes of data in a full stripe.
func (l Layout) StripeLen() int64 { return int64(l.K) * int64(l.BlockLen) }

// Stripes is the number of stripes, which is also that of blocks a shard.
func (l Layout) Stripes() int { return int((l.Length + l.StripeLen() - 1) / l.StripeLen()) }

// StripeData is the bytes of data in stripe n.
func (l Layout) StripeData(n int) int {
	return int(min(l.StripeLen(), l.Length-int64(n)*l.StripeLen()))
}

// BlockSize is the size in bytes of each block of stripe n.
func (l Layout) BlockSize(n int) int { return (l.StripeData(n) + l.K - 1) / l.K }

// ShardLen is the bytes of each shard.
func (l Layout) ShardLen() int64 {
	rest := l.Length % l.StripeLen()
	return l.Length/l.StripeLen()*int64(l.BlockLen) + (rest+int64(l.K)-1)/int64(l.K)
}

// Stripe is the stripe that holds the byte at off.
func (l Layout) Stripe(off int64) int { return int(off / l.StripeLen()) }

// Span is the part [from, to) of data block i of stripe n which lies in the range [off, end) of
// the data; padding is never in it. from == to when there is none.
func (l Layout) Span(n, i int, off, end int64) (from, to int) {
	start := int64(n) * l.StripeLen()
	size := l.BlockSize(n)
	stop := min(end-start, int64(l.StripeData(n)))
	blockStart := int64(i) * int64(size)
	first := max(off-start, blockStart)
	last := min(stop, blockStart+int64(size))
	if first >= last {
		return 0, 0
	}
	return int(first - blockStart), int(last - blockStart)
}

// Spec is what a drive is told of shard i of data.
func (l Layout) Spec(data id.Data, i int) node.Spec {
	return node.Spec{
		Shard: node.Shard{Data: data, Index: uint8(i)},
		K:     uint8(l.K), M: uint8(l.M), BlockLen: uint32(l.BlockLen), Length: uint64(l.ShardLen()),
	}
}
