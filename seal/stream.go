package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"holdfast/internal/kind"
)

// The stream format.
const (
	// FormatVersion is in the additional data of every chunk and ahead of every wrapped data key.
	FormatVersion = 1
	// ChunkSize is the plaintext of every chunk but the last, in bytes.
	ChunkSize = 65536
	// Overhead is what sealing adds to a chunk, in bytes: the tag.
	Overhead = 16
	// SealedChunk is a full chunk as it is stored, in bytes.
	SealedChunk = ChunkSize + Overhead
	// MaxStream is the largest plaintext of a stream in bytes: the largest S3 object, 80 million
	// chunks, where the counter has room for 2^88.
	MaxStream = 5 << 40
)

const domainStream = "holdfast/stream/v1"

// lastChunk is the index of the final chunk of a stream of size plaintext bytes. An empty stream has
// one chunk, without plaintext; else the final chunk has 1 to ChunkSize bytes.
func lastChunk(size int64) int64 {
	if size == 0 {
		return 0
	}
	return (size - 1) / ChunkSize
}

// SealedLen is the number of ciphertext bytes of n plaintext bytes.
func SealedLen(n int64) int64 { return n + (lastChunk(n)+1)*Overhead }

// PlainLen is the number of plaintext bytes in n ciphertext bytes; an error if nothing seals to n.
func PlainLen(n int64) (int64, error) {
	if n >= Overhead && n <= SealedLen(MaxStream) {
		chunks := (n + SealedChunk - 1) / SealedChunk
		if plain := n - chunks*Overhead; plain >= 0 && SealedLen(plain) == n {
			return plain, nil
		}
	}
	return 0, kind.New(kind.Damaged, "seal: no stream has %d bytes of ciphertext", n)
}

// validRange reports whether [off, off+n) lies in a stream of size bytes.
func validRange(off, n, size int64) bool {
	return off >= 0 && n >= 0 && size >= 0 && size <= MaxStream && off <= size && n <= size-off
}

// Locate says which ciphertext holds the plaintext range [off, off+n) of a stream of size bytes:
// where it begins and how long it is, the index of its first chunk, and how many plaintext bytes of
// that chunk come before off. The range must lie in the stream. An empty range needs nothing, but an
// empty stream has one chunk to authenticate.
func Locate(off, n, size int64) (cipherOff, cipherLen, firstChunk, skip int64) {
	if !validRange(off, n, size) || (n == 0 && size > 0) {
		return 0, 0, 0, 0
	}
	firstChunk = off / ChunkSize
	final := lastChunk(off + n)
	cipherOff = firstChunk * SealedChunk
	end := (final + 1) * SealedChunk
	if final == lastChunk(size) {
		end = SealedLen(size)
	}
	return cipherOff, end - cipherOff, firstChunk, off - firstChunk*ChunkSize
}

// chunks seals and opens the chunks of one stream in place and without allocating.
type chunks struct {
	gcm   cipher.AEAD
	nonce [nonceSize]byte // 11-byte counter | 1 if final
	aad   [1 + 16]byte    // format version | stream
	last  int64           // index of the final chunk
	tail  int             // plaintext bytes of the final chunk
}

// newChunks derives the key of the chunks from the data key. The stream goes into it besides the
// additional data, so that not even a data key used for two streams would repeat a nonce.
func newChunks(k *DataKey, stream [16]byte, size int64) (*chunks, error) {
	if size < 0 || size > MaxStream {
		return nil, fmt.Errorf("seal: a stream of %d bytes", size)
	}
	key, err := k.bytes()
	if err != nil {
		return nil, err
	}
	gcm, err := subkey(key, info(domainStream, stream[:]))
	if err != nil {
		return nil, err
	}
	c := &chunks{gcm: gcm, last: lastChunk(size)}
	c.tail = int(size - c.last*ChunkSize)
	c.aad[0] = FormatVersion
	copy(c.aad[1:], stream[:])
	return c, nil
}

// plainLen is the number of plaintext bytes of chunk n.
func (c *chunks) plainLen(n int64) int {
	if n == c.last {
		return c.tail
	}
	return ChunkSize
}

func (c *chunks) setNonce(n int64) {
	binary.BigEndian.PutUint64(c.nonce[3:11], uint64(n))
	c.nonce[11] = 0
	if n == c.last {
		c.nonce[11] = 1
	}
}

// seal seals chunk n, whose plaintext is all of p but its last Overhead bytes.
func (c *chunks) seal(n int64, p []byte) {
	c.setNonce(n)
	c.gcm.Seal(p[:0], c.nonce[:], p[:len(p)-Overhead], c.aad[:])
}

// open opens chunk n in place. If it is not authentic, p is cleared and nothing is returned.
func (c *chunks) open(n int64, p []byte) ([]byte, error) {
	c.setNonce(n)
	plain, err := c.gcm.Open(p[:0], c.nonce[:], p, c.aad[:])
	if err != nil {
		clear(p)
		return nil, kind.New(kind.Damaged, "seal: chunk %d is not authentic", n)
	}
	return plain, nil
}
