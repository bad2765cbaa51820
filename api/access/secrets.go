package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// box seals secrets of keys and session tokens, each kind under a key of its own that derives from the
// cluster's secret:
//
//	version 1 | salt 32 | AES-256-GCM ciphertext and tag
//
// The key and the nonce of one sealing are HKDF-SHA256 of the kind's key with the random salt, so that
// no number of sealings repeats a nonce.
type box struct {
	key  []byte
	rand io.Reader
}

const (
	boxVersion  = 1
	boxSalt     = 32
	boxOverhead = 1 + boxSalt + 16
)

var errSealed = errors.New("access: what was sealed does not open")

// Format keeps the key out of every message, whatever the verb.
func (b box) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "REDACTED") }

func (b box) gcm(salt []byte) (cipher.AEAD, []byte, error) {
	out, err := hkdf.Key(sha256.New, b.key, salt, "holdfast/access/v1", 32+12)
	if err != nil {
		return nil, nil, fmt.Errorf("access: derive: %w", err)
	}
	c, err := aes.NewCipher(out[:32])
	if err != nil {
		return nil, nil, fmt.Errorf("access: derive: %w", err)
	}
	g, err := cipher.NewGCM(c)
	return g, out[32:], err
}

func (b box) seal(plain []byte, bound string) ([]byte, error) {
	out := make([]byte, 1+boxSalt, boxOverhead+len(plain))
	out[0] = boxVersion
	if _, err := io.ReadFull(b.rand, out[1:]); err != nil {
		return nil, fmt.Errorf("access: read random bytes: %w", err)
	}
	g, nonce, err := b.gcm(out[1:])
	if err != nil {
		return nil, err
	}
	return g.Seal(out, nonce, plain, []byte(bound)), nil
}

func (b box) open(sealed []byte, bound string) ([]byte, error) {
	if len(sealed) < boxOverhead || sealed[0] != boxVersion {
		return nil, errSealed
	}
	g, nonce, err := b.gcm(sealed[1 : 1+boxSalt])
	if err != nil {
		return nil, err
	}
	plain, err := g.Open(nil, nonce, sealed[1+boxSalt:], []byte(bound))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

const (
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"                                 // of identifiers: 5 bits each
	letters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" // of secrets: 6 bits each

	prefixUserKey = "AKIA"
	prefixSession = "ASIA"
	prefixUser    = "AIDA"
	prefixGroup   = "AGPA"
	prefixRole    = "AROA"
	prefixPolicy  = "ANPA"

	idLetters     = 16 // 80 bits
	secretLetters = 40 // 240 bits
)

// draw makes n random letters; the alphabet's length divides 256.
func draw(rand io.Reader, prefix, alphabet string, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(rand, b); err != nil {
		return "", fmt.Errorf("access: read random bytes: %w", err)
	}
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return prefix + string(b), nil
}
