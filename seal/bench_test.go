package seal_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"

	"holdfast/seal"
)

// zeros is a source without end or cost.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	z.left -= n
	return n, nil
}

const benchChunks = 160 // 10 MiB

func BenchmarkSealReader(b *testing.B) {
	buf, stream, raw := make([]byte, 16*full), roll16("s"), roll("d", 32)
	b.SetBytes(benchChunks * chunk)
	b.ReportAllocs()
	for b.Loop() {
		r := seal.NewSealReader(seal.DataKeyOf(raw, stream), stream, &zeros{benchChunks * chunk}, benchChunks*chunk)
		for {
			if _, err := r.Read(buf); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkOpener(b *testing.B) {
	s := sealStream(b, "bench", 16*chunk)
	text := make([]byte, len(s.text))
	b.SetBytes(16 * chunk)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer() // opening is in place and spoils its input
		copy(text, s.text)
		b.StartTimer()
		o := seal.NewOpener(s.key, s.stream, 16*chunk, 0, 16*chunk, io.Discard)
		if err := o.Write(text); err != nil {
			b.Fatal(err)
		}
		if err := o.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSmallObject is all that sealing adds to a PUT of 4 KiB: object key, envelope, data key,
// body and one checksum; and what it adds to the GET.
func BenchmarkSmallObject(b *testing.B) {
	c, p, stream, body := customer(b, roll("c", 32)), place("a"), roll16("s"), make([]byte, 4096)
	var env seal.Envelope
	var wrapped, text, sum []byte
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o, _ := seal.NewObjectKey(rand.Reader)
			env, _ = o.Wrap(c, p, rand.Reader)
			d, w, _ := o.NewDataKey(1, stream, rand.Reader)
			wrapped = w
			text, _ = seal.SealBytes(d, stream, body)
			sum, _ = o.SealSmall("checksum", body[:8], rand.Reader)
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o, err := seal.Unwrap(env, c, p)
			if err != nil {
				b.Fatal(err)
			}
			d, _ := o.OpenDataKey(wrapped, 1, stream)
			if _, err := seal.OpenBytes(d, stream, text); err != nil {
				b.Fatal(err)
			}
			if _, err := o.OpenSmall("checksum", sum); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestChunksCostNoAllocation counts: two streams that differ by 64 chunks allocate the same.
func TestChunksCostNoAllocation(t *testing.T) {
	buf, stream, raw := make([]byte, 16*full), roll16("s"), roll("d", 32)
	seals := func(chunks int) float64 {
		return testing.AllocsPerRun(5, func() {
			r := seal.NewSealReader(seal.DataKeyOf(raw, stream), stream, &zeros{chunks * chunk}, int64(chunks*chunk))
			for {
				if _, err := r.Read(buf); err != nil {
					return
				}
			}
		})
	}
	opens := func(chunks int) float64 {
		s := sealStream(t, "allocs", chunks*chunk)
		texts := [][]byte{s.text, bytes.Clone(s.text)} // opened in place: one for the warm-up, one to count
		return testing.AllocsPerRun(1, func() {
			text := texts[0]
			texts = texts[1:]
			o := seal.NewOpener(s.key, s.stream, int64(chunks*chunk), 0, int64(chunks*chunk), io.Discard)
			if err := o.Write(text); err != nil {
				t.Error(err)
			}
		})
	}
	// The runtime allocates now and then on its own; one allocation a chunk would be 64 more.
	if few, many := seals(16), seals(80); many > few+8 {
		t.Errorf("SealReader: %v allocations for 16 chunks, %v for 80", few, many)
	}
	if few, many := opens(16), opens(80); many > few+8 {
		t.Errorf("Opener: %v allocations for 16 chunks, %v for 80", few, many)
	}
}
