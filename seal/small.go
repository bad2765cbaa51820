package seal

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"

	"holdfast/internal/kind"
)

const domainSmall = "holdfast/small/v1"

// MaxSmall is the largest plaintext in bytes that SealSmall takes: checksums and the like.
const MaxSmall = 4096

// SealSmall seals a few bytes (a checksum of plaintext) under a key derived from the object key and
// label. The same label is needed to open them.
func (k *ObjectKey) SealSmall(label string, plaintext []byte, rand io.Reader) ([]byte, error) {
	key, err := k.bytes()
	if err != nil {
		return nil, err
	}
	return sealSmall(key, label, plaintext, rand)
}

// OpenSmall opens what SealSmall sealed under the same label; kind.Damaged if it does not open.
func (k *ObjectKey) OpenSmall(label string, sealed []byte) ([]byte, error) {
	key, err := k.bytes()
	if err != nil {
		return nil, err
	}
	return openSmall(key, label, sealed)
}

// SealSmall is as that of ObjectKey, under the key of one part.
func (d *DataKey) SealSmall(label string, plaintext []byte, rand io.Reader) ([]byte, error) {
	key, err := d.bytes()
	if err != nil {
		return nil, err
	}
	return sealSmall(key, label, plaintext, rand)
}

// OpenSmall is as that of ObjectKey, under the key of one part.
func (d *DataKey) OpenSmall(label string, sealed []byte) ([]byte, error) {
	key, err := d.bytes()
	if err != nil {
		return nil, err
	}
	return openSmall(key, label, sealed)
}

func sealSmall(key []byte, label string, plaintext []byte, rand io.Reader) ([]byte, error) {
	if len(plaintext) > MaxSmall {
		return nil, fmt.Errorf("seal: %d bytes are too many for SealSmall (%d)", len(plaintext), MaxSmall)
	}
	aead, nonceKey, err := smallKeys(key, label)
	if err != nil {
		return nil, err
	}
	var draw [nonceSize]byte
	if _, err := io.ReadFull(rand, draw[:]); err != nil {
		return nil, fmt.Errorf("seal: read random bytes: %w", err)
	}
	// The nonce depends on the plaintext too: the key of a label is used more than once, and a
	// random source that repeats must not give two plaintexts one nonce.
	mac := hmac.New(sha256.New, nonceKey)
	mac.Write(draw[:])
	mac.Write(plaintext)
	nonce := mac.Sum(nil)[:nonceSize]
	out := make([]byte, 1+nonceSize, 1+nonceSize+len(plaintext)+Overhead)
	out[0] = FormatVersion
	copy(out[1:], nonce)
	return aead.Seal(out, nonce, plaintext, []byte{FormatVersion}), nil
}

func openSmall(key []byte, label string, sealed []byte) ([]byte, error) {
	if len(sealed) > 0 && sealed[0] != FormatVersion {
		return nil, fmt.Errorf("%w: sealed value %d", ErrFormat, sealed[0])
	}
	if len(sealed) < 1+nonceSize+Overhead || len(sealed) > 1+nonceSize+MaxSmall+Overhead {
		return nil, kind.New(kind.Damaged, "seal: sealed value of %d bytes", len(sealed))
	}
	aead, _, err := smallKeys(key, label)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], sealed[:1])
	if err != nil {
		return nil, kind.New(kind.Damaged, "seal: the sealed value %q is damaged", label)
	}
	return plain, nil
}

// smallKeys derives the key of a label and the key that its nonces are made with.
func smallKeys(key []byte, label string) (cipher.AEAD, []byte, error) {
	okm, err := expand(key, info(domainSmall, []byte(label)), 2*KeySize)
	if err != nil {
		return nil, nil, err
	}
	aead, err := newGCM(okm[:KeySize])
	clear(okm[:KeySize])
	return aead, okm[KeySize:], err
}

// subkey derives an AEAD for one purpose from a key that is uniformly random.
func subkey(key []byte, in string) (cipher.AEAD, error) {
	okm, err := expand(key, in, KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(okm)
	return newGCM(okm)
}
