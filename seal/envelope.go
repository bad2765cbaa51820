package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/id"
	"holdfast/internal/kind"
)

// Sizes of an envelope's fields in bytes.
const (
	EnvelopeVersion = 1
	saltSize        = 32
	nonceSize       = 12
	commitmentSize  = 32
	wrappedSize     = nonceSize + KeySize + Overhead
)

// domainCustomer is the first field of the info string that binds a wrapped key to its place.
const (
	domainCustomer = "holdfast/sse-c/v1"
	domainHedge    = "holdfast/hedge/envelope/v1"
)

// ErrFormat is returned for a version of the format that this program does not know.
var ErrFormat = errors.New("seal: unknown format version")

// Binding is the place that an envelope belongs to: it opens nowhere else.
type Binding struct {
	Bucket  id.Bucket
	Key     string
	Version id.Version
}

// Envelope is an object key wrapped under a customer's key, as it is stored. See doc.go.
type Envelope struct {
	Version    uint32
	Salt       []byte
	WrappedKey []byte
	Commitment []byte
}

// ObjectKey is the random key at the root of one object version. It prints as REDACTED.
type ObjectKey struct{ hidden }

// NewObjectKey draws an object key from rand.
func NewObjectKey(rand io.Reader) (*ObjectKey, error) {
	var b [KeySize]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return nil, fmt.Errorf("seal: read random bytes: %w", err)
	}
	return &ObjectKey{hide(b[:])}, nil
}

// Zero clears the key. It must not run beside a use.
func (k *ObjectKey) Zero() {
	if k != nil {
		k.zero()
	}
}

// Wrap seals the object key under the customer's key for the place b. Wrapping an opened key again
// under another customer's key is a rotation: no data changes.
func (k *ObjectKey) Wrap(c *CustomerKey, b Binding, rand io.Reader) (Envelope, error) {
	object, err := k.bytes()
	if err != nil {
		return Envelope{}, err
	}
	// Salt and nonce also depend on the object key: see hedged.
	fresh, err := hedged(object, b.info(domainHedge), saltSize+nonceSize, rand)
	if err != nil {
		return Envelope{}, err
	}
	salt, nonce := fresh[:saltSize:saltSize], fresh[saltSize:]
	aead, commitment, err := c.derive(salt, b)
	if err != nil {
		return Envelope{}, err
	}
	wrapped := make([]byte, nonceSize, wrappedSize)
	copy(wrapped, nonce)
	return Envelope{
		Version:    EnvelopeVersion,
		Salt:       salt,
		WrappedKey: aead.Seal(wrapped, nonce, object, []byte(domainCustomer)),
		Commitment: commitment,
	}, nil
}

// Unwrap opens an envelope. A wrong key, or an envelope of another place, is kind.SSECWrongKey, told
// by the commitment before anything is decrypted; an envelope that was altered behind a matching
// commitment is kind.Damaged.
func Unwrap(e Envelope, c *CustomerKey, b Binding) (*ObjectKey, error) {
	if e.Version != EnvelopeVersion {
		return nil, fmt.Errorf("%w: envelope %d", ErrFormat, e.Version)
	}
	if len(e.Salt) != saltSize || len(e.WrappedKey) != wrappedSize || len(e.Commitment) != commitmentSize {
		return nil, kind.New(kind.Damaged, "seal: envelope with fields of %d, %d and %d bytes",
			len(e.Salt), len(e.WrappedKey), len(e.Commitment))
	}
	aead, commitment, err := c.derive(e.Salt, b)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(commitment, e.Commitment) != 1 {
		return nil, kind.New(kind.SSECWrongKey, msgWrongKey)
	}
	object, err := aead.Open(nil, e.WrappedKey[:nonceSize], e.WrappedKey[nonceSize:], []byte(domainCustomer))
	if err != nil {
		return nil, kind.New(kind.Damaged, "seal: the wrapped object key is damaged")
	}
	return &ObjectKey{hide(object)}, nil
}

// derive makes the wrapping key and the commitment in one HKDF: they stand or fall together.
func (c *CustomerKey) derive(salt []byte, b Binding) (cipher.AEAD, []byte, error) {
	s, err := c.secret()
	if err != nil {
		return nil, nil, err
	}
	okm, err := hkdf.Key(sha256.New, s.b[:], salt, b.info(domainCustomer), KeySize+commitmentSize)
	if err != nil {
		return nil, nil, fmt.Errorf("seal: derive: %w", err)
	}
	aead, err := newGCM(okm[:KeySize])
	clear(okm[:KeySize])
	return aead, okm[KeySize:], err
}

func (b Binding) info(domain string) string {
	return info(domain, b.Bucket[:], []byte(b.Key), b.Version[:])
}

func (k *ObjectKey) bytes() ([]byte, error) {
	if k == nil {
		return nil, ErrZeroed
	}
	s, err := k.use()
	if err != nil {
		return nil, err
	}
	return s.b[:], nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead, nil
}
