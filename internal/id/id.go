// Package id defines the 128-bit random identifiers of Holdfast, one Go type a noun, so that
// a drive's ID can never be passed where a bucket's is meant. Their text form is 32 lower-case
// hexadecimal digits; the zero value means "none".
package id

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Size is the length of every identifier in bytes.
const Size = 16

// The identifiers. Each is made once, at random, and never used again for another thing.
type (
	// Cluster names one Holdfast cluster.
	Cluster [Size]byte
	// Node names one process of a cluster.
	Node [Size]byte
	// Drive names one directory on one file system. A wiped drive gets a new one.
	Drive [Size]byte
	// Bucket names one incarnation of a bucket: a bucket deleted and made again has another.
	Bucket [Size]byte
	// Data names a run of erasure-coded stripes; with an index it names a shard. Its first four
	// bytes are the number of the group that owns it (see NewData), the rest is random.
	Data [Size]byte
	// Version names one version of an object.
	Version [Size]byte
	// Upload names one multipart upload.
	Upload [Size]byte
)

// ErrInvalid is returned for text or bytes that are not an identifier.
var ErrInvalid = errors.New("id: not an identifier of 16 bytes")

// Random reads a new identifier from rand (crypto/rand.Reader, outside tests).
func Random[T ~[Size]byte](rand io.Reader) (T, error) {
	var t T
	b := [Size]byte(t)
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return t, fmt.Errorf("id: read random bytes: %w", err)
	}
	return T(b), nil
}

// NewData makes a data ID owned by a metadata group: a shard's owner can then be asked about it
// although the shard knows neither bucket nor key.
func NewData(group uint32, rand io.Reader) (Data, error) {
	d, err := Random[Data](rand)
	if err != nil {
		return d, err
	}
	binary.BigEndian.PutUint32(d[:4], group)
	return d, nil
}

// Group is the number of the metadata group that owns the data.
func (d Data) Group() uint32 { return binary.BigEndian.Uint32(d[:4]) }

// FromBytes takes an identifier from its 16 bytes.
func FromBytes[T ~[Size]byte](b []byte) (T, error) {
	var t T
	if len(b) != Size {
		return t, fmt.Errorf("%w (got %d bytes)", ErrInvalid, len(b))
	}
	return T([Size]byte(b)), nil
}

// Parse takes an identifier from its 32 hexadecimal digits.
func Parse[T ~[Size]byte](s string) (T, error) {
	var t T
	if len(s) != 2*Size {
		return t, ErrInvalid
	}
	var b [Size]byte
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return t, ErrInvalid
	}
	return T(b), nil
}

func (i Cluster) String() string { return hex.EncodeToString(i[:]) }
func (i Node) String() string    { return hex.EncodeToString(i[:]) }
func (i Drive) String() string   { return hex.EncodeToString(i[:]) }
func (i Bucket) String() string  { return hex.EncodeToString(i[:]) }
func (d Data) String() string    { return hex.EncodeToString(d[:]) }
func (i Version) String() string { return hex.EncodeToString(i[:]) }
func (i Upload) String() string  { return hex.EncodeToString(i[:]) }

// LogValue writes the text form, where a log would have sixteen numbers.
func (i Cluster) LogValue() slog.Value { return slog.StringValue(i.String()) }

// LogValue is as that of Cluster.
func (i Node) LogValue() slog.Value { return slog.StringValue(i.String()) }

// LogValue is as that of Cluster.
func (i Drive) LogValue() slog.Value { return slog.StringValue(i.String()) }

// LogValue is as that of Cluster.
func (i Bucket) LogValue() slog.Value { return slog.StringValue(i.String()) }

// LogValue is as that of Cluster.
func (d Data) LogValue() slog.Value { return slog.StringValue(d.String()) }

// IsZero reports whether the identifier is unset.
func (i Cluster) IsZero() bool { return i == Cluster{} }

// IsZero reports whether the identifier is unset.
func (i Drive) IsZero() bool { return i == Drive{} }

// IsZero reports whether the identifier is unset.
func (i Bucket) IsZero() bool { return i == Bucket{} }

// IsZero reports whether the identifier is unset.
func (d Data) IsZero() bool { return d == Data{} }

// IsZero reports whether the identifier is unset.
func (i Version) IsZero() bool { return i == Version{} }
