package sigv4

import (
	"bufio"
	"errors"
	"strings"
)

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
