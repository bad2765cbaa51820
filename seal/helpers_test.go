package seal_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/seal"
)

// dice is a random source that depends on its seed alone: SHA-256(seed | counter), one block after
// another.
type dice struct {
	seed  string
	block uint64
	rest  []byte
}

func newDice(seed string) *dice { return &dice{seed: seed} }

func (d *dice) Read(p []byte) (int, error) {
	for n := range p {
		if len(d.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(d.seed), d.block))
			d.rest, d.block = sum[:], d.block+1
		}
		p[n], d.rest = d.rest[0], d.rest[1:]
	}
	return len(p), nil
}

// stuck is a random source that gives the same bytes for ever.
type stuck byte

func (s stuck) Read(p []byte) (int, error) {
	for n := range p {
		p[n] = byte(s)
	}
	return len(p), nil
}

func roll(seed string, n int) []byte {
	b := make([]byte, n)
	_, _ = newDice(seed).Read(b)
	return b
}

func roll16(seed string) [16]byte { return [16]byte(roll(seed, 16)) }

func customer(t testing.TB, key []byte) *seal.CustomerKey {
	t.Helper()
	sum := md5.Sum(key)
	c, err := seal.ParseCustomer("AES256", base64.StdEncoding.EncodeToString(key), base64.StdEncoding.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func place(name string) seal.Binding {
	return seal.Binding{Bucket: id.Bucket(roll16("bucket " + name)), Key: "key of " + name, Version: id.Version(roll16("version " + name))}
}

func objectKey(t testing.TB, seed string) *seal.ObjectKey {
	t.Helper()
	k, err := seal.NewObjectKey(newDice(seed))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed is one stream with what is needed to open it.
type sealed struct {
	key    *seal.DataKey // opened: cannot seal
	stream [16]byte
	plain  []byte
	text   []byte
}

// sealStream seals size bytes under a key of its own, by way of NewSealReader.
func sealStream(t testing.TB, name string, size int) sealed {
	t.Helper()
	s := sealed{stream: roll16("stream " + name), plain: roll("plain "+name, size)}
	raw := roll("data key "+name, seal.KeySize)
	r := seal.NewSealReader(seal.DataKeyOf(raw, s.stream), s.stream, bytes.NewReader(s.plain), int64(size))
	var err error
	if s.text, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	s.key = seal.DataKeyOf(raw, s.stream)
	return s
}

// open opens a range of text, which is not changed, in writes of step bytes.
func open(k *seal.DataKey, stream [16]byte, text []byte, size, off, n int64, step int) ([]byte, error) {
	var out bytes.Buffer
	o := seal.NewOpener(k, stream, size, off, n, &out)
	text = bytes.Clone(text)
	for len(text) > 0 {
		m := min(step, len(text))
		if err := o.Write(text[:m]); err != nil {
			return out.Bytes(), err
		}
		text = text[m:]
	}
	return out.Bytes(), o.Close()
}

func wantKind(t testing.TB, err error, want kind.Kind) {
	t.Helper()
	if err == nil || kind.Of(err) != want {
		t.Fatalf("error %v (kind %d), want kind %d", err, kind.Of(err), want)
	}
}
