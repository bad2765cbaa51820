package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net"
	"net/http"

	"holdfast/internal/kind"
)

// Body returns a reader of the plain body of a request that Verify accepted; id and p are what
// Verify returned. The reader yields exactly p.DecodedLength bytes or an *Error. The Read that
// would yield the last byte first checks all that is left to check, and yields the error instead.
// A body of no bytes is checked before Body returns.
//
// trailers gives the trailers, by lower-case name; it is complete once the last byte was read,
// and nil for a payload without trailers. Every declared trailer is in it.
//
// Reads of 64 KiB or more go into the caller's buffer without a copy on the way.
func (v *Verifier) Body(r *http.Request, id Identity, p Payload) (body io.Reader, trailers func() map[string]string, err error) {
	src := io.Reader(r.Body)
	if r.Body == nil {
		src = http.NoBody
	}
	if p.DecodedLength < 0 {
		return nil, nil, missingLength()
	}
	if p.Kind.Chunked() {
		c, err := newChunkReader(src, id.chain, p)
		if err != nil {
			return nil, nil, err
		}
		return c, func() map[string]string { return c.trailers }, nil
	}
	f := &plainReader{src: src, left: p.DecodedLength}
	if p.Kind == SignedSHA256 {
		if _, err := hex.Decode(f.want[:], []byte(p.SHA256)); err != nil {
			return nil, nil, invalidArgument(msgBadSHA256, "x-amz-content-sha256")
		}
		f.hash = sha256.New()
	}
	if p.DecodedLength == 0 {
		if err := f.check(); err != nil {
			return nil, nil, err
		}
	}
	return f, func() map[string]string { return nil }, nil
}

// plainReader reads an unframed body, and hashes it when its hash was signed.
type plainReader struct {
	src  io.Reader
	left int64
	hash hash.Hash // nil: unsigned
	want [sha256.Size]byte
	err  error
}

func (f *plainReader) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > f.left {
		p = p[:f.left]
	}
	n, err := f.src.Read(p)
	f.left -= int64(n)
	if f.hash != nil {
		f.hash.Write(p[:n])
	}
	if f.left == 0 {
		if e := f.check(); e != nil {
			f.err = e
			return 0, e
		}
		return n, nil
	}
	if err != nil {
		f.err = readError(err)
	}
	return n, f.err
}

// check compares the hash of all that was read.
func (f *plainReader) check() error {
	if f.hash == nil {
		return nil
	}
	var sum [sha256.Size]byte
	f.hash.Sum(sum[:0])
	if subtle.ConstantTimeCompare(sum[:], f.want[:]) != 1 {
		return &Error{Code: "XAmzContentSHA256Mismatch", Kind: kind.ContentSHA256, Message: msgSHA256}
	}
	return nil
}

// readError says in S3's terms why the body stopped before its end, unless the reader below did.
func readError(err error) error {
	var timeout net.Error
	switch {
	case kind.Of(err) != kind.Unknown:
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return incomplete(msgIncomplete, nil)
	case errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Code: "RequestTimeout", Kind: kind.RequestTimeout, Message: msgTimeout, err: err}
	}
	return incomplete(msgIncomplete, err)
}
