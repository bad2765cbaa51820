package access

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"time"

	"holdfast/internal/secret"
	"holdfast/proto/metapb"
)

// Metadata is what the Store needs of the system group.
type Metadata interface {
	Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error)
	Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error)
}

const (
	// pollEvery is the time between looks at what has changed.
	pollEvery = time.Second
	// maxAge is how old a snapshot may be for a permission that is read from it.
	maxAge = 2 * time.Second
	// askTimeout bounds a refresh that a request waits for.
	askTimeout = 5 * time.Second
	// applyTimeout bounds a change.
	applyTimeout = 20 * time.Second
	// maxTries bounds how often a change is decided anew because others got in between.
	maxTries = 10
)

// Config is what a Store is made of.
type Config struct {
	// Metadata is the system group. Required.
	Metadata Metadata
	// Secret of the cluster: what keys and tokens are sealed under. Required.
	Secret secret.Cluster
	// Root are the credentials of the first account's root. Required.
	Root secret.Root
	// Rand is crypto/rand.Reader but in tests.
	Rand io.Reader
	// Now is time.Now but in tests.
	Now func() time.Time
	// Logger is told of documents that cannot be read, and of changes.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Metadata == nil || c.Secret.IsZero() || c.Root.IsZero() {
		return errors.New("access: Config needs Metadata, Secret and Root")
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
