package sigv4

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
	"sync"
)

// Chain is the state of a chain of signatures: the key and scope that sign each link, and the
// last signature, which the next one covers.
type Chain struct {
	key         *signingKey
	date, scope string
	prev        [64]byte // hex
}

// String names the scope alone.
func (c *Chain) String() string { return "signatures for " + c.scope }

// chainer computes the links of one chain.
type chainer struct {
	Chain
	mac  hash.Hash // keyed with the signing key, reset for each link
	text []byte    // string to sign
}

func newChainer(c *Chain) *chainer {
	return &chainer{Chain: *c, mac: hmac.New(sha256.New, c.key[:]), text: make([]byte, 0, 512)}
}

// chunk makes the signature of a chunk whose data has the given hash the newest link.
func (c *chainer) chunk(sum *[sha256.Size]byte) { c.link("AWS4-HMAC-SHA256-PAYLOAD", EmptySHA256, sum) }

// trailer does so for the trailers.
func (c *chainer) trailer(sum *[sha256.Size]byte) { c.link("AWS4-HMAC-SHA256-TRAILER", "", sum) }

func (c *chainer) link(name, empty string, sum *[sha256.Size]byte) {
	b := append(c.text[:0], name...)
	b = append(b, '\n')
	b = append(b, c.date...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	b = append(b, c.prev[:]...)
	b = append(b, '\n')
	if empty != "" {
		b = append(b, empty...)
		b = append(b, '\n')
	}
	b = hex.AppendEncode(b, sum[:])
	c.text = b
	c.mac.Reset()
	c.mac.Write(b)
	var raw [sha256.Size]byte
	hex.Encode(c.prev[:], c.mac.Sum(raw[:0]))
}

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

// next reads the header of a chunk that must have data.
func (c *chunkReader) next() error {
	size, err := c.header()
	if err != nil {
		return err
	}
	if size == 0 || size > c.left {
		return incomplete(msgWrongLength, nil)
	}
	c.chunk = size
	return nil
}

// header reads "hex-size[;chunk-signature=…]CRLF", and the CRLF of the chunk before.
func (c *chunkReader) header() (int64, error) {
	if c.inside {
		line, err := c.line()
		if err != nil {
			return 0, err
		}
		if line != "\r\n" {
			return 0, malformedChunk()
		}
	}
	c.inside = true
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return 0, malformedChunk()
	}
	if c.chain != nil {
		const ext = ";chunk-signature="
		i := strings.IndexByte(line, ';')
		if i < 0 || !strings.HasPrefix(line[i:], ext) || len(line)-i-len(ext) != len(c.claim) {
			return 0, malformedChunk()
		}
		copy(c.claim[:], line[i+len(ext):])
		line = line[:i]
	}
	return parseHex(line)
}

// line reads up to and with the next LF, at most maxLine bytes.
func (c *chunkReader) line() (string, error) {
	b, err := c.src.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", malformedChunk()
	}
	if err != nil {
		return "", readError(err)
	}
	return string(b), nil
}

// parseHex reads a chunk size.
func parseHex(s string) (int64, error) {
	if len(s) == 0 || len(s) > maxHexSize {
		return 0, malformedChunk()
	}
	var n uint64
	for i := 0; i < len(s); i++ {
		d := lower(s[i])
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		default:
			return 0, malformedChunk()
		}
		n = n<<4 | uint64(d)
	}
	if int64(n) < 0 {
		return 0, malformedChunk()
	}
	return int64(n), nil
}

func malformedChunk() error {
	return invalidRequest("The aws-chunked encoding of the body is malformed.")
}
