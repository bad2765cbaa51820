package kms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"holdfast/seal"
)

const (
	domainMaster  = "holdfast/kms-master-key/v1" // a master key under the cluster's secret
	domainDataKey = "holdfast/kms-data-key/v1"   // a data key under a master key
	purposeMaster = "kms/master-keys/v1"         // of what is derived from the cluster's secret

	saltSize    = 32
	nonceSize   = 12
	tagSize     = 16
	wrappedSize = saltSize + seal.KeySize + tagSize
	blobSize    = 1 + 4 + wrappedSize
)

// errNotAuthentic says no more: what is wrong with a wrapped key cannot be told.
var errNotAuthentic = errors.New("kms: a wrapped key is not authentic")

// wrapping says what one key is wrapped for.
type wrapping struct {
	domain  string
	name    string // of the master key
	version uint32
	aad     []byte
}

// wrap seals 32 bytes under parent: salt | ciphertext | tag, as doc.go draws it. Each wrap has a key
// and nonce of its own. The salt depends on the key that is wrapped: a random source that repeats
// cannot give two keys one salt.
func (w wrapping) wrap(parent *seal.KMSKey, key []byte, rand io.Reader) ([]byte, error) {
	var draw [saltSize]byte
	if _, err := io.ReadFull(rand, draw[:]); err != nil {
		return nil, fmt.Errorf("kms: read random bytes: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(draw[:])
	mac.Write(w.aad)
	salt := mac.Sum(nil)
	aead, nonce, err := w.derive(parent, salt)
	if err != nil {
		return nil, err
	}
	out := make([]byte, saltSize, wrappedSize)
	copy(out, salt)
	return aead.Seal(out, nonce, key, w.aad), nil
}

// unwrap opens what wrap sealed for the same; errNotAuthentic.
func (w wrapping) unwrap(parent *seal.KMSKey, wrapped []byte) (*seal.KMSKey, error) {
	if len(wrapped) != wrappedSize {
		return nil, errNotAuthentic
	}
	aead, nonce, err := w.derive(parent, wrapped[:saltSize])
	if err != nil {
		return nil, err
	}
	key, err := aead.Open(nil, nonce, wrapped[saltSize:], w.aad)
	if err != nil {
		return nil, errNotAuthentic
	}
	return seal.NewKMSKey(key)
}

func (w wrapping) derive(parent *seal.KMSKey, salt []byte) (cipher.AEAD, []byte, error) {
	version := binary.BigEndian.AppendUint32(nil, w.version)
	okm, err := parent.Derive(salt, seal.KeySize+nonceSize, w.domain, []byte(w.name), version)
	if err != nil {
		return nil, nil, err
	}
	defer clear(okm[:seal.KeySize])
	block, err := aes.NewCipher(okm[:seal.KeySize])
	if err != nil {
		return nil, nil, fmt.Errorf("kms: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("kms: %w", err)
	}
	return aead, okm[seal.KeySize:], nil
}

// newBlob draws a data key and wraps it under a version of a master key.
func newBlob(master *seal.KMSKey, name string, version uint32, c seal.Context, rand io.Reader) (DataKey, error) {
	key := make([]byte, seal.KeySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return DataKey{}, fmt.Errorf("kms: read random bytes: %w", err)
	}
	wrapped, err := wrapping{domainDataKey, name, version, c.Canonical()}.wrap(master, key, rand)
	if err != nil {
		clear(key)
		return DataKey{}, err
	}
	blob := binary.BigEndian.AppendUint32(append(make([]byte, 0, blobSize), FormatBuiltin), version)
	k, err := seal.NewKMSKey(key)
	return DataKey{Key: k, Blob: append(blob, wrapped...)}, err
}

// splitBlob takes a blob of the built-in KMS apart.
func splitBlob(blob []byte) (version uint32, wrapped []byte, err error) {
	if len(blob) != blobSize || blob[0] != FormatBuiltin {
		return 0, nil, errNotAuthentic
	}
	return binary.BigEndian.Uint32(blob[1:5]), blob[5:], nil
}
