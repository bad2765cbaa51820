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

// cleanupTimeout bounds what is done for a request that has already failed.
const cleanupTimeout = 10 * time.Second

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
