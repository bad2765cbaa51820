package main

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/internal/pki"
)

// certificateFiles serves a certificate that the operator keeps in files, and reads them again
// when they change. If they cannot be read then, the old certificate is served on.
type certificateFiles struct {
	cert, key string
	logger    *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]time.Time // modification times of what is served
	lookAt  time.Time    // when to look at the files again
}

// lookEvery bounds how often handshakes look at the files.
const lookEvery = 10 * time.Second

func openCertificateFiles(cert, key string, logger *slog.Logger) (*certificateFiles, error) {
	c := &certificateFiles{cert: cert, key: key, logger: logger}
	if err := c.load(c.times()); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificateFiles) times() (t [2]time.Time) {
	for i, path := range []string{c.cert, c.key} {
		if info, err := os.Stat(path); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}

func (c *certificateFiles) load(times [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.cert, c.key, err)
	}
	c.current, c.seen = &pair, times
	return nil
}

// get is for tls.Config.GetCertificate.
func (c *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.After(c.lookAt) {
		c.lookAt = now.Add(lookEvery)
		if times := c.times(); times != c.seen {
			if err := c.load(times); err != nil {
				c.logger.Warn("the certificate changed but cannot be used; the old one is served on", "error", err)
			} else {
				c.logger.Info("the certificate was read again", "expires", c.current.Leaf.NotAfter)
			}
		}
	}
	return c.current, nil
}

// purposePKI separates the key of the certificate authority from other keys of the cluster secret.
const purposePKI = "pki"

// certificates are the operator's, or made under the cluster's own authority; then ca is the file
// that clients are to trust.
func certificates(cfg *Config) (get func(*tls.ClientHelloInfo) (*tls.Certificate, error), ca string, err error) {
	if cfg.TLSCert != "" {
		files, err := openCertificateFiles(cfg.TLSCert, cfg.TLSKey, cfg.Logger)
		if err != nil {
			return nil, "", err
		}
		return files.get, "", nil
	}
	key, err := cfg.Secret.Derive(purposePKI, 32)
	if err != nil {
		return nil, "", err
	}
	dir := cfg.CertsDir
	if dir == "" {
		dir = filepath.Join(filepath.Dir(filepath.Clean(cfg.Data[0])), "certs")
	}
	server, err := pki.Open(pki.Config{
		Dir: dir, Secret: key, Hosts: certificateHosts(cfg), Now: time.Now, Rand: rand.Reader, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, "", err
	}
	return server.GetCertificate, server.CAPath(), nil
}

// certificateHosts are the names under which clients reach this server: the address it listens
// on, the machine's name and, for buckets as host names, each domain with a wildcard.
func certificateHosts(cfg *Config) []string {
	var hosts []string
	host, _, err := net.SplitHostPort(cfg.Address)
	if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
		hosts = append(hosts, host)
	}
	if name, err := os.Hostname(); err == nil && name != "" && !strings.Contains(name, "_") {
		hosts = append(hosts, name)
	}
	for _, d := range cfg.Domains {
		hosts = append(hosts, d, "*."+d)
	}
	return hosts
}
