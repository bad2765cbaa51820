package admin

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"holdfast/api/sigv4"
)

// Prefix is where the API lives; no bucket can have that name.
const Prefix = "/-/admin/v1/"

const (
	// maxBody bounds a request's body in bytes: no call has one.
	maxBody = 1 << 10
	// maxQuery bounds the arguments in bytes: a path and a name.
	maxQuery = 8 << 10
	// callTimeout bounds a call. Adding a drive formats it and opens a database; all else is faster.
	callTimeout = time.Minute
)

// Config is what a Server is made of.
type Config struct {
	// Credentials finds the secret of an access key. Required.
	Credentials sigv4.Lookup
	// Region is what requests are signed for; "" is us-east-1.
	Region string
	// Operator answers. Required.
	Operator Operator
	// Now is time.Now but in tests.
	Now func() time.Time
	// Logger gets a line for each call that changes something.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Credentials == nil || c.Operator == nil {
		return errors.New("admin: Config needs Credentials and an Operator")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Server is the API as an http.Handler.
type Server struct {
	cfg      Config
	verifier *sigv4.Verifier
	calls    map[string]call // by method and path below Prefix
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, calls: calls(cfg.Operator)}
	s.verifier = sigv4.New(sigv4.Config{Lookup: cfg.Credentials, Regions: []string{cfg.Region}, Now: cfg.Now})
	return s, nil
}

// ServeHTTP authenticates before it looks at anything else.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	identity, payload, err := s.verifier.Verify(r)
	var refused *sigv4.Error
	switch {
	case errors.As(err, &refused):
		refuse(w, http.StatusForbidden, refused.Code, refused.Message)
		return
	case err != nil:
		s.cfg.Logger.ErrorContext(r.Context(), "an admin call could not be authenticated", "error", err)
		refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "Please try again.")
		return
	case identity.Anonymous:
		refuse(w, http.StatusForbidden, "AccessDenied", "Sign the request with the root credentials (SigV4, service s3).")
		return
	case payload.DecodedLength != 0 || r.ContentLength != 0:
		refuse(w, http.StatusBadRequest, "InvalidRequest", "No call of this API has a body.")
		return
	case len(r.URL.RawQuery) > maxQuery:
		refuse(w, http.StatusBadRequest, "InvalidRequest", "The arguments are too long.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.serve(w, r, identity.AccessKey)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, map[string]string{"code": code, "message": message})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone; there is nobody else to tell
}
