package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"slices"
	"strings"
)

// finish reads and checks all that follows the last byte of data: the empty chunk, the trailers,
// and that the body ends there.
func (c *chunkReader) finish() error {
	size, err := c.header()
	if err != nil {
		return err
	}
	if size != 0 {
		return incomplete(msgWrongLength, nil)
	}
	if c.chain != nil {
		if err := c.verify(); err != nil { // of no data
			return err
		}
	}
	if c.trailers != nil {
		return c.readTrailers()
	}
	if err := c.blank(malformedChunk); err != nil {
		return err
	}
	return c.end()
}

// readTrailers reads the trailers in any of the forms that doc.go draws.
func (c *chunkReader) readTrailers() error {
	claim := ""
	for claim == "" {
		name, value, err := c.trailerLine()
		if err != nil {
			return err
		}
		if name == "" {
			break
		}
		if name == trailerSignatureName && c.signed {
			claim = value
		} else if err := c.addTrailer(name, value); err != nil {
			return err
		}
	}
	switch {
	case !c.signed:
		if _, err := c.src.Peek(1); err != io.EOF { //nolint:errorlint // as in end
			if err := c.blank(asError(malformedTrailer)); err != nil {
				return err
			}
		}
	case claim == "": // a blank line came before the signature
		name, value, err := c.trailerLine()
		if err != nil {
			return err
		}
		if name != trailerSignatureName {
			return malformedTrailer()
		}
		claim = value
		fallthrough
	default:
		if err := c.blank(asError(malformedTrailer)); err != nil {
			return err
		}
	}
	if err := c.end(); err != nil {
		return err
	}
	return c.checkTrailers(claim)
}

// trailerLine reads "name:value"; no name is a blank line.
func (c *chunkReader) trailerLine() (name, value string, _ error) {
	line, err := c.line()
	if err != nil {
		return "", "", err
	}
	if line == "\r\n" {
		return "", "", nil
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	name, value, found := strings.Cut(line, ":")
	name, value = strings.ToLower(name), strings.Trim(value, " \t")
	if !found || !headerToken(name) || value == "" || !graphic(value) {
		return "", "", malformedTrailer()
	}
	return name, value, nil
}

// addTrailer takes a declared trailer, once.
func (c *chunkReader) addTrailer(name, value string) error {
	if _, twice := c.trailers[name]; twice || !slices.Contains(c.declared, name) {
		return malformedTrailer()
	}
	c.trailers[name] = value
	return nil
}

// checkTrailers wants every declared trailer, and verifies their signature.
func (c *chunkReader) checkTrailers(claim string) error {
	if len(c.trailers) != len(c.declared) {
		return malformedTrailer()
	}
	if !c.signed {
		return nil
	}
	names := slices.Sorted(slices.Values(c.declared))
	var text []byte
	for _, name := range names {
		text = append(text, name...)
		text = append(text, ':')
		text = append(text, c.trailers[name]...)
		text = append(text, '\n')
	}
	sum := sha256.Sum256(text)
	c.chain.trailer(&sum)
	if subtle.ConstantTimeCompare([]byte(claim), c.chain.prev[:]) != 1 {
		return signatureMismatch()
	}
	return nil
}

// blank wants a line of CRLF alone.
func (c *chunkReader) blank(fail func() error) error {
	line, err := c.line()
	if err != nil {
		return err
	}
	if line != "\r\n" {
		return fail()
	}
	return nil
}

// end wants the end of the body.
func (c *chunkReader) end() error {
	switch _, err := c.src.ReadByte(); {
	case err == nil:
		return incomplete("The body goes on after its last chunk.", nil)
	case err == io.EOF: //nolint:errorlint // an error that wraps it is no clean end
		return nil
	default:
		return readError(err)
	}
}

func asError(f func() *Error) func() error { return func() error { return f() } }
