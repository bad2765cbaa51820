package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/keyfile"
)

// Lifetimes of server certificates.
const (
	Lifetime    = 397 * 24 * time.Hour // the longest that browsers take
	RenewBefore = 30 * 24 * time.Hour

	checkEvery = time.Hour // how often a running server looks at the expiry
)

// Config says where certificates are and what they are for.
type Config struct {
	Dir    string   // the directory certs; made with mode 0700 if it is not there
	Secret []byte   // 32 bytes: the cluster secret, or what is derived from it for this purpose
	Hosts  []string // names and addresses besides localhost, 127.0.0.1 and ::1; *.name for buckets as host names
	Now    func() time.Time
	Rand   io.Reader // crypto/rand.Reader, outside tests
	Logger *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("pki: no directory")
	case len(c.Secret) != 32:
		return fmt.Errorf("pki: a secret of %d bytes, want 32", len(c.Secret))
	case c.Now == nil || c.Rand == nil:
		return errors.New("pki: no clock or no random source")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Server holds a server's certificate and renews it. Safe for concurrent use.
type Server struct {
	cfg   Config
	hosts hosts
	ca    *authority

	current atomic.Pointer[held]
	renewal sync.Mutex // held by whoever looks at the expiry
}

// held is a certificate in use.
type held struct {
	tls     *tls.Certificate
	own     bool
	checkAt time.Time
}

// Open finds the certificates, or makes them.
func Open(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	h, err := newHosts(cfg.Hosts)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	s := &Server{cfg: cfg, hosts: h}
	if s.ca, err = openAuthority(s.CAPath(), cfg.Secret, cfg.Now(), cfg.Rand); err != nil {
		return nil, err
	}
	found, err := s.find()
	if err != nil {
		return nil, err
	}
	if found == nil {
		if found, err = s.issue(); err != nil {
			return nil, err
		}
	}
	s.keep(found)
	return s, nil
}

// CAPath is where clients find the certificate to trust.
func (s *Server) CAPath() string { return filepath.Join(s.cfg.Dir, "ca.pem") }

func (s *Server) certPath() string { return filepath.Join(s.cfg.Dir, "public.crt") }
func (s *Server) keyPath() string  { return filepath.Join(s.cfg.Dir, "private.key") }

// Pool is what trusts the cluster's authority, for clients in this process.
func (s *Server) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.cert)
	return pool
}

// Expires is when the certificate in use ends.
func (s *Server) Expires() time.Time { return s.current.Load().tls.Leaf.NotAfter }

// Own reports whether the certificate in use is under the cluster's authority, so that clients need
// ca.pem.
func (s *Server) Own() bool { return s.current.Load().own }

// GetCertificate is for tls.Config. About once an hour it looks whether the certificate is to be
// renewed; if that fails, the old one is served on.
func (s *Server) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	h := s.current.Load()
	if s.cfg.Now().Before(h.checkAt) || !s.renewal.TryLock() {
		return h.tls, nil
	}
	defer s.renewal.Unlock()
	if h = s.current.Load(); s.cfg.Now().Before(h.checkAt) { // somebody was faster
		return h.tls, nil
	}
	if h.own && s.due(h.tls.Leaf) {
		fresh, err := s.issue()
		if err != nil {
			s.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "certificate not renewed",
				slog.Time("expires", h.tls.Leaf.NotAfter), slog.Any("error", err))
		} else {
			h = fresh
		}
	}
	s.keep(h)
	return h.tls, nil
}

// keep puts a certificate in use.
func (s *Server) keep(h *held) {
	now := s.cfg.Now()
	if left := h.tls.Leaf.NotAfter.Sub(now); !h.own && left < RenewBefore {
		s.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "certificate expires and is not ours to renew",
			slog.String("path", s.certPath()), slog.Time("expires", h.tls.Leaf.NotAfter))
	}
	s.current.Store(&held{tls: h.tls, own: h.own, checkAt: now.Add(checkEvery)})
}

func (s *Server) due(c *x509.Certificate) bool {
	return c.NotAfter.Sub(s.cfg.Now()) < RenewBefore || !s.hosts.coveredBy(c)
}

// find loads the certificate on disk; nil if there is none, or if it is ours and to be made anew.
func (s *Server) find() (*held, error) {
	chain, err := os.ReadFile(s.certPath())
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.keyPath()); err == nil {
			return nil, fmt.Errorf("pki: %s has no %s beside it", s.keyPath(), filepath.Base(s.certPath()))
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pki: read certificate: %w", err)
	}
	leaf, err := parseCert(chain)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", s.certPath(), err)
	}
	own := s.ca.issued(leaf)
	if !own && leaf.Issuer.String() == s.ca.cert.Subject.String() {
		return nil, fmt.Errorf("%w (%s)", ErrForeignCA, s.certPath())
	}
	if own && s.due(leaf) {
		return nil, nil
	}
	key, err := keyfile.Read(s.keyPath())
	if own && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pki: read key: %w", err)
	}
	defer clear(key)
	pair, err := tls.X509KeyPair(chain, key)
	if own && err != nil {
		return nil, nil // a crash between the two files
	}
	if err != nil {
		return nil, fmt.Errorf("pki: %s and %s: %w", s.certPath(), s.keyPath(), err)
	}
	return &held{tls: &pair, own: own}, nil
}

// issue makes a key and a certificate for it, and writes both.
func (s *Server) issue() (*held, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), s.cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("pki: make key: %w", err)
	}
	serial, err := newSerial(s.cfg.Rand)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{organization}, CommonName: s.hosts.names[0]},
		NotBefore:    now.Add(-clockSlack),
		NotAfter:     earlier(now.Add(Lifetime), s.ca.cert.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     s.hosts.names,
		IPAddresses:  s.hosts.ips,

		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(s.cfg.Rand, template, s.ca.cert, &key.PublicKey, s.ca.key)
	if err != nil {
		return nil, fmt.Errorf("pki: issue certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("pki: issue certificate: %w", err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	defer clear(keyPEM)
	defer clear(pkcs8)
	if err := keyfile.Replace(s.certPath(), certPEM(der), keyfile.Public); err != nil {
		return nil, fmt.Errorf("pki: write certificate: %w", err)
	}
	if err := keyfile.Replace(s.keyPath(), keyPEM, keyfile.Private); err != nil {
		return nil, fmt.Errorf("pki: write key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM(der), keyPEM)
	if err != nil {
		return nil, fmt.Errorf("pki: issue certificate: %w", err)
	}
	s.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "certificate issued",
		slog.Any("names", s.hosts.names), slog.Time("expires", template.NotAfter))
	return &held{tls: &pair, own: true}, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
