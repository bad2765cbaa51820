package seal

import (
	"holdfast/internal/kind"
)

// SealBytes seals a small body, one that is stored with its manifest, as a stream in one call. The
// data key must be fresh: see DataKey. plaintext is left as it is.
func SealBytes(k *DataKey, stream [16]byte, plaintext []byte) ([]byte, error) {
	size := int64(len(plaintext))
	c, err := newChunks(k, stream, size)
	if err != nil {
		return nil, err
	}
	if err := k.spend(stream); err != nil {
		return nil, err
	}
	out := make([]byte, SealedLen(size))
	for n, rest := int64(0), out; n <= c.last; n++ {
		m := copy(rest[:c.plainLen(n)], plaintext)
		c.seal(n, rest[:m+Overhead])
		plaintext, rest = plaintext[m:], rest[m+Overhead:]
	}
	return out, nil
}

// OpenBytes opens what SealBytes (or NewSealReader) sealed: all of it or, if any of it is not
// authentic, nothing (kind.Damaged). ciphertext is left as it is.
func OpenBytes(k *DataKey, stream [16]byte, ciphertext []byte) ([]byte, error) {
	size, err := PlainLen(int64(len(ciphertext)))
	if err != nil {
		return nil, err
	}
	c, err := newChunks(k, stream, size)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, size)
	for n := int64(0); n <= c.last; n++ {
		want := c.plainLen(n) + Overhead
		c.setNonce(n)
		if out, err = c.gcm.Open(out, c.nonce[:], ciphertext[:want], c.aad[:]); err != nil {
			return nil, kind.New(kind.Damaged, "seal: chunk %d is not authentic", n)
		}
		ciphertext = ciphertext[want:]
	}
	return out, nil
}
