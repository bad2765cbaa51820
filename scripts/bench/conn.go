package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/api/sigv4"
)

const (
	callTimeout = 60 * time.Second // for one request
	bodyBuffer  = 256 << 10        // bytes that one read of a body asks for
	wireBuffer  = 128 << 10        // bytes that one system call moves
	maxError    = 4 << 10          // bytes of an error's body that are kept
)

// dialer opens connections to one endpoint.
type dialer struct {
	host, address string
	config        *tls.Config
}

// wire is a TCP connection that reads and, while held, writes in large pieces: crypto/tls by
// itself makes a system call of each record of 16 KiB.
type wire struct {
	net.Conn
	in   *bufio.Reader
	out  []byte
	held bool
}

func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

func (w *wire) Write(p []byte) (int, error) {
	if !w.held {
		return w.Conn.Write(p)
	}
	w.out = append(w.out, p...)
	if len(w.out) < wireBuffer {
		return len(p), nil
	}
	return len(p), w.flush()
}

func (w *wire) flush() error {
	_, err := w.Conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// conn is a connection that makes one call after the other.
type conn struct {
	t    *target
	wire *wire
	tls  *tls.Conn
	in   *bufio.Reader
	req  http.Request // what the signer signs
	url  url.URL
	head []byte
	buf  []byte
}

// call is one request. The body is given in pieces, so that large ones are not copied.
type call struct {
	method, path, query string
	headers             http.Header // signed as well
	body                [][]byte
	hash                string // x-amz-content-sha256; "" is UNSIGNED-PAYLOAD
	want                int    // status; 0 is 200
}

// refused is an answer other than the one that was wanted.
type refused struct {
	status int
	body   string
}

func (r *refused) Error() string { return fmt.Sprintf("answer %d: %s", r.status, r.body) }

// dial opens a connection to the endpoint whose turn it is.
func (t *target) dial() (*conn, error) {
	turn := t.turn.Add(1) - 1
	return t.dialTo(t.dialers[turn%uint64(len(t.dialers))])
}

func (t *target) dialTo(to *dialer) (*conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	var d net.Dialer
	connect := d.DialContext
	if t.via != nil {
		connect = t.via
	}
	raw, err := connect(ctx, "tcp", to.address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: raw, in: bufio.NewReaderSize(raw, wireBuffer)}
	c := &conn{t: t, wire: w, tls: tls.Client(w, to.config), buf: make([]byte, bodyBuffer)}
	if err := c.tls.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	c.in = bufio.NewReaderSize(c.tls, 4<<10)
	c.req = http.Request{URL: &c.url, Host: to.host, Header: make(http.Header, 16)}
	return c, nil
}

func (c *conn) close() { c.tls.Close() }

// call sends a request and hands the pieces of the answer's body to sink, which may be nil. It
// returns the Content-Length, -1 for a chunked body.
func (c *conn) call(q *call, sink func([]byte) error) (int64, error) {
	if err := c.wire.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return 0, err
	}
	if err := c.send(q); err != nil {
		if _, answer := c.receive(q, nil); errors.As(answer, new(*refused)) {
			return 0, answer // the server said why before it hung up
		}
		return 0, err
	}
	return c.receive(q, sink)
}

func (c *conn) send(q *call) error {
	c.req.Method, c.url.Path, c.url.RawQuery = q.method, q.path, q.query
	clear(c.req.Header)
	for name, values := range q.headers {
		c.req.Header[name] = values
	}
	hash := q.hash
	if hash == "" {
		hash = sigv4.UnsignedPayload
	}
	sigv4.Sign(&c.req, c.t.creds, c.t.region, "s3", time.Now(), hash)
	b := append(c.head[:0], q.method...)
	b = append(b, ' ')
	b = append(b, q.path...)
	if q.query != "" {
		b = append(append(b, '?'), q.query...)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.req.Host...)
	for name, values := range c.req.Header {
		for _, v := range values {
			b = append(append(append(append(b, "\r\n"...), name...), ": "...), v...)
		}
	}
	length := 0
	for _, piece := range q.body {
		length += len(piece)
	}
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	b = append(b, "\r\n\r\n"...)
	c.head = b
	if length <= 8<<10 { // one record, one system call
		for _, piece := range q.body {
			b = append(b, piece...)
		}
		c.head = b
		_, err := c.tls.Write(b)
		return err
	}
	c.wire.held = true
	defer func() { c.wire.held = false }()
	if _, err := c.tls.Write(b); err != nil {
		return err
	}
	for _, piece := range q.body {
		if _, err := c.tls.Write(piece); err != nil {
			return err
		}
	}
	return c.wire.flush()
}

// receive reads an answer.
func (c *conn) receive(q *call, sink func([]byte) error) (int64, error) {
	status, length, err := c.readHead()
	if err != nil {
		return 0, err
	}
	want := q.want
	if want == 0 {
		want = http.StatusOK
	}
	if q.method == http.MethodHead || status == http.StatusNoContent {
		if status != want {
			return 0, &refused{status, "no body"}
		}
		return length, nil
	}
	if status != want {
		e := &refused{status: status}
		_ = c.readBody(length, func(b []byte) error {
			e.body += string(b[:min(len(b), maxError-len(e.body))])
			return nil
		})
		return 0, e
	}
	return length, c.readBody(length, sink)
}

// readHead reads status line and headers, and of the latter what frames the body.
func (c *conn) readHead() (status int, length int64, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, fmt.Errorf("no answer in HTTP/1.1: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, err
	}
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return status, length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch len(name) {
		case len("content-length"):
			if strings.EqualFold(string(name), "content-length") {
				if length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
					return 0, 0, err
				}
			}
		case len("transfer-encoding"):
			if strings.EqualFold(string(name), "transfer-encoding") {
				length = -1
			}
		}
	}
}

// readBody reads a body of a known length, or a chunked one (-1).
func (c *conn) readBody(length int64, sink func([]byte) error) error {
	if length >= 0 {
		return c.readPlain(length, sink)
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil {
			return err
		}
		if err := c.readPlain(n, sink); err != nil {
			return err
		}
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return fmt.Errorf("a chunk of the answer ends in %q", line)
		}
		if n == 0 {
			return nil
		}
	}
}

func (c *conn) readPlain(length int64, sink func([]byte) error) error {
	for length > 0 {
		n, err := c.in.Read(c.buf[:min(int64(len(c.buf)), length)])
		length -= int64(n)
		if n > 0 && sink != nil {
			if e := sink(c.buf[:n]); e != nil {
				return e
			}
		}
		if err != nil && length > 0 {
			return fmt.Errorf("%d bytes of the answer are missing: %w", length, err)
		}
	}
	return nil
}
