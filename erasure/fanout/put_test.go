package fanout

import (
	"bytes"
	"context"
	"testing"

	"holdfast/erasure"
)

func TestWhatWasPutIsGot(t *testing.T) {
	for _, s := range []erasure.Scheme{{K: 1}, {K: 1, M: 2}, {K: 4, M: 2}, {K: 3, M: 2}, {K: 8, M: 4}, {K: 16, M: 16}} {
		r := newRig(t, s.Shards(), nil)
		b := erasure.BlockLen(s.K)
		stripe := b * s.K
		for _, size := range []int{0, 1, 2, 5, erasure.SealedChunk - 1, erasure.SealedChunk, erasure.SealedChunk + 1, b - 1, b, b + 1, stripe - 1, stripe, stripe + 1, 2*stripe + b + 7, 5 * stripe} {
			data := randomBytes(size, uint64(size))
			var seen bytes.Buffer
			spec := r.spec(s, int64(size))
			spec.Inspect = func(b []byte) { seen.Write(b) }
			ref := r.put(spec, data)
			if !bytes.Equal(seen.Bytes(), data) {
				t.Fatalf("%s size %d: Inspect saw other bytes", s, size)
			}
			r.mustGet(ref, data)
			for _, rng := range [][2]int{{0, 1}, {size / 2, 1}, {size / 3, size / 2}, {size - 1, 1}, {b - 1, 2}, {stripe - 1, 2}, {stripe - 5, stripe}} {
				off, n := rng[0], rng[1]
				if off < 0 || n < 0 || off+n > size {
					continue
				}
				got, err := r.get(ref, int64(off), int64(n))
				if err != nil || !bytes.Equal(got, data[off:off+n]) {
					t.Fatalf("%s size %d range %d+%d: wrong: %v", s, size, off, n, err)
				}
			}
			if err := r.f.Delete(context.Background(), ref.Data, ref.Drives); err != nil {
				t.Fatal(err)
			}
			if n := r.census(); n != 0 {
				t.Fatalf("%d shards left after delete", n)
			}
		}
		if s := r.f.Stats(); s.PutBytes != 0 || s.GetBytes != 0 || s.Decoded != 0 {
			t.Fatalf("%+v", s)
		}
	}
}
