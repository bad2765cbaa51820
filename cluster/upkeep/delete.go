package upkeep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast/internal/id"
	"holdfast/node"
)

// StaleAnswer is how old a group's word may be when a shard is deleted by it: the process may have been
// paused since, and the record may name the shard by now.
const StaleAnswer = 10 * time.Second

// Ways leads to drives.
type Ways interface {
	Drive(d id.Drive) (node.Drive, bool)
}

// DeleteShards deletes shards of many drives, on all at once. Drives that no way leads to are passed over.
func DeleteShards(ctx context.Context, ways Ways, shards map[id.Drive][]node.Shard) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for name, list := range shards {
		drive, ok := ways.Drive(name)
		if !ok {
			continue
		}
		wg.Go(func() {
			if err := drive.Delete(ctx, list); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("drive %s: %w", name, err))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
