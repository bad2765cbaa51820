package seal_test

import (
	"bytes"
	"fmt"
	"testing"

	"holdfast/internal/kind"
	"holdfast/seal"
)

// cut splits ciphertext at its chunk edges.
func cut(text []byte) (chunks [][]byte) {
	for len(text) > 0 {
		n := min(full, len(text))
		chunks, text = append(chunks, text[:n]), text[n:]
	}
	return chunks
}

// wantPrefix opens edited ciphertext and demands an error, with nothing written but plaintext of
// the whole chunks before the edit. Both readers must refuse it.
func wantPrefix(t *testing.T, s sealed, edited []byte, good int, what string) {
	t.Helper()
	size := int64(len(s.plain))
	for _, step := range []int{len(edited) + 1, 5000} {
		got, err := open(s.key, s.stream, edited, size, 0, size, step)
		if kind.Of(err) != kind.Damaged {
			t.Fatalf("%s: %v", what, err)
		}
		if want := s.plain[:min(len(s.plain), good*chunk)]; !bytes.Equal(got, want) {
			t.Fatalf("%s: %d bytes left, want the %d of %d good chunks", what, len(got), len(want), good)
		}
	}
	if _, err := indStream(seal.BytesOf(s.key), edited, string(s.stream[:]), int(size)); err == nil {
		t.Fatalf("%s: the independent reader takes it", what)
	}
	if got, err := seal.OpenBytes(s.key, s.stream, edited); err == nil || got != nil {
		t.Fatalf("%s: OpenBytes takes it", what)
	}
}

// TestChunkEditsNeverOpen makes every edit of whole chunks at every chunk edge, in streams that end
// with a short, a full and a one-byte chunk.
func TestChunkEditsNeverOpen(t *testing.T) {
	for _, size := range []int{3*chunk + 100, 4 * chunk, 3*chunk + 1} {
		s := sealStream(t, "edits", size)
		other := sealStream(t, "other", size)
		twin := sealTwin(t, s, "twin", roll16("twin"))
		c := cut(s.text)
		for i := range c {
			name := func(what string, j int) string { return fmt.Sprintf("size %d: %s %d %d", size, what, i, j) }
			wantPrefix(t, s, bytes.Join(append(bytes2(c[:i]), c[i+1:]...), nil), i, name("drop", 0))
			wantPrefix(t, s, bytes.Join(append(bytes2(c[:i+1]), c[i:]...), nil), min(i+1, len(c)), name("repeat", 0))
			wantPrefix(t, s, bytes.Join(c[:i], nil), i, name("truncate at the edge", 0))
			if i > 0 {
				rev := bytes2(c)
				for a, b := 0, i; a < b; a, b = a+1, b-1 {
					rev[a], rev[b] = rev[b], rev[a]
				}
				wantPrefix(t, s, bytes.Join(rev, nil), 0, name("reverse", 0))
			}
			for j := i + 1; j < len(c); j++ {
				swap := bytes2(c)
				swap[i], swap[j] = swap[j], swap[i]
				wantPrefix(t, s, bytes.Join(swap, nil), i, name("swap", j))
			}
			for j := range c {
				if j != i {
					over := bytes2(c)
					over[i] = c[j]
					wantPrefix(t, s, bytes.Join(over, nil), i, name("overwrite with", j))
				}
			}
			for what, from := range map[string]sealed{"another object": other, "another stream under the same key": twin} {
				splice := bytes2(c)
				splice[i] = cut(from.text)[i]
				wantPrefix(t, s, bytes.Join(splice, nil), i, name("splice from "+what, 0))
				wantPrefix(t, s, bytes.Join(append(bytes2(c[:i]), cut(from.text)[i:]...), nil), i, name("tail of "+what, 0))
			}
		}
		wantPrefix(t, s, append(bytes.Clone(s.text), 0), len(c), "one byte more")
		wantPrefix(t, s, append(bytes.Clone(s.text), c[len(c)-1]...), len(c), "final chunk twice")
		for _, by := range []int{1, 15, 16, 17} {
			wantPrefix(t, s, s.text[:len(s.text)-by], (len(s.text)-by)/full, "bytes cut off")
		}
	}
}

func bytes2(c [][]byte) [][]byte { return append([][]byte(nil), c...) }

// sealTwin seals the plaintext of s under its data key but another stream ID, as a second attempt
// would if a caller used a data key twice.
func sealTwin(t *testing.T, s sealed, name string, stream [16]byte) sealed {
	t.Helper()
	text, err := seal.SealBytes(seal.DataKeyOf(seal.BytesOf(s.key), stream), stream, s.plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(text[:64], s.text[:64]) {
		t.Fatalf("%s has the same ciphertext", name)
	}
	return sealed{key: s.key, stream: stream, plain: s.plain, text: text}
}

// A sealed stream must not open when the metadata gives it another length, in either direction.
func TestStreamOfAnotherSizeNeverOpens(t *testing.T) {
	for _, size := range []int{chunk, 2 * chunk, 2*chunk + 5} {
		s := sealStream(t, "sizes", size)
		for _, claim := range []int{0, 1, size - 1, size + 1, chunk, 2 * chunk, 3 * chunk} {
			if claim == size {
				continue
			}
			text := s.text
			if want := int(seal.SealedLen(int64(claim))); want < len(text) {
				text = text[:want]
			}
			got, err := open(s.key, s.stream, text, int64(claim), 0, int64(claim), full)
			wantKind(t, err, kind.Damaged)
			if !bytes.HasPrefix(s.plain, got) || len(got)%chunk != 0 {
				t.Errorf("size %d as %d: %d bytes left", size, claim, len(got))
			}
		}
	}
}

func TestFlipOfAnyBitOfASmallObjectNeverOpens(t *testing.T) {
	for _, size := range []int{0, 1, 16, 300} {
		s := sealStream(t, "flips", size)
		for n := range s.text {
			for bit := range 8 {
				bad := bytes.Clone(s.text)
				bad[n] ^= 1 << bit
				got, err := open(s.key, s.stream, bad, int64(size), 0, int64(size), len(bad))
				if kind.Of(err) != kind.Damaged || len(got) > 0 {
					t.Fatalf("size %d byte %d bit %d: %d bytes, %v", size, n, bit, len(got), err)
				}
				if _, err := seal.OpenBytes(s.key, s.stream, bad); kind.Of(err) != kind.Damaged {
					t.Fatalf("size %d byte %d bit %d: OpenBytes: %v", size, n, bit, err)
				}
			}
		}
	}
}

// Flips beside every chunk edge of a larger object; what was written must end before the chunk.
func TestFlipBesideAChunkEdgeStopsBeforeTheChunk(t *testing.T) {
	s := sealStream(t, "edges", 3*chunk+9)
	for i, c := range cut(s.text) {
		for _, at := range []int{0, 1, len(c) / 2, len(c) - 17, len(c) - 16, len(c) - 1} {
			bad := bytes.Clone(s.text)
			bad[i*full+at] ^= 1
			wantPrefix(t, s, bad, i, fmt.Sprintf("flip %d of chunk %d", at, i))
		}
	}
}

func TestStreamNeedsItsKeyAndItsID(t *testing.T) {
	s := sealStream(t, "needs", 100)
	_, err := seal.OpenBytes(seal.DataKeyOf(roll("other", 32), s.stream), s.stream, s.text)
	wantKind(t, err, kind.Damaged)
	for n := range s.stream {
		id := s.stream
		id[n] ^= 1
		_, err = seal.OpenBytes(s.key, id, s.text)
		wantKind(t, err, kind.Damaged)
	}
}

// A chunk that failed leaves nothing of its plaintext in the caller's buffer either.
func TestFailedChunkIsClearedInPlace(t *testing.T) {
	s := sealStream(t, "clear", 2*chunk)
	bad := bytes.Clone(s.text)
	bad[full+full-1] ^= 1
	o := seal.NewOpener(s.key, s.stream, 2*chunk, 0, 2*chunk, writerFunc(func(b []byte) (int, error) { return len(b), nil }))
	wantKind(t, o.Write(bad), kind.Damaged)
	if !bytes.Equal(bad[full:full+chunk], make([]byte, chunk)) {
		t.Error("the buffer holds what was not authentic")
	}
	wantKind(t, o.Close(), kind.Damaged)
}

// After an error an Opener stays shut, although the next bytes would be right.
func TestOpenerStaysShutAfterAnError(t *testing.T) {
	s := sealStream(t, "shut", 2*chunk)
	var out bytes.Buffer
	o := seal.NewOpener(s.key, s.stream, 2*chunk, 0, 2*chunk, &out)
	bad := bytes.Clone(s.text[:full])
	bad[0] ^= 1
	wantKind(t, o.Write(bad), kind.Damaged)
	wantKind(t, o.Write(bytes.Clone(s.text)), kind.Damaged)
	wantKind(t, o.Close(), kind.Damaged)
	if out.Len() != 0 {
		t.Errorf("%d bytes left", out.Len())
	}
}
