package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/internal/id"
	"holdfast/internal/kind"
)

// Check asks every drive for its shard: whether it is there with the right geometry and, when deep,
// whether each of its blocks is sound. bad are the shards that are surely missing or damaged, in
// order; err tells of drives that could not say.
func (f *Fanout) Check(ctx context.Context, ref Ref, deep bool) (bad []int, err error) {
	if err := ref.validate(); err != nil {
		return nil, err
	}
	verdicts := make([]error, len(ref.Drives))
	var wg sync.WaitGroup
	for i, name := range ref.Drives {
		wg.Go(func() { verdicts[i] = f.checkShard(ctx, ref, i, name, deep) })
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

func (f *Fanout) checkShard(ctx context.Context, ref Ref, i int, name id.Drive, deep bool) error {
	if name.IsZero() {
		return kind.New(kind.NotFound, "never written")
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
	if !deep {
		return nil
	}
	return drive.Verify(ctx, want.Shard)
}
