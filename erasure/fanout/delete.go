package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

const (
	// cleanupTimeout bounds what is done for a request that has already failed.
	cleanupTimeout = 10 * time.Second
	// cleanupPatience is how much of that the request waits for: a client that is refused should find
	// nothing left, and should not wait for a drive that hangs.
	cleanupPatience = 300 * time.Millisecond
)

// Discard is Delete for the shards of a write that failed, or that nothing will name for another reason. It
// works on although ctx ends, and returns after a little even if it is not done by then; what it cannot
// reach is left to the orphan sweep.
func (f *Fanout) Discard(ctx context.Context, data id.Data, drives []id.Drive) {
	f.clean(ctx, func(ctx context.Context) { f.discard(ctx, data, drives) })
}

func (f *Fanout) discard(ctx context.Context, data id.Data, drives []id.Drive) {
	if err := f.Delete(ctx, data, drives); err != nil {
		f.cfg.Logger.Warn("shards of a failed write were not all deleted; the orphan sweep will", "data", data, "error", err)
	}
}

// clean does what is to be done for a request that has failed: cleanupTimeout bounds it, and cleanupPatience
// how long the request waits for it.
func (f *Fanout) clean(ctx context.Context, work func(context.Context)) {
	done := make(chan struct{})
	f.background.Go(func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		work(ctx)
	})
	patience := time.NewTimer(cleanupPatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
}

// Delete removes shard i of data from drives[i], on all drives at once; zero drives are passed
// over. It is durable when nil is returned. The error names every drive that did not do it.
func (f *Fanout) Delete(ctx context.Context, data id.Data, drives []id.Drive) error {
	errs := make([]error, len(drives))
	var wg sync.WaitGroup
	for i, name := range drives {
		if name.IsZero() {
			continue
		}
		drive, ok := f.cfg.Drives.Drive(name)
		if !ok {
			errs[i] = kind.New(kind.Unavailable, "drive %s: no way to it", name)
			continue
		}
		wg.Go(func() {
			if err := drive.Delete(ctx, []node.Shard{{Data: data, Index: uint8(i)}}); err != nil {
				errs[i] = fmt.Errorf("drive %s: %w", name, err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return kind.Wrap(kind.Unavailable, err, "fanout: delete %s", data)
	}
	return nil
}
