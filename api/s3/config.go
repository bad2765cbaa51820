package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"holdfast/api/sigv4"
	"holdfast/seal/kms"
)

// Limits of one request. Those of objects are object.Max….
const (
	maxXML           = 1 << 20  // bytes of an XML body
	maxLongXML       = 2 << 20  // the same where 10,000 parts or 1,000 keys are named
	maxHeaders       = 16 << 10 // bytes of all header names and values; AWS has 8 KiB
	deleteWorkers    = 32       // deletes of one DeleteObjects at a time: they share group commits
	maxVersionID     = 1024     // bytes of a version ID or an upload ID that a client names
	defaultRegion    = "us-east-1"
	defaultIdle      = time.Minute
	defaultKeepAlive = 5 * time.Second
	defaultOwner     = "holdfast"
	deadlineSlack    = 8       // a deadline is moved when 1/8 of its time has passed, not at every read
	maxListWriter    = 1 << 20 // bytes of an XML buffer that is kept for the next answer
	smallXMLWriter   = 4 << 10 // bytes of one to begin with
)

// Observer counts finished requests: the operation by its S3 name ("Unknown" where a request is
// none), the status (499 when the client went away first), seconds, and bytes of the bodies.
type Observer interface {
	Observe(op string, code int, seconds float64, in, out int64)
}

// Config is what a Server is made of.
type Config struct {
	// Engine stores and finds objects. Required.
	Engine Engine
	// Credentials finds the secret of an access key. Required.
	Credentials sigv4.Lookup
	// Region is what requests are signed for and buckets are in; "" is us-east-1.
	Region string
	// OwnerID and OwnerName are shown as the owner of buckets and objects. OwnerID should be the
	// 64 hex digits of a canonical user ID; "" is "holdfast".
	OwnerID, OwnerName string
	// KMSNames turns what clients call a master key into its name, and back.
	KMSNames kms.Names
	// BlockSSEC refuses uploads with SSE-C to buckets that do not say otherwise.
	BlockSSEC bool
	// Domains are the host names below which a first label is a bucket (virtual-host style),
	// without port: "s3.example.org". The domain itself, and any other host, is path style.
	Domains []string
	// TrustedProxies may say by X-Forwarded-Proto that the client's side of them was TLS.
	TrustedProxies []netip.Prefix
	// HostID is sent as x-amz-id-2: which front answered. It must not be secret.
	HostID string
	// IdleTimeout ends a connection whose client neither sends nor takes a byte for so long while
	// a body flows; 0 is one minute. The http.Server needs a ReadHeaderTimeout and a WriteTimeout
	// of its own for what lies outside of bodies, and no ReadTimeout.
	IdleTimeout time.Duration
	// KeepAlive is how long CompleteMultipartUpload may take in silence: after that the answer begins, as
	// AWS has it, with 200 and white space, and tells in its body how it ended. Default 5 s.
	KeepAlive time.Duration
	// Now is the clock that signatures are held against: time.Now but in tests.
	Now func() time.Time
	// Logger gets a line a request at debug, and each 5xx at error.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics Observer
}

func (c *Config) validate() error {
	if c.Engine == nil || c.Credentials == nil {
		return errors.New("s3: Config needs Engine and Credentials")
	}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	if c.OwnerID == "" {
		c.OwnerID = defaultOwner
	}
	if c.OwnerName == "" {
		c.OwnerName = c.OwnerID
	}
	c.Domains = slices.Clone(c.Domains)
	for i, d := range c.Domains {
		if d == "" || strings.ContainsAny(d, ":/ ") {
			return fmt.Errorf("s3: domain %q is not a host name without port", d)
		}
		c.Domains[i] = strings.ToLower(d)
	}
	// The longest first: below s3.example.org a host is not below example.org.
	slices.SortFunc(c.Domains, func(a, b string) int { return len(b) - len(a) })
	if c.HostID == "" {
		c.HostID = "holdfast"
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = defaultIdle
	}
	if c.KeepAlive <= 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = nobody{}
	}
	return nil
}

type nobody struct{}

func (nobody) Observe(string, int, float64, int64, int64) {}
