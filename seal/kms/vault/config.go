package vault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"holdfast/internal/secret"
)

// Config says where the Vault is and how to log in. Of Token, TokenFile and RoleID, one is set.
type Config struct {
	Address   string // https://host:port; http to a loopback address only
	Namespace string // of Vault Enterprise and OpenBao; "" is the root
	Mount     string // of the transit engine; "" is "transit"
	CAFile    string // PEM file of the authorities that sign its certificate; "": the system's

	Token        secret.Text // a token
	TokenFile    string      // a file with a token, read again when the token is refused: Vault Agent keeps one
	RoleID       string      // AppRole
	SecretIDFile string      // of AppRole
	AuthMount    string      // of AppRole; "" is "approle"

	Timeout time.Duration    // of one call; 0 is 5 s
	Tries   int              // of one operation, with a pause between; 0 is 3
	Rand    io.Reader        // of data keys under master keys that are not derived
	Now     func() time.Time // the clock
}

// Defaults and bounds.
const (
	defaultTimeout = 5 * time.Second
	defaultTries   = 3
	maxTries       = 10
	maxConns       = 32       // to one Vault at a time; further calls wait
	maxResponse    = 64 << 10 // bytes of an answer; those we ask for have some hundred
	maxHeader      = 16 << 10 // bytes of an answer's header
	maxPause       = 2 * time.Second
	firstPause     = 100 * time.Millisecond
	loginPause     = 10 * time.Second // between two logins because a token was refused
)

func (c *Config) validate() error {
	u, err := url.Parse(c.Address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return errors.New("vault: the address is https://host:port")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return errors.New("vault: data keys travel over https, but to a loopback address")
	case c.Rand == nil || c.Now == nil:
		return errors.New("vault: a random source and a clock are needed")
	}
	ways := 0
	for _, set := range []bool{!c.Token.IsZero(), c.TokenFile != "", c.RoleID != ""} {
		if set {
			ways++
		}
	}
	if ways != 1 || (c.RoleID != "") != (c.SecretIDFile != "") {
		return errors.New("vault: give a token, a token file, or a role ID with a file of its secret ID")
	}
	c.Address = u.Scheme + "://" + u.Host
	c.Mount, c.AuthMount = strings.Trim(c.Mount, "/"), strings.Trim(c.AuthMount, "/")
	if c.Mount == "" {
		c.Mount = "transit"
	}
	if c.AuthMount == "" {
		c.AuthMount = "approle"
	}
	if !validMount(c.Mount) || !validMount(c.AuthMount) || strings.ContainsFunc(c.Namespace, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("vault: a mount or namespace is a path of letters, digits, '-', '_' and '.'")
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Tries <= 0 {
		c.Tries = defaultTries
	}
	c.Tries = min(c.Tries, maxTries)
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// validMount: a mount may have slashes inside, and no segment that a path would resolve.
func validMount(m string) bool {
	for s := range strings.SplitSeq(m, "/") {
		if !validSegment(s) {
			return false
		}
	}
	return true
}

// validSegment is what may stand between two slashes of a path, so that no name reaches another
// path of the Vault.
func validSegment(s string) bool {
	return s != "" && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}

// httpClient follows no redirect: the token goes to the configured address only.
func (c *Config) httpClient() (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("vault: read certificates: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("vault: %s has no certificate in PEM", c.CAFile)
		}
	}
	return &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:        conf,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        maxConns,
			MaxIdleConnsPerHost:    maxConns,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHeader,
			ResponseHeaderTimeout:  c.Timeout,
			TLSHandshakeTimeout:    c.Timeout,
			DisableCompression:     true, // nothing small expands to something large
		},
	}, nil
}
