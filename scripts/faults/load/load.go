package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
)

// Config is what a Load is made of.
type Config struct {
	Fronts *Fronts
	Bucket string
	Seed   uint64
	// Writers is how many do one operation at a time each.
	Writers int
	// Stubborn adds a writer that talks to the front that was struck.
	Stubborn bool
	// Gap is the mean pause of a writer between operations. Zero: none.
	Gap time.Duration
	// LargePercent of the bodies have 1 to 10 MiB, and half as many more come in parts.
	LargePercent int
	// OnSlow is told of a front that is well and has a request under way for three seconds. Optional.
	OnSlow func(front string)
}

// Load is a ledger and those who write it.
type Load struct {
	cfg    Config
	fronts *Fronts
	ledger *Ledger
	stats  *stats
	states []*writer

	reading atomic.Bool  // writers read only
	sdks    atomic.Int64 // clients so far: each has keys of its own
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New makes the bucket and the writers; none runs yet.
func New(ctx context.Context, cfg Config) (*Load, error) {
	ledger, err := newLedger(cfg.Bucket, cfg.Seed)
	if err != nil {
		return nil, err
	}
	l := &Load{cfg: cfg, fronts: cfg.Fronts, ledger: ledger, stats: newStats()}
	writers := cfg.Writers
	if cfg.Stubborn {
		writers++
	}
	for n := range writers {
		l.states = append(l.states, newWriter(l, n, n >= cfg.Writers))
	}
	return l, l.makeBucket(ctx, cfg.Bucket)
}

func (l *Load) makeBucket(ctx context.Context, name string) error {
	return l.operate(ctx, "make bucket", rand.New(rand.NewPCG(l.cfg.Seed, 0)), nil, func(ctx context.Context, c *minio.Core) error {
		err := c.MakeBucket(ctx, name, minio.MakeBucketOptions{})
		if err != nil && minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou" {
			return nil // an attempt without an answer had made it
		}
		return err
	}).err
}

// Ledger is what was written.
func (l *Load) Ledger() *Ledger { return l.ledger }

// Phase begins another part of the run, and returns what happened in the one before.
func (l *Load) Phase(name string) Report { return l.stats.phase(name) }

// Start lets the writers run until Stop.
func (l *Load) Start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	for _, w := range l.states {
		l.running.Go(func() {
			for ctx.Err() == nil && !w.stop.Load() {
				w.next(ctx)
			}
		})
	}
}

// ReadOnly has the writers read only, or write again.
func (l *Load) ReadOnly(only bool) { l.reading.Store(only) }

// Stop lets every writer end what it does, and waits for that: a request is not broken off.
func (l *Load) Stop() {
	for _, w := range l.states {
		w.stop.Store(true)
	}
	l.running.Wait()
	if l.cancel != nil {
		l.cancel()
	}
	for _, w := range l.states {
		w.stop.Store(false)
	}
}

// Write lets each writer do a number of operations, or fewer if ctx ends; those under way are
// then broken off.
func (l *Load) Write(ctx context.Context, operations int) {
	var wg sync.WaitGroup
	for _, w := range l.states {
		wg.Go(func() {
			for n := 0; n < operations && ctx.Err() == nil; n++ {
				w.next(ctx)
			}
		})
	}
	wg.Wait()
}

// readers is how many keys are verified at the same time.
const readers = 8

// Verify reads every key, then the listing, and compares them with the ledger. The writers must rest.
func (l *Load) Verify(ctx context.Context, when string) error {
	if l.fronts.await(ctx) != nil {
		return fmt.Errorf("load: verify %s: no front is well: %w", when, ctx.Err())
	}
	all := l.ledger.outlines(func(string) bool { return true })
	keys := make(chan string)
	errs := make(chan error, readers)
	var wg sync.WaitGroup
	for n := range readers {
		r := rand.New(rand.NewPCG(l.cfg.Seed, uint64(n)))
		wg.Go(func() {
			for key := range keys {
				if err := l.verifyKey(ctx, r, when, key); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for key := range all {
		keys <- key
	}
	close(keys)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	if err := l.verifyListing(ctx, when, "", all); err != nil {
		return err
	}
	return l.Judge()
}

// Judge is an error if anything was found that must not be.
func (l *Load) Judge() error {
	wrong := l.ledger.Violations()
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return errors.New(strings.Join(wrong[:min(len(wrong), 20)], "\n"))
}

func (l *Load) verifyKey(ctx context.Context, r *rand.Rand, when, key string) error {
	var got state
	out := l.operate(ctx, "verify", r, nil, func(ctx context.Context, c *minio.Core) (err error) {
		got, err = l.ledger.read(ctx, c, key)
		return err
	})
	if out.verdict != done {
		return fmt.Errorf("UNREADABLE %s: %s: %w", when, key, out.err)
	}
	l.ledger.compare(when, key, got)
	return nil
}

// verifyListing lists all keys with a prefix through whatever front is next.
func (l *Load) verifyListing(ctx context.Context, when, prefix string, known map[string]outline) error {
	var listed map[string]bool
	r := rand.New(rand.NewPCG(l.cfg.Seed, uint64(len(known))))
	out := l.operate(ctx, "list", r, nil, func(ctx context.Context, c *minio.Core) (err error) {
		listed, err = l.ledger.list(ctx, c, prefix)
		return err
	})
	if out.verdict != done {
		return fmt.Errorf("UNLISTABLE %s: %w", when, out.err)
	}
	l.ledger.compareListing(when, known, listed)
	return nil
}
