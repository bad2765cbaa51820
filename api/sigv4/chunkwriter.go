package sigv4

import (
	"crypto/sha256"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ChunkWriter frames a body as aws-chunked. Write collects chunks of a set size; Close writes the
// last one and the trailers.
type ChunkWriter struct {
	w        io.Writer
	chain    *chainer // nil: unsigned
	buf      []byte
	size     int
	trailers func() map[string]string
}

// NewChunkWriter frames into w in chunks of size bytes. chain is what Sign returned for one of the
// signed streaming payloads, nil for StreamingUnsigned. trailers is called by Close; nil is for
// StreamingPayload, which has none.
func NewChunkWriter(w io.Writer, chain *Chain, size int, trailers func() map[string]string) *ChunkWriter {
	c := &ChunkWriter{w: w, size: size, buf: make([]byte, 0, size), trailers: trailers}
	if chain != nil {
		c.chain = newChainer(chain)
	}
	return c
}

func (c *ChunkWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), c.size-len(c.buf))
		c.buf = append(c.buf, p[:k]...)
		if p = p[k:]; len(c.buf) == c.size {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush writes c.buf as one chunk; an empty one is the last.
func (c *ChunkWriter) flush() error {
	head := strconv.AppendInt(nil, int64(len(c.buf)), 16)
	if c.chain != nil {
		sum := sha256.Sum256(c.buf)
		c.chain.chunk(&sum)
		head = append(head, ";chunk-signature="...)
		head = append(head, c.chain.prev[:]...)
	}
	head = append(head, "\r\n"...)
	if _, err := c.w.Write(head); err != nil || len(c.buf) == 0 {
		return err
	}
	_, err := c.w.Write(append(c.buf, "\r\n"...))
	c.buf = c.buf[:0]
	return err
}

// Close ends the body. It does not close the writer below.
func (c *ChunkWriter) Close() error {
	if len(c.buf) > 0 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	var tail, text strings.Builder
	if c.trailers != nil {
		values := c.trailers()
		names := make([]string, 0, len(values))
		for name := range values {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			tail.WriteString(name + ":" + values[name] + "\r\n")
			text.WriteString(name + ":" + values[name] + "\n")
		}
		if c.chain != nil {
			sum := sha256.Sum256([]byte(text.String()))
			c.chain.trailer(&sum)
			tail.WriteString(trailerSignatureName + ":" + string(c.chain.prev[:]) + "\r\n")
		}
	}
	_, err := io.WriteString(c.w, tail.String()+"\r\n")
	return err
}

// ChunkedLen is the length of a body of n bytes as a ChunkWriter frames it in chunks of size bytes.
// trailers has the length of each trailer's value by name; nil is for no trailers.
func ChunkedLen(n int64, size int, signed bool, trailers map[string]int) int64 {
	const crlf = 2
	ext := int64(crlf)
	if signed {
		ext += int64(len(";chunk-signature=")) + 2*sha256.Size
	}
	chunk := func(data int64) int64 {
		return int64(len(strconv.FormatInt(data, 16))) + ext + data + crlf
	}
	total := n/int64(size)*chunk(int64(size)) + chunk(0)
	if last := n % int64(size); last > 0 {
		total += chunk(last)
	}
	for name, value := range trailers {
		total += int64(len(name) + 1 + value + crlf)
	}
	if signed && trailers != nil {
		total += int64(len(trailerSignatureName)+1+2*sha256.Size) + crlf
	}
	return total
}
