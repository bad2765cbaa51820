package erasure

import (
	"fmt"
	"math"
	"testing"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

var testSchemes = []Scheme{{1, 0}, {1, 2}, {4, 2}, {3, 2}, {8, 4}, {16, 16}, {31, 1}}

// place is where a byte lies, computed from the words of the package doc by walking, not dividing.
type place struct{ stripe, block, at int }

// walk lays out length bytes one by one and returns the places and the block size of each stripe.
func walk(k, blockLen, length int) (places []place, sizes []int) {
	for done := 0; done < length; {
		rest, size := length-done, blockLen
		if rest < k*blockLen {
			for size = 0; size*k < rest; size++ {
			}
		}
		for b := 0; b < k; b++ {
			for at := 0; at < size && len(places) < length; at++ {
				places = append(places, place{len(sizes), b, at})
			}
		}
		done = len(places)
		sizes = append(sizes, size)
	}
	return places, sizes
}

// TestGeometryIsThatOfTheDoc compares every number with the walk, exhaustively for small blocks.
func TestGeometryIsThatOfTheDoc(t *testing.T) {
	for _, s := range testSchemes {
		for _, blockLen := range []int{1, 2, 5} {
			for length := 0; length <= 3*s.K*blockLen+2; length++ {
				l := Layout{Scheme: s, BlockLen: blockLen, Length: int64(length)}
				places, sizes := walk(s.K, blockLen, length)
				checkLayout(t, l, places, sizes)
				if length <= 2*s.K*blockLen+2 && length < 60 {
					checkSpans(t, l, places)
				}
			}
		}
	}
}

func checkLayout(t *testing.T, l Layout, places []place, sizes []int) {
	t.Helper()
	if l.Stripes() != len(sizes) {
		t.Fatalf("%+v: %d stripes, want %d", l, l.Stripes(), len(sizes))
	}
	shard := 0
	for n, size := range sizes {
		if l.BlockSize(n) != size {
			t.Fatalf("%+v: block size %d of stripe %d, want %d", l, l.BlockSize(n), n, size)
		}
		shard += size
	}
	spec := l.Spec(id.Data{1}, l.Shards()-1)
	if l.ShardLen() != int64(shard) || spec.Length != uint64(shard) || spec.Blocks() != len(sizes) || int(spec.Index) != l.Shards()-1 {
		t.Fatalf("%+v: shard of %d bytes, spec %+v, want %d bytes", l, l.ShardLen(), spec, shard)
	}
	data := make([]int, len(sizes))
	for _, p := range places {
		data[p.stripe]++
	}
	for n := range sizes {
		if spec.BlockSize(n) != sizes[n] || l.StripeData(n) != data[n] {
			t.Fatalf("%+v: stripe %d: drive's block size %d, data %d, want %d, %d", l, n, spec.BlockSize(n), l.StripeData(n), sizes[n], data[n])
		}
	}
	for off, p := range places {
		if l.Stripe(int64(off)) != p.stripe {
			t.Fatalf("%+v: byte %d in stripe %d, want %d", l, off, l.Stripe(int64(off)), p.stripe)
		}
	}
}

// checkSpans collects the spans of every range and compares with the bytes in it.
func checkSpans(t *testing.T, l Layout, places []place) {
	t.Helper()
	for off := range len(places) {
		for end := off + 1; end <= len(places); end++ {
			at := off
			for n := range l.Stripes() {
				for b := range l.K {
					from, to := l.Span(n, b, int64(off), int64(end))
					for i := from; i < to; i++ {
						if at >= end || places[at] != (place{n, b, i}) {
							t.Fatalf("%+v: range [%d,%d): byte %d of block %d of stripe %d is not in it", l, off, end, i, b, n)
						}
						at++
					}
				}
			}
			if at != end {
				t.Fatalf("%+v: range [%d,%d): spans end at %d", l, off, end, at)
			}
		}
	}
}

// TestRealSizesFit takes the sizes at every edge of the real block lengths.
func TestRealSizesFit(t *testing.T) {
	for _, s := range testSchemes {
		b := int64(BlockLen(s.K))
		if b%SealedChunk != 0 {
			t.Fatalf("%s: blocks of %d bytes cut sealed chunks", s, b)
		}
		stripe := b * int64(s.K)
		for _, edge := range []int64{0, SealedChunk, b, stripe, 2 * stripe, 7 * stripe, 80_000 * stripe} {
			for d := int64(-1); d <= 1; d++ {
				l := Layout{Scheme: s, BlockLen: int(b), Length: edge + d}
				if l.Length < 0 {
					continue
				}
				if err := l.Validate(); err != nil {
					t.Fatal(err)
				}
				sum := int64(0)
				for i := range l.K {
					from, to := l.Span(0, i, 0, l.Length)
					sum += int64(to - from)
				}
				if sum != min(l.Length, stripe) {
					t.Fatalf("%+v: the first stripe's spans hold %d bytes", l, sum)
				}
				// Padding is less than a byte a data shard of the last stripe.
				if pad := l.ShardLen()*int64(l.K) - l.Length; pad < 0 || pad >= int64(l.K) {
					t.Fatalf("%+v: %d bytes of padding", l, pad)
				}
				back, err := FromProto(l.Proto())
				if err != nil || back != l {
					t.Fatalf("%+v came back as %+v, %v", l, back, err)
				}
			}
		}
	}
}

// TestAChunkOfAFullStripeLiesInOneBlock: the promise that ranges are cheap by.
func TestAChunkOfAFullStripeLiesInOneBlock(t *testing.T) {
	for _, s := range testSchemes {
		l := Layout{Scheme: s, BlockLen: BlockLen(s.K)}
		l.Length = 3 * l.StripeLen()
		for off := int64(0); off < l.Length; off += SealedChunk {
			blocks := 0
			for i := range l.K {
				if from, to := l.Span(l.Stripe(off), i, off, off+SealedChunk); from < to {
					blocks++
				}
			}
			if blocks != 1 {
				t.Fatalf("%s: the chunk at %d lies in %d blocks", s, off, blocks)
			}
		}
	}
}

func TestImpossibleLayoutsAreRefused(t *testing.T) {
	for _, p := range []*metapb.Layout{
		nil, {}, {K: 4, M: 2}, {K: 0, M: 2, BlockLen: 1}, {K: 30, M: 3, BlockLen: 1}, {K: 4, M: 2, BlockLen: 3 << 20},
		{K: 4, M: 2, BlockLen: 1, Length: math.MaxUint64}, {K: 1 << 31, M: 1 << 31, BlockLen: 1},
	} {
		if l, err := FromProto(p); err == nil {
			t.Errorf("%v was taken as %+v", p, l)
		}
	}
}

func ExampleLayout() {
	l := Layout{Scheme: Scheme{K: 4, M: 2}, BlockLen: BlockLen(4), Length: 10 << 20}
	fmt.Println(l.Stripes(), l.BlockLen, l.BlockSize(l.Stripes()-1), l.ShardLen())
	// Output: 10 262208 261568 2621440
}
