package listen

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"time"
)

// Defaults of Config.
const (
	DefaultPeekTimeout = 10 * time.Second
	DefaultMaxPending  = 1024
	DefaultMaxConns    = 16384
	DefaultHoldTime    = 2 * time.Millisecond
)

// Config says how connections are sorted.
type Config struct {
	// TLS serves connections that begin with a handshake; nil closes them. It is copied: versions
	// below 1.2 and protocols other than HTTP/1.1 are taken out, and records are full from the start.
	TLS *tls.Config
	// PeekTimeout is how long a new connection may be silent.
	PeekTimeout time.Duration
	// MaxPending bounds the connections that are silent yet. Each costs a goroutine (about 4 KiB).
	MaxPending int
	// MaxConns bounds all open connections, handed out or not.
	MaxConns int
	// HoldTime is how long full TLS records may wait for more to come.
	HoldTime time.Duration
	// Logger gets a warning, at most one a minute, when a bound closes connections; nil logs nothing.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.PeekTimeout < 0 || c.MaxPending < 0 || c.MaxConns < 0 || c.HoldTime < 0 {
		return errors.New("listen: a bound is negative")
	}
	if c.PeekTimeout == 0 {
		c.PeekTimeout = DefaultPeekTimeout
	}
	if c.MaxPending == 0 {
		c.MaxPending = DefaultMaxPending
	}
	if c.MaxConns == 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.HoldTime == 0 {
		c.HoldTime = DefaultHoldTime
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
		c.TLS.NextProtos = []string{"http/1.1"}
		c.TLS.DynamicRecordSizingDisabled = true
	}
	return nil
}
