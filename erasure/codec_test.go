package erasure

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// ---- a slow Reed-Solomon from the package doc, to compare with ----

// mul multiplies in GF(2^8) by shifting and reducing.
func mul(a, b byte) byte {
	var sum byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			sum ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x1d
		}
	}
	return sum
}

func inverse(a byte) byte {
	for b := 1; b < 256; b++ {
		if mul(a, byte(b)) == 1 {
			return byte(b)
		}
	}
	panic("zero has no inverse")
}

func identity(n int) [][]byte {
	m := make([][]byte, n)
	for i := range m {
		m[i] = make([]byte, n)
		m[i][i] = 1
	}
	return m
}

func product(a, b [][]byte) [][]byte {
	out := make([][]byte, len(a))
	for i := range a {
		out[i] = make([]byte, len(b[0]))
		for j := range out[i] {
			for x := range b {
				out[i][j] ^= mul(a[i][x], b[x][j])
			}
		}
	}
	return out
}

// invert by Gauss and Jordan.
func invert(in [][]byte) [][]byte {
	n := len(in)
	m, out := make([][]byte, n), identity(n)
	for i := range in {
		m[i] = bytes.Clone(in[i])
	}
	for c := range n {
		pivot := c
		for m[pivot][c] == 0 {
			pivot++
		}
		m[c], m[pivot], out[c], out[pivot] = m[pivot], m[c], out[pivot], out[c]
		scale := inverse(m[c][c])
		for j := range n {
			m[c][j], out[c][j] = mul(m[c][j], scale), mul(out[c][j], scale)
		}
		for r := range n {
			if factor := m[r][c]; r != c && factor != 0 {
				for j := range n {
					m[r][j] ^= mul(factor, m[c][j])
					out[r][j] ^= mul(factor, out[c][j])
				}
			}
		}
	}
	return out
}

func generator(s Scheme) [][]byte {
	v := make([][]byte, s.Shards())
	for r := range v {
		v[r] = make([]byte, s.K)
		power := byte(1)
		for c := range v[r] {
			v[r][c] = power
			power = mul(power, byte(r))
		}
	}
	return product(v, invert(v[:s.K]))
}

func randomBlocks(s Scheme, size int, rng *rand.Rand) [][]byte {
	blocks := make([][]byte, s.Shards())
	for i := range blocks {
		blocks[i] = make([]byte, size)
		if i < s.K {
			for j := range blocks[i] {
				blocks[i][j] = byte(rng.Uint32())
			}
		}
	}
	return blocks
}

func TestParityIsThatOfTheDoc(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range append(testSchemes, Scheme{2, 2}, Scheme{6, 2}, Scheme{12, 4}, Scheme{5, 0}) {
		codec, err := NewCodec(s)
		if err != nil {
			t.Fatal(err)
		}
		gen := generator(s)
		for _, size := range []int{0, 1, 31, 64, 257, 1000} {
			blocks := randomBlocks(s, size, rng)
			want := product(gen, blocks[:s.K])
			if err := codec.Encode(blocks); err != nil {
				t.Fatal(err)
			}
			for i := range blocks {
				if !bytes.Equal(blocks[i], want[i]) {
					t.Fatalf("%s, %d bytes: block %d differs from the reference", s, size, i)
				}
			}
		}
	}
}

// losses calls f with every choice of up to m lost shards, or a sample of them when there are many.
func losses(s Scheme, rng *rand.Rand, f func(lost []bool)) {
	if s.Shards() <= 12 {
		for mask := range 1 << s.Shards() {
			lost, n := make([]bool, s.Shards()), 0
			for i := range lost {
				if lost[i] = mask>>i&1 == 1; lost[i] {
					n++
				}
			}
			if n <= s.M {
				f(lost)
			}
		}
		return
	}
	for range 200 {
		lost := make([]bool, s.Shards())
		for _, i := range rng.Perm(len(lost))[:rng.IntN(s.M+1)] {
			lost[i] = true
		}
		f(lost)
	}
}

func TestAnyKBlocksGiveTheOthers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, s := range testSchemes {
		codec, _ := NewCodec(s)
		whole := randomBlocks(s, 100, rng)
		if err := codec.Encode(whole); err != nil {
			t.Fatal(err)
		}
		losses(s, rng, func(lost []bool) {
			blocks, want := make([][]byte, len(lost)), make([]bool, len(lost))
			room := make([]byte, 100)
			first := -1
			for i := range blocks {
				switch {
				case !lost[i]:
					blocks[i] = bytes.Clone(whole[i])
				case first < 0:
					first = i
					blocks[i], want[i] = room[:0], true
				default:
					want[i] = rng.IntN(2) == 0
				}
			}
			if err := codec.Reconstruct(blocks, want); err != nil {
				t.Fatalf("%s, lost %v: %v", s, lost, err)
			}
			for i := range blocks {
				switch {
				case want[i] || !lost[i]:
					if !bytes.Equal(blocks[i], whole[i]) {
						t.Fatalf("%s, lost %v: block %d is wrong", s, lost, i)
					}
				case len(blocks[i]) != 0:
					t.Fatalf("%s, lost %v: block %d was not asked for", s, lost, i)
				}
			}
			if first >= 0 && &blocks[first][0] != &room[0] {
				t.Fatalf("%s: the buffer was not used", s)
			}
		})
	}
}

// TestAnyRangeOfOffsetsCodesAlone: what ranged reads with a lost shard count on.
func TestAnyRangeOfOffsetsCodesAlone(t *testing.T) {
	s := Scheme{4, 2}
	codec, _ := NewCodec(s)
	whole := randomBlocks(s, 1000, rand.New(rand.NewPCG(5, 6)))
	if err := codec.Encode(whole); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int{{0, 1}, {999, 1000}, {17, 450}} {
		part := make([][]byte, 6)
		for i := range part {
			if i != 1 && i != 2 {
				part[i] = whole[i][r[0]:r[1]]
			}
		}
		if err := codec.Reconstruct(part, []bool{false, true, true, false, false, false}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(part[1], whole[1][r[0]:r[1]]) || !bytes.Equal(part[2], whole[2][r[0]:r[1]]) {
			t.Fatalf("range %v is wrong", r)
		}
	}
}

func TestTooFewBlocksAreAnError(t *testing.T) {
	for _, s := range []Scheme{{4, 2}, {1, 2}, {2, 0}, {1, 0}} {
		codec, _ := NewCodec(s)
		blocks, want := make([][]byte, s.Shards()), make([]bool, s.Shards())
		for i := range s.K - 1 {
			blocks[i] = make([]byte, 10)
		}
		want[s.K-1] = true
		if err := codec.Reconstruct(blocks, want); err == nil {
			t.Errorf("%s: reconstructed from %d blocks", s, s.K-1)
		}
	}
	codec, _ := NewCodec(Scheme{4, 2})
	if codec.Encode(make([][]byte, 5)) == nil || codec.Reconstruct(make([][]byte, 6), make([]bool, 4)) == nil {
		t.Error("a wrong number of blocks was taken")
	}
}

func TestOneCodecAScheme(t *testing.T) {
	var c Codecs
	a, err := c.Get(Scheme{4, 2})
	b, _ := c.Get(Scheme{4, 2})
	other, _ := c.Get(Scheme{6, 2})
	if err != nil || a != b || a == other {
		t.Error("codecs are not shared by scheme")
	}
	if _, err := c.Get(Scheme{40, 2}); err == nil {
		t.Error("an impossible scheme got a codec")
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, s := range []Scheme{{4, 2}, {12, 4}} {
		b.Run(s.String(), func(b *testing.B) {
			codec, _ := NewCodec(s)
			blocks := randomBlocks(s, BlockLen(s.K), rand.New(rand.NewPCG(1, 1)))
			b.SetBytes(int64(s.K * BlockLen(s.K)))
			b.ReportAllocs()
			for b.Loop() {
				if err := codec.Encode(blocks); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
