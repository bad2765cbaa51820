package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"holdfast/seal"
)

func sum256(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

// TestWriterStillMakesTheVectors makes all vectors from their seeds and compares them with the files:
// a change of the writer that readers of the format would not notice is seen here too.
func TestWriterStillMakesTheVectors(t *testing.T) {
	files := map[string][]byte{}
	put := func(name string, vectors any) {
		b, err := json.MarshalIndent(vectors, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = append(b, '\n')
	}
	put("envelope.json", makeEnvelopes(t))
	put("datakey.json", makeDataKeys(t))
	put("small.json", makeSmall(t))
	streams, a, b, c := makeStreams(t)
	put("stream.json", streams)
	files["a.bin"], files["b.bin"], files["c.bin"] = a, b, c
	for name, want := range files {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the writer makes now: %v", path, err)
		}
	}
}

func makeEnvelopes(t *testing.T) []envelopeVector {
	makeOne := func(name string, key string) envelopeVector {
		p := place(name)
		p.Key = key
		c, o := roll("customer "+name, 32), seal.ObjectKeyOf(roll("object "+name, 32))
		e := wrap(t, o, customer(t, c), p, "vector "+name)
		return envelopeVector{name, c, p.Bucket[:], p.Key, p.Version[:], e.Version, e.Salt, e.WrappedKey, e.Commitment, seal.BytesOf(o), ""}
	}
	a, b := makeOne("plain name", "photos/2026/a.jpg"), makeOne("unicode name", "photos/été/猫 🐈")
	out := []envelopeVector{a, b, makeOne("empty name", ""), makeOne("long name", string(bytes.Repeat([]byte("k"), 1024))), makeOne("zero bytes in the name", "a\x00b")}
	bad := func(name, err string, change func(*envelopeVector)) {
		v := a
		v.Salt, v.WrappedKey, v.Commitment = bytes.Clone(a.Salt), bytes.Clone(a.WrappedKey), bytes.Clone(a.Commitment)
		change(&v)
		v.Name, v.Error, v.ObjectKey = name, err, nil
		out = append(out, v)
	}
	bad("another customer key", "wrong key", func(v *envelopeVector) { v.CustomerKey = b.CustomerKey })
	bad("moved to another bucket", "wrong key", func(v *envelopeVector) { v.Bucket = b.Bucket })
	bad("moved to another key", "wrong key", func(v *envelopeVector) { v.Key = b.Key })
	bad("moved to a shorter key", "wrong key", func(v *envelopeVector) { v.Key = v.Key[:len(v.Key)-1] })
	bad("moved to another version", "wrong key", func(v *envelopeVector) { v.Version = b.Version })
	bad("salt flipped", "wrong key", func(v *envelopeVector) { v.Salt[0] ^= 1 })
	bad("commitment flipped", "wrong key", func(v *envelopeVector) { v.Commitment[31] ^= 1 })
	bad("commitment of another", "wrong key", func(v *envelopeVector) { v.Commitment = b.Commitment })
	bad("nonce flipped", "damaged", func(v *envelopeVector) { v.WrappedKey[0] ^= 1 })
	bad("wrapped key flipped", "damaged", func(v *envelopeVector) { v.WrappedKey[12] ^= 1 })
	bad("tag flipped", "damaged", func(v *envelopeVector) { v.WrappedKey[59] ^= 1 })
	bad("wrapped key of another", "damaged", func(v *envelopeVector) { v.WrappedKey = b.WrappedKey })
	bad("wrapped key cut", "damaged", func(v *envelopeVector) { v.WrappedKey = v.WrappedKey[:59] })
	bad("commitment cut", "damaged", func(v *envelopeVector) { v.Commitment = v.Commitment[:16] })
	bad("unknown version", "format", func(v *envelopeVector) { v.Format = 2 })
	return out
}

func makeDataKeys(t *testing.T) []dataKeyVector {
	makeOne := func(name string, part uint32) dataKeyVector {
		o, stream := roll("object "+name, 32), roll16("stream "+name)
		d, wrapped, err := seal.ObjectKeyOf(o).NewDataKey(part, stream, newDice("vector "+name))
		if err != nil {
			t.Fatal(err)
		}
		return dataKeyVector{name, o, part, stream[:], wrapped, seal.BytesOf(d), ""}
	}
	a, b := makeOne("part 1", 1), makeOne("part 10000", 10000)
	out := []dataKeyVector{a, b}
	bad := func(name, err string, change func(*dataKeyVector)) {
		v := a
		v.Wrapped = bytes.Clone(a.Wrapped)
		change(&v)
		v.Name, v.Error, v.DataKey = name, err, nil
		out = append(out, v)
	}
	bad("another object key", "damaged", func(v *dataKeyVector) { v.ObjectKey = b.ObjectKey })
	bad("moved to part 2", "damaged", func(v *dataKeyVector) { v.Part = 2 })
	bad("moved to another stream", "damaged", func(v *dataKeyVector) { v.Stream = b.Stream })
	bad("nonce flipped", "damaged", func(v *dataKeyVector) { v.Wrapped[1] ^= 1 })
	bad("ciphertext flipped", "damaged", func(v *dataKeyVector) { v.Wrapped[13] ^= 1 })
	bad("tag flipped", "damaged", func(v *dataKeyVector) { v.Wrapped[60] ^= 1 })
	bad("cut", "damaged", func(v *dataKeyVector) { v.Wrapped = v.Wrapped[:60] })
	bad("empty", "damaged", func(v *dataKeyVector) { v.Wrapped = hexed{} })
	bad("unknown version", "format", func(v *dataKeyVector) { v.Wrapped[0] = 2 })
	return out
}

func makeSmall(t *testing.T) []smallVector {
	makeOne := func(name, label string, plain []byte) smallVector {
		k := roll("key "+name, 32)
		sealed, err := seal.ObjectKeyOf(k).SealSmall(label, plain, newDice("vector "+name))
		if err != nil {
			t.Fatal(err)
		}
		return smallVector{name, k, label, sealed, plain, ""}
	}
	a := makeOne("crc", "checksum", roll("crc", 4))
	out := []smallVector{a, makeOne("sha256", "checksum", roll("sha", 32)), makeOne("empty", "checksum", []byte{}), makeOne("empty label", "", []byte("x"))}
	bad := func(name, err string, change func(*smallVector)) {
		v := a
		v.Sealed = bytes.Clone(a.Sealed)
		change(&v)
		v.Name, v.Error, v.Plain = name, err, hexed{}
		out = append(out, v)
	}
	bad("another key", "damaged", func(v *smallVector) { v.Key = out[1].Key })
	bad("another label", "damaged", func(v *smallVector) { v.Label = "checksums" })
	bad("nonce flipped", "damaged", func(v *smallVector) { v.Sealed[1] ^= 1 })
	bad("ciphertext flipped", "damaged", func(v *smallVector) { v.Sealed[13] ^= 1 })
	bad("tag flipped", "damaged", func(v *smallVector) { v.Sealed[len(v.Sealed)-1] ^= 1 })
	bad("cut", "damaged", func(v *smallVector) { v.Sealed = v.Sealed[:28] })
	bad("unknown version", "format", func(v *smallVector) { v.Sealed[0] = 9 })
	return out
}

// makeStreams seals a.bin and b.bin, two full chunks and one byte each, and c.bin, one full chunk, and
// names edits of them.
func makeStreams(t *testing.T) (out []streamVector, textA, textB, textC []byte) {
	text := func(key []byte, stream [16]byte, plain []byte) []byte {
		r := seal.NewSealReader(seal.DataKeyOf(key, stream), stream, bytes.NewReader(plain), int64(len(plain)))
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const size = 2*chunk + 1
	key, stream, streamB := roll("data a", 32), roll16("stream a"), roll16("stream b")
	plain := roll("plain a", size)
	textA, textB = text(key, stream, plain), text(key, streamB, roll("plain b", size))
	a := func(off, n int) piece { return piece{File: "a.bin", Off: off, Len: n} }
	c0, c1, c2 := a(0, full), a(full, full), a(2*full, 17)
	for _, n := range []int{0, 1, 16, 100} {
		name := fmt.Sprintf("%d bytes", n)
		s, k, p := roll16("stream "+name), roll("data "+name, 32), roll("plain "+name, n)
		out = append(out, streamVector{Name: name, DataKey: k, Stream: s[:], Size: int64(n), Text: []piece{{Hex: text(k, s, p)}}, SHA256: sum256(p)})
	}
	out = append(out, streamVector{Name: "two chunks and a byte", DataKey: key, Stream: stream[:], Size: size, Text: []piece{c0, c1, c2}, SHA256: sum256(plain)})
	keyC := roll("data c", 32)
	textC = text(keyC, stream, plain[:chunk])
	out = append(out, streamVector{Name: "one full chunk", DataKey: keyC, Stream: stream[:], Size: chunk, Text: []piece{{File: "c.bin", Len: full}}, SHA256: sum256(plain[:chunk])})
	bad := func(name string, n int64, flip []int, pieces ...piece) {
		out = append(out, streamVector{Name: name, DataKey: key, Stream: stream[:], Size: n, Text: pieces, Flip: flip, Error: "damaged"})
	}
	bad("swapped chunks", size, nil, c1, c0, c2)
	bad("first chunk dropped", size, nil, c1, c2)
	bad("middle chunk dropped", size, nil, c0, c2)
	bad("middle chunk dropped, size to match", chunk+1, nil, c0, c2)
	bad("final chunk dropped", size, nil, c0, c1)
	bad("final chunk dropped, size to match", 2*chunk, nil, c0, c1)
	bad("first chunk alone, size to match", chunk, nil, c0)
	bad("final chunk alone, size to match", 1, nil, c2)
	bad("chunk repeated", size, nil, c0, c0, c1, c2)
	bad("chunk repeated in place of the next", size, nil, c0, c0, c2)
	bad("final chunk repeated", size, nil, c0, c1, c2, c2)
	bad("one byte more", size, nil, c0, c1, c2, piece{Hex: hexed{0}})
	bad("one byte less", size, nil, c0, c1, a(2*full, 16))
	bad("chunk of another stream under the same key", size, nil, c0, piece{File: "b.bin", Off: full, Len: full}, c2)
	bad("final chunk of another stream", size, nil, c0, c1, piece{File: "b.bin", Off: 2 * full, Len: 17})
	bad("wholly another stream", size, nil, piece{File: "b.bin", Len: len(textB)})
	bad("first byte flipped", size, []int{0}, c0, c1, c2)
	bad("first tag flipped", size, []int{full - 1}, c0, c1, c2)
	bad("second chunk flipped", size, []int{full}, c0, c1, c2)
	bad("final byte flipped", size, []int{2 * full}, c0, c1, c2)
	bad("final tag flipped", size, []int{2*full + 16}, c0, c1, c2)
	bad("empty stream without its chunk", 0, nil)
	return out, textA, textB, textC
}
