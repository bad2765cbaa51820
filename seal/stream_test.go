package seal_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"holdfast/internal/kind"
	"holdfast/seal"
)

const (
	chunk = seal.ChunkSize
	full  = seal.SealedChunk
)

// edges are sizes in plaintext bytes at and beside every edge of the first four chunks.
func edges() []int {
	out := []int{0, 1, 2, 15, 16, 17, 1000}
	for n := 1; n <= 4; n++ {
		out = append(out, n*chunk-1, n*chunk, n*chunk+1)
	}
	return out
}

func TestSealedLenAndPlainLenAreInverse(t *testing.T) {
	want := map[int64]int64{0: 16, 1: 17, chunk: chunk + 16, chunk + 1: chunk + 33, 2 * chunk: 2*chunk + 32, 5 << 30: 5<<30 + 81920*16, 5 << 40: 5<<40 + 83886080*16}
	for plain, text := range want {
		if got := seal.SealedLen(plain); got != text {
			t.Errorf("SealedLen(%d) = %d, want %d", plain, got, text)
		}
	}
	known := map[int64]int64{}
	for n := range int64(3*chunk + 3) {
		known[seal.SealedLen(n)] = n
	}
	for n := int64(-20); n < seal.SealedLen(3*chunk+2); n++ {
		got, err := seal.PlainLen(n)
		want, ok := known[n]
		if ok != (err == nil) || ok && got != want {
			t.Fatalf("PlainLen(%d) = %d, %v, want %d, %v", n, got, err, want, ok)
		}
		if !ok {
			wantKind(t, err, kind.Damaged)
		}
	}
	for _, n := range []int64{math.MinInt64, math.MaxInt64, seal.SealedLen(seal.MaxStream) + 1} {
		if got, err := seal.PlainLen(n); err == nil {
			t.Errorf("PlainLen(%d) = %d", n, got)
		}
	}
	if got, err := seal.PlainLen(seal.SealedLen(seal.MaxStream)); got != seal.MaxStream || err != nil {
		t.Errorf("the largest stream: %d, %v", got, err)
	}
}

// walk is Locate by counting: it lays out every chunk and takes those that share a byte with the
// range.
func walk(off, n, size int64) (cipherOff, cipherLen, first, skip int64) {
	cipherOff, first = -1, -1
	var at, text int64
	for i := int64(0); at < size || i == 0; i++ {
		have := min(chunk, size-at)
		if (n > 0 && off < at+have && off+n > at) || size == 0 {
			if first < 0 {
				cipherOff, first, skip = text, i, off-at
			}
			cipherLen += have + 16
		}
		at, text = at+have, text+have+16
	}
	if first < 0 {
		return 0, 0, 0, 0
	}
	return cipherOff, cipherLen, first, skip
}

func TestLocateAgreesWithCountingAtEveryEdge(t *testing.T) {
	ranges := 0
	for _, size := range edges() {
		for _, off := range append(edges(), size-1, size) {
			for _, n := range append(edges(), size-off, size-off-1) {
				if off < 0 || n < 0 || off+n > size {
					continue
				}
				ranges++
				a, b, c, d := seal.Locate(int64(off), int64(n), int64(size))
				e, f, g, h := walk(int64(off), int64(n), int64(size))
				if a != e || b != f || c != g || d != h {
					t.Fatalf("Locate(%d, %d, %d) = %d %d %d %d, want %d %d %d %d", off, n, size, a, b, c, d, e, f, g, h)
				}
			}
		}
	}
	if ranges < 1000 {
		t.Fatalf("only %d ranges", ranges)
	}
}

func TestLocateOfARangeOutsideTheStreamIsEmpty(t *testing.T) {
	for _, r := range [][3]int64{{-1, 1, 10}, {0, -1, 10}, {0, 11, 10}, {11, 0, 10}, {10, 1, 10}, {math.MaxInt64, math.MaxInt64, 10}, {0, 1, -1}, {1, math.MaxInt64, 10}, {0, 1, math.MaxInt64}} {
		if a, b, c, d := seal.Locate(r[0], r[1], r[2]); a|b|c|d != 0 {
			t.Errorf("Locate(%v) = %d %d %d %d", r, a, b, c, d)
		}
		o := seal.NewOpener(seal.DataKeyOf(roll("d", 32), roll16("s")), roll16("s"), r[2], r[0], r[1], io.Discard)
		if o.Write(make([]byte, full)) == nil || o.Close() == nil {
			t.Errorf("an Opener took the range %v", r)
		}
	}
}

func TestLocateInTheLargestObject(t *testing.T) {
	off, length, first, skip := seal.Locate(seal.MaxStream-1, 1, seal.MaxStream)
	if first != 83886079 || off != first*full || length != full || skip != chunk-1 {
		t.Errorf("last byte: %d %d %d %d", off, length, first, skip)
	}
}

func TestEverySizeReadsBackAndOpensForTheIndependentReader(t *testing.T) {
	for _, size := range edges() {
		s := sealStream(t, "size", size)
		if int64(len(s.text)) != seal.SealedLen(int64(size)) {
			t.Fatalf("size %d: %d bytes of ciphertext", size, len(s.text))
		}
		got, err := open(s.key, s.stream, s.text, int64(size), 0, int64(size), len(s.text))
		if err != nil || !bytes.Equal(got, s.plain) {
			t.Fatalf("size %d: %v", size, err)
		}
		if got, err = seal.OpenBytes(s.key, s.stream, s.text); err != nil || !bytes.Equal(got, s.plain) {
			t.Fatalf("size %d: OpenBytes: %v", size, err)
		}
		if got, err = indStream(seal.BytesOf(s.key), s.text, string(s.stream[:]), size); err != nil || !bytes.Equal(got, s.plain) {
			t.Fatalf("size %d: independent reader: %v", size, err)
		}
		text, err := seal.SealBytes(s.key, s.stream, s.plain)
		if err != nil || !bytes.Equal(text, s.text) {
			t.Fatalf("size %d: SealBytes differs from SealReader: %v", size, err)
		}
	}
}

// Reads of any length give the same ciphertext, whether they stage or seal in place.
func TestSealReaderGivesTheSameForReadsOfAnyLength(t *testing.T) {
	for _, size := range []int{0, 1, chunk, chunk + 1, 3*chunk - 5} {
		s := sealStream(t, "reads", size)
		for _, step := range []int{1, 15, 4096, chunk, full - 1, full, full + 1, 2*full + 7, 16 * full} {
			if step == 1 && size > chunk {
				continue
			}
			d := seal.DataKeyOf(seal.BytesOf(s.key), s.stream)
			r := seal.NewSealReader(d, s.stream, iotest.OneByteReader(bytes.NewReader(s.plain)), int64(size))
			if size > chunk {
				r = seal.NewSealReader(seal.DataKeyOf(seal.BytesOf(s.key), s.stream), s.stream, iotest.HalfReader(bytes.NewReader(s.plain)), int64(size))
			}
			var got []byte
			buf := make([]byte, step)
			for {
				n, err := r.Read(buf)
				got = append(got, buf[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil || n == 0 {
					t.Fatalf("size %d step %d: %d, %v", size, step, n, err)
				}
			}
			if !bytes.Equal(got, s.text) {
				t.Fatalf("size %d step %d: other ciphertext", size, step)
			}
			if n, err := r.Read(buf); n != 0 || err != io.EOF {
				t.Fatalf("after the end: %d, %v", n, err)
			}
		}
	}
}

// pieces is a source that records the buffers it was read into.
type pieces struct {
	io.Reader
	into [][]byte
}

func (p *pieces) Read(b []byte) (int, error) {
	p.into = append(p.into, b)
	return p.Reader.Read(b)
}

func TestSealReaderReadsPlaintextStraightIntoTheCallersBuffer(t *testing.T) {
	s := sealStream(t, "straight", 4*chunk)
	src := &pieces{Reader: bytes.NewReader(s.plain)}
	buf := make([]byte, 4*full)
	n, err := seal.NewSealReader(s.key, s.stream, src, 4*chunk).Read(buf)
	if n != len(buf) || err != nil || !bytes.Equal(buf, s.text) {
		t.Fatalf("one Read of four chunks: %d, %v", n, err)
	}
	for i := range 4 {
		if &src.into[i][0] != &buf[i*full] {
			t.Errorf("chunk %d was read elsewhere", i)
		}
	}
}

type failing struct {
	after int
	err   error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.after == 0 {
		return 0, f.err
	}
	n := min(len(p), f.after)
	copy(p, bytes.Repeat([]byte("plaintext canary"), n/16+1)[:n])
	f.after -= n
	return n, nil
}

// A source that fails, ends early or does not end must not lead to a complete stream, nor leave
// plaintext in the buffer.
func TestSealReaderNeverEndsAStreamWhoseSourceIsWrong(t *testing.T) {
	broken := errors.New("bad chunk signature")
	for _, size := range []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 3 * chunk} {
		for name, c := range map[string]struct {
			src  io.Reader
			want error
			skip bool
		}{
			"one byte short": {&failing{size - 1, io.EOF}, io.ErrUnexpectedEOF, size == 0},
			"half":           {&failing{size / 2, io.EOF}, io.ErrUnexpectedEOF, size == 0},
			"empty":          {&failing{0, io.EOF}, io.ErrUnexpectedEOF, size == 0},
			"one byte long":  {&failing{size + 1, io.EOF}, seal.ErrLongSource, false},
			"endless":        {&failing{size * 9, io.EOF}, seal.ErrLongSource, size == 0},
			"fails at start": {&failing{0, broken}, broken, false},
			"fails inside":   {&failing{size / 2, broken}, broken, size == 0},
			"fails at end":   {&failing{size, broken}, broken, false}, // a wrong checksum shows there
			"says nothing":   {&failing{size, nil}, io.ErrNoProgress, false},
		} {
			if c.skip {
				continue
			}
			d := seal.DataKeyOf(roll("d", 32), roll16("s"))
			buf := make([]byte, 4*full)
			n, err := io.ReadFull(seal.NewSealReader(d, roll16("s"), c.src, int64(size)), buf)
			if !errors.Is(err, c.want) || int64(n) >= seal.SealedLen(int64(size)) {
				t.Errorf("size %d, %s: %d bytes, %v, want %v", size, name, n, err, c.want)
			}
			if bytes.Contains(buf, []byte("text can")) {
				t.Errorf("size %d, %s: plaintext is left in the buffer", size, name)
			}
		}
	}
}

func TestSealReaderRefusesImpossibleSizes(t *testing.T) {
	for _, size := range []int64{-1, seal.MaxStream + 1, math.MaxInt64} {
		d := seal.DataKeyOf(roll("d", 32), roll16("s"))
		if n, err := seal.NewSealReader(d, roll16("s"), bytes.NewReader(nil), size).Read(make([]byte, full)); n != 0 || err == nil {
			t.Errorf("size %d: %d, %v", size, n, err)
		}
	}
}

func TestRangesOpenAtEveryEdge(t *testing.T) {
	for _, size := range []int{0, 1, chunk, chunk + 1, 3*chunk + 1} {
		s := sealStream(t, "ranges", size)
		for _, off := range append(edges(), size-1, size) {
			for _, n := range []int{0, 1, 2, chunk - 1, chunk, chunk + 1, 2 * chunk, size - off} {
				if off < 0 || n < 0 || off+n > size {
					continue
				}
				at, length, _, _ := seal.Locate(int64(off), int64(n), int64(size))
				got, err := open(s.key, s.stream, s.text[at:at+length], int64(size), int64(off), int64(n), 100_000)
				if err != nil || !bytes.Equal(got, s.plain[off:off+n]) {
					t.Fatalf("size %d range %d+%d: %d bytes, %v", size, off, n, len(got), err)
				}
			}
		}
	}
}

func TestOpenerTakesCiphertextInPiecesOfAnyLength(t *testing.T) {
	s := sealStream(t, "pieces", 3*chunk+77)
	for _, step := range []int{1, 16, 17, 4096, chunk, full - 1, full, full + 1, 2*full + 3, 4 * full} {
		at, length, _, _ := seal.Locate(chunk-3, chunk+10, 3*chunk+77)
		got, err := open(s.key, s.stream, s.text[at:at+length], 3*chunk+77, chunk-3, chunk+10, step)
		if err != nil || !bytes.Equal(got, s.plain[chunk-3:2*chunk+7]) {
			t.Fatalf("step %d: %d bytes, %v", step, len(got), err)
		}
	}
}

// A range that ends before the final chunk must not ask for it, and one that has it must see it.
func TestRangeNeedsItsOwnChunksAndNoOther(t *testing.T) {
	s := sealStream(t, "own", 3*chunk+1)
	at, length, _, _ := seal.Locate(chunk, chunk, 3*chunk+1)
	if at != full || length != full {
		t.Fatalf("the second chunk is at %d+%d", at, length)
	}
	if got, err := open(s.key, s.stream, s.text[at:at+length], 3*chunk+1, chunk, chunk, full); err != nil || !bytes.Equal(got, s.plain[chunk:2*chunk]) {
		t.Fatalf("the second chunk alone: %v", err)
	}
	// The same chunk where the metadata says that the stream ends there: the final byte shows it.
	got, err := open(s.key, s.stream, s.text[at:at+length], 2*chunk, chunk, chunk, full)
	wantKind(t, err, kind.Damaged)
	if len(got) != 0 {
		t.Fatal("bytes of a truncated stream left")
	}
}

func TestOpenerReportsWhatItsWriterSays(t *testing.T) {
	s := sealStream(t, "writer", 2*chunk)
	gone := errors.New("client gone")
	for name, c := range map[string]struct {
		w    io.Writer
		want error
	}{
		"error": {writerFunc(func(b []byte) (int, error) { return 0, gone }), gone},
		"short": {writerFunc(func(b []byte) (int, error) { return len(b) - 1, nil }), io.ErrShortWrite},
	} {
		o := seal.NewOpener(s.key, s.stream, 2*chunk, 0, 2*chunk, c.w)
		for range 2 {
			if err := o.Write(bytes.Clone(s.text)); !errors.Is(err, c.want) || kind.Is(err, kind.Damaged) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := o.Close(); !errors.Is(err, c.want) {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
