package sigv4

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Limits. They hold before anything is authenticated, so each is small.
const (
	maxAccessKeyLen = 128       // bytes; AWS's longest is 128
	maxRegionLen    = 64        // bytes
	maxTokenLen     = 8 << 10   // bytes of a session token
	maxSigned       = 256       // signed headers of a request; AWS allows 8 KiB of headers
	maxExpires      = 604800    // seconds of a presigned URL: seven days
	maxTrailers     = 8         // trailers that a request may declare
	maxLine         = 1 << 10   // bytes of a chunk header or trailer line
	maxStaged       = 1 << 20   // bytes of a signed chunk that is verified before any of it is handed on
	maxHexSize      = 16        // digits of a chunk size
	maxIdleReads    = 100       // reads of nothing in a row, as in bufio
	keyCacheSize    = 1024      // signing keys of either generation of the cache
	defaultSkew     = 15 * 60e9 // nanoseconds; AWS's 15 minutes
)

// Credentials are what a client signs with.
type Credentials struct {
	AccessKey, SecretKey string
	SessionToken         string // "" for long-lived credentials

	// The rest is for a Lookup to fill in.

	// Session finds the credentials of a key that is known by its session token alone. It is given the
	// request's token, "" without; what it returns has the place of these. An *Error refuses.
	Session func(ctx context.Context, token string) (Credentials, error)
	// Expires is when they end; zero: never. Who signs rightly with expired ones is told ExpiredToken.
	Expires time.Time
	// Who is handed on as Identity.Who. If it is a Witness it is told first.
	Who any
}

// Witness is told of each request that was authenticated with its credentials. It must be quick.
type Witness interface {
	Authenticated(service, region string, at time.Time)
}

// String keeps secrets out of every verb; see Format.
func (c Credentials) String() string { return "credentials of " + c.AccessKey + " (REDACTED)" }

// Format prints the access key alone, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// MarshalJSON refuses to spell a secret.
func (c Credentials) MarshalJSON() ([]byte, error) { return []byte(`"REDACTED"`), nil }

// LogValue keeps secrets out of logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Lookup finds the credentials of an access key. An unknown key is (Credentials{}, false, nil); an
// error means that it could not be told, and is passed on as it is.
type Lookup func(ctx context.Context, accessKey string) (Credentials, bool, error)

// Config of a Verifier.
type Config struct {
	// Lookup finds secrets. Required.
	Lookup Lookup
	// Regions a request may be signed for; the first is named to clients that chose another.
	// Empty accepts any region; "" in the list stands for us-east-1.
	Regions []string
	// Service a request must be signed for; "" is "s3".
	Service string
	// Now is the clock. Required: the package reads none itself.
	Now func() time.Time
	// MaxSkew is how far a client's clock may be off; 0 is AWS's 15 minutes.
	MaxSkew time.Duration
}

// Verifier authenticates requests. It may be used by many goroutines.
type Verifier struct {
	cfg  Config
	keys keyCache
}

// Format prints no more than the type: the cache holds secrets.
func (v *Verifier) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("sigv4.Verifier")) }

// New makes a Verifier. It panics without Lookup and Now: both are errors of the program.
func New(cfg Config) *Verifier {
	if cfg.Lookup == nil || cfg.Now == nil {
		panic("sigv4: Config.Lookup and Config.Now are required")
	}
	if cfg.Service == "" {
		cfg.Service = "s3"
	}
	if cfg.MaxSkew <= 0 {
		cfg.MaxSkew = defaultSkew
	}
	regions := make([]string, len(cfg.Regions))
	for i, r := range cfg.Regions {
		if r == "" {
			r = "us-east-1"
		}
		regions[i] = r
	}
	cfg.Regions = regions
	return &Verifier{cfg: cfg}
}

// Identity is who signed a request.
type Identity struct {
	AccessKey     string
	Anonymous     bool      // nobody signed it: nothing but the framing of the body was checked
	Presigned     bool      // signed in the query
	Signed        time.Time // when it was signed
	Region        string    // what the scope names
	SignedHeaders []string  // lower case, sorted
	Who           any       // what the Lookup said of them; nil when anonymous

	chain *Chain // to verify signed chunks; nil when anonymous
}

// HasSigned reports whether the header (lower case) is covered by the signature.
func (id Identity) HasSigned(header string) bool { return isSigned(id.SignedHeaders, header) }

// Verify authenticates r by its Authorization header or its query, and says what will
// authenticate its body. It reads nothing of the body. A request without any authentication is
// Anonymous, not an error; one with a faulty authentication is never anonymous.
func (v *Verifier) Verify(r *http.Request) (Identity, Payload, error) {
	s := scratchPool.Get().(*scratch)
	defer s.release()
	var err *Error
	if s.query, err = parseQuery(s.query[:0], r.URL.RawQuery); err != nil {
		return Identity{}, Payload{}, err
	}
	a, err := findAuth(r, s.query)
	if err != nil {
		return Identity{}, Payload{}, err
	}
	if a.form == formNone {
		p, err := parsePayload(r, nil, nil)
		if err != nil {
			return Identity{}, Payload{}, err
		}
		return Identity{Anonymous: true}, p, nil
	}
	if err := v.checkScope(&a); err != nil {
		return Identity{}, Payload{}, err
	}
	if err := v.checkTime(&a); err != nil {
		return Identity{}, Payload{}, err
	}
	p, err := parsePayload(r, &a, s.query)
	if err != nil {
		return Identity{}, Payload{}, err
	}
	if name := unsignedHeader(r.Header, a.signed); name != "" {
		e := accessDenied(msgNotSigned)
		e.Header = name
		return Identity{}, Payload{}, e
	}
	id, lerr := v.authenticate(r, &a, s, p.hash)
	if lerr != nil {
		return Identity{}, Payload{}, lerr
	}
	return id, p, nil
}
