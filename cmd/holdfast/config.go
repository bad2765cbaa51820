package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"holdfast/erasure"
	"holdfast/internal/keyfile"
	"holdfast/internal/secret"
	"holdfast/internal/telemetry"
)

// Config is all that a running server is made from.
type Config struct {
	// Data are the directories of the drives, one each.
	Data []string
	// Network is the zero value where this process is alone.
	Network Network
	// Address to listen on, HTTPS and HTTP on the one port.
	Address string
	// TLSCert and TLSKey are PEM files of the operator's certificate; without them the server
	// issues itself one, under the cluster's authority, in CertsDir ("" is certs beside the first
	// drive).
	TLSCert, TLSKey, CertsDir string
	// Secret is shared by all nodes of the cluster.
	Secret secret.Cluster
	// Root are the credentials that may do everything.
	Root secret.Root
	// Scheme of new data, decided at the first start; zero: by the number of drives.
	Scheme erasure.Scheme
	// TrustedProxies may say by X-Forwarded-Proto that the client's side of them was TLS.
	TrustedProxies []netip.Prefix
	// Domains below which a first label is a bucket.
	Domains []string
	// Region that requests are signed for.
	Region string
	// ReclaimAfter is how long deleted data stays on the drives, for reads under way.
	ReclaimAfter time.Duration
	// ScrubInterval is the time between scrubs of everything; negative: never.
	ScrubInterval time.Duration
	// Drain is how long requests under way may take when the server stops.
	Drain time.Duration
	// ElectionPatience is how long the metadata groups may take to find leaders at the start:
	// several elections. Without one by then, too few of the cluster's drives are here. Default 30 s.
	ElectionPatience time.Duration
	// MemoryLimit is the user's text for the soft limit of the heap; "" is the default.
	MemoryLimit string
	// MetricsToken opens /-/metrics to other machines; "" does not.
	MetricsToken string
	// Added remembers a drive that was taken in while the server ran, for the next start; nil where the
	// operator does.
	Added func(path string) error
	// Logger takes what operators should know.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case len(c.Data) == 0 && !c.Network.enabled():
		return errors.New("no drives")
	case c.Address == "":
		return errors.New("no address to listen on")
	case c.Root.IsZero() || c.Secret.IsZero():
		return errors.New("no root credentials or no cluster secret")
	case c.Drain <= 0:
		return errors.New("--drain-timeout must be positive")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ElectionPatience == 0 {
		c.ElectionPatience = 30 * time.Second
	}
	return nil
}

// minMetricsToken is the fewest characters of a metrics token: fewer can be guessed.
const minMetricsToken = 16

// common makes the part of the Config that dev and server share.
func (s *settings) common() (cfg Config, err error) {
	cfg = Config{
		Address: s.address, Domains: s.domains, Region: s.region, ReclaimAfter: s.reclaimAfter, ScrubInterval: s.scrubInterval,
		Drain: s.drain, MemoryLimit: s.memoryLimit,
	}
	if cfg.Logger, err = telemetry.NewLogger(os.Stderr, s.logFormat, s.logLevel); err != nil {
		return Config{}, err
	}
	if s.scheme != "" {
		if cfg.Scheme, err = erasure.Parse(s.scheme); err != nil {
			return Config{}, fmt.Errorf("--scheme: %w", err)
		}
	}
	if cfg.TrustedProxies, err = prefixes(s.trustedProxies); err != nil {
		return Config{}, err
	}
	if s.reclaimAfter <= 0 {
		return Config{}, errors.New("--reclaim-after must be positive: reads under way need what was just deleted")
	}
	if s.scrubInterval == 0 {
		cfg.ScrubInterval = -1
	}
	if s.metricsToken != "" {
		text, err := keyfile.Read(s.metricsToken)
		if err != nil {
			return Config{}, fmt.Errorf("--metrics-token-file: %w", err)
		}
		if cfg.MetricsToken = strings.TrimSpace(string(text)); len(cfg.MetricsToken) < minMetricsToken {
			return Config{}, fmt.Errorf("--metrics-token-file: the token needs at least %d characters", minMetricsToken)
		}
	}
	return cfg, nil
}
