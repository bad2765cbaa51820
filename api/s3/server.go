package s3

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"holdfast/api/sigv4"
	"holdfast/internal/kind"
	"holdfast/internal/telemetry"
)

// Server is the S3 API as an http.Handler.
type Server struct {
	cfg      Config
	router   router
	verifier *sigv4.Verifier
	hostID   []string
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Server{
		cfg:      cfg,
		router:   newRouter(routes()),
		verifier: sigv4.New(sigv4.Config{Lookup: cfg.Credentials, Regions: []string{cfg.Region}, Now: cfg.Now}),
		hostID:   []string{cfg.HostID},
	}, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.begin(w, r)
	defer s.end(c)
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

// begin makes the call and sets the headers of every answer.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{s: s, r: r, began: time.Now(), id: requestID(), route: s.router.none}
	c.response = response{ResponseWriter: w, control: http.NewResponseController(w), idle: s.cfg.IdleTimeout}
	c.w, c.requestID[0] = &c.response, c.id
	c.ctx = telemetry.WithRequestID(r.Context(), c.id)
	if r.Body != nil && r.Body != http.NoBody {
		// In a copy: net/http looks at the body of its own request when it ends it, for instance
		// whether the client still waits for 100 Continue.
		c.wire = wire{ReadCloser: r.Body, w: c.w}
		c.r = new(http.Request)
		*c.r = *r
		c.r.Body = &c.wire
	}
	h := w.Header()
	h[headerRequestID] = c.requestID[:]
	h[headerHostID] = s.hostID
	h[headerNoSniff] = nosniff
	h[headerServer] = serverName
	return c
}

// Shared header values; nobody appends to them.
var (
	nosniff    = []string{"nosniff"}
	serverName = []string{"Holdfast"}
)

// requestID is 16 upper-case hexadecimal digits. It names a request and guards nothing, so the
// fast generator will do.
func requestID() string {
	const hex = "0123456789ABCDEF"
	var b [16]byte
	n := rand.Uint64() //nolint:gosec // not a secret
	for i := range b {
		b[i] = hex[n&15]
		n >>= 4
	}
	return string(b[:])
}

// serve finds the operation, authenticates, authorises, and only then looks at anything else.
func (c *call) serve() error {
	t, err := parseTarget(c.r, c.s.cfg.Domains)
	if err != nil {
		return err
	}
	c.target = t
	if c.query, err = parseQuery(c.queryBuf[:0], c.r.URL.RawQuery); err != nil {
		return err
	}
	c.route = c.s.router.find(c)
	if c.route.open {
		return c.route.run(c)
	}
	c.crossOrigin()
	if c.identity, c.payload, err = c.s.verifier.Verify(c.r); err != nil {
		return err
	}
	if err := c.authorise(); err != nil {
		return err
	}
	if c.route.run == nil {
		return unbuilt(c.route.op)
	}
	if err := c.target.check(); err != nil {
		return err
	}
	if err := c.checkHeaders(); err != nil {
		return err
	}
	return c.route.run(c)
}

// authorise decides whether the identity may do the operation. Until there are users and
// policies, whoever has credentials may do everything and nobody else anything.
func (c *call) authorise() error {
	if c.identity.Anonymous {
		return kind.New(kind.AccessDenied, "Access Denied")
	}
	return nil
}

// end logs and counts a finished request, and turns a panic into an answer.
func (s *Server) end(c *call) {
	v := recover()
	c.finish()
	c.wire.leave()
	abort := v != nil
	if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // the sentinel of net/http
		abort = s.rescue(c, v)
	}
	seconds := time.Since(c.began).Seconds()
	s.cfg.Metrics.Observe(c.route.op, c.w.status, seconds, c.wire.in, c.w.out)
	s.log(c, seconds)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// rescue answers 500 after a panic if it still can; else the connection must be broken.
func (s *Server) rescue(c *call, v any) (abort bool) {
	c.err = s.panicked(c, v)
	defer func() { abort = recover() != nil }()
	c.w.Header()["Connection"] = []string{"close"}
	c.fail(c.err)
	return false
}

// panicked logs a panic with its stack and makes an error of it.
func (s *Server) panicked(c *call, v any) error {
	s.cfg.Logger.LogAttrs(c.ctx, slog.LevelError, "a request panicked: this is a bug, please report it with this line",
		slog.String("operation", c.route.op), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	return fmt.Errorf("s3: panic: %v", v)
}

// logFailure writes what the server could not do for a part of a request.
func (s *Server) logFailure(c *call, err error) {
	s.cfg.Logger.LogAttrs(c.ctx, slog.LevelError, adviceFor(err),
		slog.String("operation", c.route.op), slog.String("bucket", c.bucket), slog.String("error", err.Error()))
}

// log writes a line a request at debug. What the server could not do is written at error, with
// its cause; the cause of a client's error shows at debug only.
func (s *Server) log(c *call, seconds float64) {
	level, msg := slog.LevelDebug, "request"
	if r := answerOf(c); r >= 500 && r != http.StatusNotImplemented {
		level, msg = slog.LevelError, adviceFor(c.err)
	}
	if !s.cfg.Logger.Enabled(c.ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", c.route.op), slog.Int("status", c.w.status), slog.String("bucket", c.bucket), slog.String("object", c.key),
		slog.String("peer", c.r.RemoteAddr), slog.String("access_key", c.identity.AccessKey),
		slog.Duration("took", time.Duration(seconds*float64(time.Second))), slog.Int64("in", c.wire.in), slog.Int64("out", c.w.out),
	}
	if c.err != nil {
		attrs = append(attrs, slog.String("error", c.err.Error()))
	}
	s.cfg.Logger.LogAttrs(c.ctx, level, msg, attrs...)
}

// answerOf is the status that a call's error stands for, even if the answer had already begun.
func answerOf(c *call) int {
	if c.err == nil {
		return c.w.status
	}
	return answer(c.err).status
}

// adviceFor tells the operator what to do about a request that the server failed.
func adviceFor(err error) string {
	switch kind.Of(err) {
	case kind.Unavailable, kind.NotLeader:
		return "a request was refused for now: see /-/ready for missing leaders and drives"
	case kind.Timeout:
		return "a request ran out of time: look for a slow drive or an overloaded node"
	case kind.Full:
		return "a request was refused for lack of space: add a drive or delete objects"
	case kind.Damaged:
		return "stored data is damaged beyond what its shards can rebuild: check the drives, then restore the object"
	}
	return "a request failed inside the server: if the cause names a drive, check it; else please report this line"
}

func addrOf(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, false
	}
	return ap.Addr().Unmap(), true
}
