package s3

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"holdfast/api/sigv4"
	"holdfast/internal/kind"
	"holdfast/object"
	"holdfast/seal"
)

// The headers of every answer, as they are spelled on the wire.
const (
	headerRequestID = "x-amz-request-id"
	headerHostID    = "x-amz-id-2"
	headerNoSniff   = "X-Content-Type-Options"
	headerServer    = "Server"
)

// call is one request on its way through. Handlers read it and write to w.
type call struct {
	s      *Server
	w      *response
	r      *http.Request
	ctx    context.Context //nolint:containedctx // a call is a request: it lives as long as its context
	route  *route
	target // bucket, key
	query  query

	id       string
	began    time.Time
	identity sigv4.Identity
	payload  sigv4.Payload
	wire     wire
	err      error // what was answered, for the log

	secure         bool
	sse            seal.SSE           // of the object or the destination, by keys of the server
	customer       *seal.CustomerKey  // of the object or the destination; nil without
	sourceCustomer *seal.CustomerKey  // of a copy's source; nil without
	customerSent   bool               // the request has an SSE-C header
	explain        []override         // headers that an error's answer has all the same
	looked         *object.BucketInfo // what bucketInfo has found

	// What would else be small allocations of every request.
	response  response
	requestID [1]string
	queryBuf  [8]param
}

// header is the value of a request header by its canonical name, "" without.
func (c *call) header(name string) string {
	if v := c.r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// open begins the reading of the body: object bytes, verified by sigv4, of length size. The
// trailers are known when it has ended.
func (c *call) open() (body io.Reader, size int64, trailers func() map[string]string, err error) {
	size = c.payload.DecodedLength
	if size < 0 {
		return nil, 0, nil, plain(kind.MissingContentLength)
	}
	body, trailers, err = c.s.verifier.Body(c.r, c.identity, c.payload)
	return body, size, trailers, err
}

// bucketInfo is the bucket of the request, looked for once.
func (c *call) bucketInfo() (*object.BucketInfo, error) {
	if c.looked == nil {
		b, err := c.s.cfg.Engine.HeadBucket(c.ctx, c.bucket)
		if err != nil {
			return nil, err
		}
		c.looked = &b
	}
	return c.looked, nil
}

// finish zeroes what the request must not leave behind.
func (c *call) finish() {
	c.customer.Zero()
	c.sourceCustomer.Zero()
}

// overTLS reports whether the client's bytes were under TLS: on our listener, or on that of a
// proxy which we were told to trust.
func (s *Server) overTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if len(s.cfg.TrustedProxies) == 0 {
		return false
	}
	proto := r.Header["X-Forwarded-Proto"]
	if len(proto) != 1 || !strings.EqualFold(proto[0], "https") {
		return false
	}
	peer, ok := addrOf(r.RemoteAddr)
	if !ok {
		return false
	}
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}
