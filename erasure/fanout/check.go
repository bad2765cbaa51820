package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/internal/id"
	"holdfast/internal/kind"
)

// Looking says how Check looks.
type Looking struct {
	// Deep reads each block; else it is enough that the shard is there with the right geometry.
	Deep bool
	// Lost drives are not asked: their shards count as bad. For whoever knows that a drive will not
	// come back; to Check alone a drive that does not answer is no evidence. nil: none is lost.
	Lost func(id.Drive) bool
}

// Check asks every drive for its shard. bad are the shards that are surely missing or damaged, in
// order; err tells of drives that could not say.
func (f *Fanout) Check(ctx context.Context, ref Ref, how Looking) (bad []int, err error) {
	if err := ref.validate(); err != nil {
		return nil, err
	}
	verdicts := make([]error, len(ref.Drives))
	var wg sync.WaitGroup
	for i, name := range ref.Drives {
		wg.Go(func() { verdicts[i] = f.checkShard(ctx, ref, i, name, how) })
	}
	wg.Wait()
	var unsure []error
	for i, v := range verdicts {
		switch kind.Of(v) {
		case kind.Damaged, kind.NotFound:
			bad = append(bad, i)
		default:
			if v != nil {
				unsure = append(unsure, fmt.Errorf("shard %d on drive %s: %w", i, ref.Drives[i], v))
			}
		}
	}
	if len(unsure) > 0 {
		err = kind.Wrap(kind.Unavailable, errors.Join(unsure...), "fanout: check %s", ref.Data)
	}
	return bad, err
}

func (f *Fanout) checkShard(ctx context.Context, ref Ref, i int, name id.Drive, how Looking) error {
	if name.IsZero() {
		return kind.New(kind.NotFound, "never written")
	}
	if how.Lost != nil && how.Lost(name) {
		return kind.New(kind.NotFound, "the drive is lost")
	}
	drive, ok := f.cfg.Drives.Drive(name)
	if !ok {
		return kind.New(kind.Unavailable, "no way to the drive")
	}
	want := ref.Layout.Spec(ref.Data, i)
	have, err := drive.Stat(ctx, want.Shard)
	if err != nil {
		return err
	}
	if have != want {
		return kind.New(kind.Damaged, "its geometry is another")
	}
	if !how.Deep {
		return nil
	}
	return drive.Verify(ctx, want.Shard)
}
