package s3

import (
	"errors"
	"io"
	"os"
	"time"

	"holdfast/internal/kind"
)

// wire is a request's body as net/http gives it. It moves the read deadline as data flows, so
// that a slow client may take its time and a stalled one may not, and says in kinds what broke.
// net/http lifts the deadline itself when the body has ended.
type wire struct {
	io.ReadCloser
	w     *response
	moved time.Time
	in    int64
	ended bool // read to its end
}

func (b *wire) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.moved) >= b.w.idle/deadlineSlack {
		b.moved = now
		_ = b.w.control.SetReadDeadline(now.Add(b.w.idle))
	}
	n, err := b.ReadCloser.Read(p)
	b.in += int64(n)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF: //nolint:errorlint // net/http returns it bare
		b.ended = true
		return n, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, kind.Wrap(kind.IncompleteBody, err, "You did not provide the number of bytes specified by the Content-Length HTTP header.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, kind.Wrap(kind.RequestTimeout, err, "the client stopped sending")
	}
	return n, kind.Wrap(kind.IncompleteBody, err, "The request body could not be read to its end")
}

// leave is for a body that was not read to its end: net/http will drain some of it before it takes
// the next request, and the client must not make that wait for ever.
func (b *wire) leave() {
	if b.ReadCloser != nil && !b.ended {
		_ = b.w.control.SetReadDeadline(time.Now().Add(b.w.idle))
	}
}
