package sigv4

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"io"
	"sync"
)

// chunkReader undoes the aws-chunked framing.
type chunkReader struct {
	src  *bufio.Reader
	left int64 // bytes of the plain body that were not handed on

	chain *chainer // nil: chunks are not signed
	hash  hash.Hash
	claim [64]byte // signature of the current chunk

	chunk  int64 // bytes of the current chunk that were not read
	inside bool  // a chunk was begun, so CRLF comes before the next
	staged []byte
	pooled *[maxStaged]byte // what staged lies in

	declared []string // trailers
	signed   bool     // trailers are signed
	trailers map[string]string

	err error
}

var stagePool = sync.Pool{New: func() any { return new([maxStaged]byte) }}

func newChunkReader(src io.Reader, chain *Chain, p Payload) (*chunkReader, error) {
	c := &chunkReader{src: bufio.NewReaderSize(src, maxLine), left: p.DecodedLength, declared: p.Trailers}
	if p.Kind != StreamingUnsignedTrailer {
		if chain == nil {
			return nil, signatureMismatch()
		}
		c.chain, c.hash = newChainer(chain), sha256.New()
	}
	if p.Kind.HasTrailers() {
		c.trailers = make(map[string]string, len(p.Trailers))
	}
	c.signed = p.Kind == StreamingSignedTrailer
	if c.left == 0 {
		if err := c.finish(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Read fills p from at most one chunk.
func (c *chunkReader) Read(p []byte) (int, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case len(p) == 0:
		return 0, nil
	case len(c.staged) > 0:
		return c.unstage(p), nil
	case c.left == 0:
		return 0, io.EOF
	}
	n, err := c.read(p)
	if err != nil {
		c.err = err
		c.release()
		return 0, err
	}
	return n, nil
}

func (c *chunkReader) read(p []byte) (int, error) {
	if c.chunk == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
		if c.chain != nil && c.chunk > int64(len(p)) && c.chunk <= maxStaged {
			c.pooled = stagePool.Get().(*[maxStaged]byte)
			c.staged = c.pooled[:c.chunk]
			if err := c.whole(c.staged); err != nil {
				return 0, err
			}
			return c.unstage(p), nil
		}
		if c.chain != nil && c.chunk <= int64(len(p)) {
			n := int(c.chunk)
			return n, c.whole(p[:n])
		}
	}
	// Unsigned, or too large to be held back.
	if int64(len(p)) > c.chunk {
		p = p[:c.chunk]
	}
	n, err := c.src.Read(p)
	if err != nil && n == 0 {
		return 0, readError(err)
	}
	return n, c.took(p[:n])
}

// whole reads all of the current chunk into b, hashing while the bytes are hot, and verifies it.
func (c *chunkReader) whole(b []byte) error {
	for idle := 0; len(b) > 0; {
		n, err := c.src.Read(b)
		switch {
		case n > 0:
			idle = 0
			if e := c.took(b[:n]); e != nil {
				return e
			}
		case err != nil:
			return readError(err)
		default:
			if idle++; idle == maxIdleReads {
				return readError(io.ErrNoProgress)
			}
		}
		b = b[n:]
	}
	return nil
}

// took accounts for data that was read; at the end of a chunk it verifies the signature, and at
// the end of the body everything after it.
func (c *chunkReader) took(b []byte) error {
	c.chunk -= int64(len(b))
	c.left -= int64(len(b))
	if c.chain != nil {
		c.hash.Write(b)
		if c.chunk == 0 {
			if err := c.verify(); err != nil {
				return err
			}
		}
	}
	if c.left == 0 {
		return c.finish()
	}
	return nil
}

// unstage hands on verified bytes.
func (c *chunkReader) unstage(p []byte) int {
	n := copy(p, c.staged)
	if c.staged = c.staged[n:]; len(c.staged) == 0 {
		c.release()
	}
	return n
}

// release gives the staging buffer back.
func (c *chunkReader) release() {
	if c.pooled != nil {
		stagePool.Put(c.pooled)
		c.pooled, c.staged = nil, nil
	}
}

// verify compares the current chunk's signature with the one that its header claimed.
func (c *chunkReader) verify() error {
	var sum [sha256.Size]byte
	c.hash.Sum(sum[:0])
	c.hash.Reset()
	c.chain.chunk(&sum)
	if subtle.ConstantTimeCompare(c.claim[:], c.chain.prev[:]) != 1 {
		return signatureMismatch()
	}
	return nil
}
