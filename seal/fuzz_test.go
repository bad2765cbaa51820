package seal_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"holdfast/internal/kind"
	"holdfast/seal"
)

// FuzzOpener feeds edited ciphertext in odd pieces: whatever comes out is a prefix of the plaintext
// that ends at a chunk edge, or all of it if and only if nothing was changed.
func FuzzOpener(f *testing.F) {
	const size = 2*chunk + 50
	s := sealStream(f, "fuzz", size)
	f.Add(uint32(0), []byte{}, uint32(0), uint32(size), uint16(0))
	f.Add(uint32(full), []byte{1}, uint32(chunk-1), uint32(2), uint16(17))
	f.Add(uint32(2*full+60), []byte("tail"), uint32(chunk), uint32(chunk+50), uint16(4096))
	f.Add(uint32(full-16), bytes.Repeat([]byte{0xff}, 32), uint32(0), uint32(0), uint16(1))
	f.Fuzz(func(t *testing.T, at uint32, xor []byte, off, n uint32, step uint16) {
		text := bytes.Clone(s.text)
		for i, x := range xor {
			if p := int(at) + i; p < len(text) {
				text[p] ^= x
			}
		}
		lo, length, _, _ := seal.Locate(int64(off), int64(n), size)
		piece := text[lo : lo+length]
		same := bytes.Equal(piece, s.text[lo:lo+length])
		got, err := open(s.key, s.stream, piece, size, int64(off), int64(n), int(step)+1)
		if int64(off)+int64(n) > size {
			if err == nil || len(got) > 0 {
				t.Fatalf("range %d+%d opened", off, n)
			}
			return
		}
		want := s.plain[off : off+n]
		if same != (err == nil) || !bytes.HasPrefix(want, got) || same && len(got) != len(want) {
			t.Fatalf("range %d+%d, unchanged %v: %d bytes, %v", off, n, same, len(got), err)
		}
		if !same && len(got) > 0 && (int(off)+len(got))%chunk != 0 {
			t.Fatalf("part of a chunk left: %d bytes from %d", len(got), off)
		}
	})
}

// FuzzOpenBytes opens arbitrary bytes: they never open, for they were never sealed.
func FuzzOpenBytes(f *testing.F) {
	s := sealStream(f, "fuzz", 40)
	f.Add([]byte{})
	f.Add(make([]byte, 16))
	f.Add(s.text)
	f.Add(make([]byte, full+16))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := seal.OpenBytes(s.key, s.stream, text)
		if bytes.Equal(text, s.text) {
			if err != nil || !bytes.Equal(got, s.plain) {
				t.Fatal(err)
			}
		} else if kind.Of(err) != kind.Damaged || got != nil {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

// FuzzEnvelope unwraps arbitrary records at arbitrary places: an error, never a panic.
func FuzzEnvelope(f *testing.F) {
	c, o, b := customer(f, roll("c", 32)), objectKey(f, "o"), place("a")
	e, err := o.Wrap(c, b, newDice("w"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Version, e.Salt, e.WrappedKey, e.Commitment, b.Key)
	f.Add(uint32(2), []byte{}, []byte{}, []byte{}, "")
	f.Add(uint32(1), make([]byte, 32), make([]byte, 60), make([]byte, 32), "k")
	f.Fuzz(func(t *testing.T, version uint32, salt, wrapped, commitment []byte, key string) {
		g := seal.Envelope{Version: version, Salt: salt, WrappedKey: wrapped, Commitment: commitment}
		got, err := seal.Unwrap(g, c, seal.Binding{Bucket: b.Bucket, Key: key, Version: b.Version})
		same := version == e.Version && key == b.Key && bytes.Equal(salt, e.Salt) &&
			bytes.Equal(wrapped, e.WrappedKey) && bytes.Equal(commitment, e.Commitment)
		if same != (err == nil) || same && !bytes.Equal(seal.BytesOf(got), seal.BytesOf(o)) {
			t.Fatalf("unchanged %v: %v", same, err)
		}
	})
}

// FuzzSmallRecords opens arbitrary wrapped data keys and small values.
func FuzzSmallRecords(f *testing.F) {
	o, stream := objectKey(f, "o"), roll16("s")
	_, wrapped, err := o.NewDataKey(1, stream, newDice("d"))
	if err != nil {
		f.Fatal(err)
	}
	small, err := o.SealSmall("l", []byte("value"), newDice("s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wrapped)
	f.Add(small)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := o.OpenDataKey(b, 1, stream); (err == nil) != bytes.Equal(b, wrapped) {
			t.Fatal(err)
		}
		if _, err := o.OpenSmall("l", b); (err == nil) != bytes.Equal(b, small) {
			t.Fatal(err)
		}
	})
}

// FuzzParseCustomer: what is accepted has 32 bytes and the MD5 that was given; errors show no key.
func FuzzParseCustomer(f *testing.F) {
	f.Add("AES256", base64.StdEncoding.EncodeToString(roll("c", 32)), "x")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, algorithm, key, sum string) {
		c, err := seal.ParseCustomer(algorithm, key, sum)
		if err != nil {
			if kind.Of(err) < kind.SSECAlgorithm || kind.Of(err) > kind.SSECMD5Mismatch {
				t.Fatal(err)
			}
			return
		}
		if c.MD5() != sum || base64.StdEncoding.EncodeToString(seal.BytesOf(c)) != key {
			t.Fatal("accepted another key or sum")
		}
	})
}

// FuzzBinding: two places give one wrapping key only if they are one place.
func FuzzBinding(f *testing.F) {
	c, o := customer(f, roll("c", 32)), objectKey(f, "o")
	f.Add([]byte("bucket"), "key", []byte("version"), []byte("bucket"), "keyv", []byte("ersion"))
	f.Fuzz(func(t *testing.T, b1 []byte, k1 string, v1, b2 []byte, k2 string, v2 []byte) {
		bind := func(b []byte, k string, v []byte) (p seal.Binding) {
			copy(p.Bucket[:], b)
			copy(p.Version[:], v)
			p.Key = k
			return p
		}
		one, two := bind(b1, k1, v1), bind(b2, k2, v2)
		e, err := o.Wrap(c, one, newDice("w"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = seal.Unwrap(e, c, two)
		if (err == nil) != (one == two) || err != nil && kind.Of(err) != kind.SSECWrongKey {
			t.Fatalf("%v / %v: %v", one, two, err)
		}
	})
}
