package s3

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"holdfast/internal/kind"
)

// wire is a request's body as net/http gives it. It moves the read deadline as data flows, so
// that a slow client may take its time and a stalled one may not, and says in kinds what broke.
type wire struct {
	io.ReadCloser
	w     *response
	ctx   context.Context
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
	case b.ctx.Err() != nil:
		return n, kind.Wrap(kind.Canceled, err, "the client went away")
	}
	return n, kind.Wrap(kind.IncompleteBody, err, "The request body could not be read to its end")
}

// done lifts the read deadline: what follows a body is the server's work, and net/http would take
// the deadline for the client's leaving.
func (b *wire) done() {
	if b.moved != (time.Time{}) {
		b.moved = time.Time{}
		_ = b.w.control.SetReadDeadline(time.Time{})
	}
}

// leave is for a body that was not read to its end: net/http will drain some of it before it takes
// the next request, and the client must not make that wait for ever.
func (b *wire) leave() {
	if b.ReadCloser != nil && !b.ended {
		_ = b.w.control.SetReadDeadline(time.Now().Add(b.w.idle))
	}
}

// payload is the body that a handler reads: object bytes, as sigv4 unwraps and verifies them.
type payload struct {
	src  io.Reader
	wire *wire
}

func (p *payload) Read(b []byte) (int, error) {
	n, err := p.src.Read(b)
	if err != nil {
		p.wire.done()
	}
	return n, err
}
