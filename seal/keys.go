package seal

import (
	"crypto/hkdf"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// KeySize is the length in bytes of every key in this package.
const KeySize = 32

// Redacted is all that any key of this package ever prints.
const Redacted = "REDACTED"

// ErrZeroed is returned by operations on a key that was zeroed or never set.
var ErrZeroed = errors.New("seal: the key is gone: it was zeroed or never set")

// secret is the memory of one key. It is passed by pointer only: a traceback prints arguments.
type secret struct {
	b    [KeySize]byte
	sum  [md5.Size]byte // CustomerKey: the MD5, kept to be echoed
	live bool

	stream [16]byte    // DataKey: the one stream that it may seal
	fresh  atomic.Bool // DataKey: has not sealed yet
}

// hidden holds a secret and is embedded by every key type. It answers every way of printing a value.
// Where a key sits in an unexported field, whose methods fmt cannot call, the second pointer hides
// the bytes: fmt follows one pointer for a verb that does not fit (%s of a struct), but never two.
type hidden struct{ p **secret }

// hide takes the bytes of b and zeroes b.
func hide(b []byte) hidden {
	s := &secret{live: true}
	copy(s.b[:], b)
	clear(b)
	return hidden{&s}
}

// use returns the key's memory, unless it was zeroed or never set.
func (h hidden) use() (*secret, error) {
	if h.p == nil || !(*h.p).live {
		return nil, ErrZeroed
	}
	return *h.p, nil
}

func (h hidden) zero() {
	if h.p != nil {
		clear((*h.p).b[:])
		clear((*h.p).sum[:])
		(*h.p).live = false
	}
}

func (hidden) String() string   { return Redacted }
func (hidden) GoString() string { return Redacted }

// Format implements fmt.Formatter for every verb and flag.
func (hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Redacted) }

// MarshalJSON and MarshalText serve encoders of any kind.
func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }
func (hidden) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue implements slog.LogValuer.
func (hidden) LogValue() slog.Value { return slog.StringValue(Redacted) }

// info builds an HKDF info string: each field behind its length in four bytes, big-endian, so that
// no two lists of fields give one string.
func info(domain string, fields ...[]byte) string {
	n := 4 + len(domain)
	for _, f := range fields {
		n += 4 + len(f)
	}
	b := make([]byte, 0, n)
	b = binary.BigEndian.AppendUint32(b, uint32(len(domain)))
	b = append(b, domain...)
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return string(b)
}

// expand derives n bytes from a key that is uniformly random already (HKDF-Expand, RFC 5869).
func expand(key []byte, in string, n int) ([]byte, error) {
	out, err := hkdf.Expand(sha256.New, key, in, n)
	if err != nil {
		return nil, fmt.Errorf("seal: derive: %w", err)
	}
	return out, nil
}

// hedged derives n bytes from a secret and a draw from the random source, so that what it returns
// repeats only if secret, draw and info all do. A source that repeats itself therefore cannot give
// two different secrets the same salt or nonce, nor two parts the same key.
func hedged(key []byte, in string, n int, rand io.Reader) ([]byte, error) {
	var draw [KeySize]byte
	if _, err := io.ReadFull(rand, draw[:]); err != nil {
		return nil, fmt.Errorf("seal: read random bytes: %w", err)
	}
	defer clear(draw[:])
	out, err := hkdf.Key(sha256.New, key, draw[:], in, n)
	if err != nil {
		return nil, fmt.Errorf("seal: derive: %w", err)
	}
	return out, nil
}
