package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"

	"holdfast/internal/kind"
)

// ManagedVersion is the format version of an envelope whose key a KMS keeps.
const ManagedVersion = 2

// Bounds of what a KMS gives, which is stored with each object.
const (
	MaxKMSBlob  = 1024 // bytes of a wrapped data key
	MaxKMSKeyID = 256  // bytes of a key's name
)

const (
	domainSSES3        = "holdfast/sse-s3/v1"
	domainSSEKMS       = "holdfast/sse-kms/v1"
	domainHedgeManaged = "holdfast/hedge/managed/v1"
)

// Method says who keeps the key of an object. The numbers are stored.
type Method uint32

// The methods of envelopes of version 2. The zero Method is none: plain, or SSE-C.
const (
	SSES3  Method = 1 // a key of the server's own
	SSEKMS Method = 2 // a key of the KMS that the client or the bucket names
)

// Header is the value of x-amz-server-side-encryption, "" for none.
func (m Method) Header() string {
	switch m {
	case SSES3:
		return Algorithm
	case SSEKMS:
		return "aws:kms"
	}
	return ""
}

// domain separates the two methods: an envelope of one never opens as the other.
func (m Method) domain() string {
	switch m {
	case SSES3:
		return domainSSES3
	case SSEKMS:
		return domainSSEKMS
	}
	return ""
}

// KMSKey is a key of 32 bytes out of a KMS: a data key that wraps object keys, or a master key. It
// prints as REDACTED by every verb and encoder.
type KMSKey struct{ hidden }

// NewKMSKey takes the 32 bytes of b and zeroes b, whatever its length.
func NewKMSKey(b []byte) (*KMSKey, error) {
	if len(b) != KeySize {
		n := len(b)
		clear(b)
		return nil, kind.New(kind.Damaged, "seal: a key of %d bytes from the KMS", n)
	}
	return &KMSKey{hide(b)}, nil
}

// Derive makes n bytes of the key for one purpose: HKDF-SHA256 with the info string of doc.go. The
// key itself never leaves.
func (k *KMSKey) Derive(salt []byte, n int, domain string, fields ...[]byte) ([]byte, error) {
	key, err := k.bytes()
	if err != nil {
		return nil, err
	}
	okm, err := hkdf.Key(sha256.New, key, salt, info(domain, fields...), n)
	if err != nil {
		return nil, fmt.Errorf("seal: derive: %w", err)
	}
	return okm, nil
}

// Clone makes a second copy, which lives until it is zeroed itself.
func (k *KMSKey) Clone() (*KMSKey, error) {
	key, err := k.bytes()
	if err != nil {
		return nil, err
	}
	return NewKMSKey(append(make([]byte, 0, KeySize), key...))
}

// Zero clears the key. It must not run beside a use.
func (k *KMSKey) Zero() {
	if k != nil {
		k.zero()
	}
}

func (k *KMSKey) bytes() ([]byte, error) {
	if k == nil {
		return nil, ErrZeroed
	}
	s, err := k.use()
	if err != nil {
		return nil, err
	}
	return s.b[:], nil
}

// KeyRef is what it takes to ask the KMS for a data key again. An envelope is bound to all of it.
type KeyRef struct {
	Method    Method
	KeyID     string  // of the master key, as the KMS names it
	Blob      []byte  // the data key, wrapped by the KMS
	Context   Context // the pairs that the client sent; aws:s3:arn is added at each use
	BucketKey bool    // the data key is the bucket's: its ARN is the bucket's
}

// Managed is an object key wrapped under a data key of a KMS, as it is stored. See doc.go.
type Managed struct {
	Version uint32
	KeyRef
	Salt       []byte
	WrappedKey []byte
	Commitment []byte
}

// WrapManaged seals the object key under the data key w, which r says how to get again, for the
// place b. Wrapping an opened key again is a rotation: no data changes.
func (k *ObjectKey) WrapManaged(w *KMSKey, r KeyRef, b Binding, rand io.Reader) (Managed, error) {
	if err := r.check(); err != nil {
		return Managed{}, err
	}
	object, err := k.bytes()
	if err != nil {
		return Managed{}, err
	}
	fresh, err := hedged(object, info(domainHedgeManaged, r.fields(b)...), saltSize+nonceSize, rand)
	if err != nil {
		return Managed{}, err
	}
	salt, nonce := fresh[:saltSize:saltSize], fresh[saltSize:]
	aead, commitment, err := r.derive(w, salt, b)
	if err != nil {
		return Managed{}, err
	}
	wrapped := make([]byte, nonceSize, wrappedSize)
	copy(wrapped, nonce)
	return Managed{
		Version:    ManagedVersion,
		KeyRef:     r,
		Salt:       salt,
		WrappedKey: aead.Seal(wrapped, nonce, object, []byte(r.Method.domain())),
		Commitment: commitment,
	}, nil
}

// UnwrapManaged opens an envelope with the data key that the KMS made of its blob. An envelope that
// was moved to another place, or altered in any field, is kind.Damaged: with keys that the server
// keeps, no client can send a wrong one.
func UnwrapManaged(m Managed, w *KMSKey, b Binding) (*ObjectKey, error) {
	if m.Version != ManagedVersion {
		return nil, fmt.Errorf("%w: managed envelope %d", ErrFormat, m.Version)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(m.Salt) != saltSize || len(m.WrappedKey) != wrappedSize || len(m.Commitment) != commitmentSize {
		return nil, kind.New(kind.Damaged, "seal: managed envelope with fields of %d, %d and %d bytes",
			len(m.Salt), len(m.WrappedKey), len(m.Commitment))
	}
	aead, commitment, err := m.derive(w, m.Salt, b)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(commitment, m.Commitment) != 1 {
		return nil, kind.New(kind.Damaged, "seal: the managed envelope was altered or belongs elsewhere")
	}
	object, err := aead.Open(nil, m.WrappedKey[:nonceSize], m.WrappedKey[nonceSize:], []byte(m.Method.domain()))
	if err != nil {
		return nil, kind.New(kind.Damaged, "seal: the wrapped object key is damaged")
	}
	return &ObjectKey{hide(object)}, nil
}

func (r KeyRef) check() error {
	switch {
	case r.Method.domain() == "":
		return fmt.Errorf("%w: encryption method %d", ErrFormat, r.Method)
	case r.KeyID == "" || len(r.KeyID) > MaxKMSKeyID, len(r.Blob) == 0 || len(r.Blob) > MaxKMSBlob:
		return kind.New(kind.Damaged, "seal: a key ID of %d and a wrapped data key of %d bytes", len(r.KeyID), len(r.Blob))
	}
	return r.Context.check()
}

// fields are what an envelope is bound to: its place, and all that leads to its data key.
func (r KeyRef) fields(b Binding) [][]byte {
	bucketKey := []byte{0}
	if r.BucketKey {
		bucketKey[0] = 1
	}
	return [][]byte{b.Bucket[:], []byte(b.Key), b.Version[:], []byte(r.KeyID), r.Blob, r.Context.Canonical(), bucketKey}
}

// derive makes the wrapping key and the commitment in one HKDF: they stand or fall together.
func (r KeyRef) derive(w *KMSKey, salt []byte, b Binding) (cipher.AEAD, []byte, error) {
	okm, err := w.Derive(salt, KeySize+commitmentSize, r.Method.domain(), r.fields(b)...)
	if err != nil {
		return nil, nil, err
	}
	aead, err := newGCM(okm[:KeySize])
	clear(okm[:KeySize])
	return aead, okm[KeySize:], err
}
