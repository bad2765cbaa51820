package fanout

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// Rebuild reconstructs the missing shards of ref from the others and writes missing[i] to the
// drive to[i], which may be the one that held it. Where a block more than K can be read, it is
// decoded too and compared. On an error some of the shards may have been written.
func (f *Fanout) Rebuild(ctx context.Context, ref Ref, missing []int, to []id.Drive) error {
	if err := ref.validate(); err != nil {
		return err
	}
	if len(missing) != len(to) || len(missing) > ref.Layout.M {
		return kind.New(kind.InvalidArgument, "fanout: rebuild %s: %d shards of %s on %d drives", ref.Data, len(missing), ref.Layout.Scheme, len(to))
	}
	if len(missing) == 0 {
		return nil
	}
	g, stop, err := f.newGet(ctx, ref)
	if err != nil {
		return err
	}
	defer stop()
	b := &rebuild{g: g, missing: missing, want: make([]bool, len(g.shards))}
	for _, i := range missing {
		if i < 0 || i >= len(g.shards) || b.want[i] {
			return kind.New(kind.InvalidArgument, "fanout: rebuild %s: no shard %d, or twice", ref.Data, i)
		}
		b.want[i] = true
		g.shards[i].dead, g.shards[i].unreachable = true, false
	}
	defer b.abort()
	if err := b.create(ctx, to); err != nil {
		return err
	}
	if n := ref.Layout.Stripes(); n > 0 {
		err := g.each(ctx, 0, n-1, b.plan, func(st *gather) error { return b.stripe(ctx, st) })
		if err != nil {
			return err
		}
	}
	return b.commit(ctx)
}

type rebuild struct {
	g       *get
	missing []int
	want    []bool
	writers []node.Writer // one a missing shard
}

// create opens the targets. A drive on which an abandoned write is still under way is refused: it hangs.
func (b *rebuild) create(ctx context.Context, to []id.Drive) error {
	f := b.g.f
	for j, i := range b.missing {
		drive, ok := f.cfg.Drives.Drive(to[j])
		if !ok || f.health.of(to[j]).stuck.Load() > 0 {
			return kind.New(kind.Unavailable, "fanout: rebuild %s: drive %s cannot be reached", b.g.ref.Data, to[j])
		}
		w, err := drive.Create(ctx, b.g.shards[i].spec)
		if err != nil {
			return fmt.Errorf("fanout: rebuild %s: drive %s: %w", b.g.shards[i].spec.Shard, to[j], err)
		}
		b.writers = append(b.writers, w)
	}
	return nil
}

func (b *rebuild) abort() {
	for _, w := range b.writers {
		w.Abort()
	}
}

// plan wants K whole blocks and one more to check them with.
func (b *rebuild) plan(st *gather) {
	st.quota = min(b.g.layout.K+1, b.g.layout.Shards()-len(b.missing))
	st.hull = span{0, st.size}
}

// stripe decodes the missing blocks of one stripe and writes them.
func (b *rebuild) stripe(ctx context.Context, st *gather) error {
	g := b.g
	blocks := make([][]byte, len(g.shards))
	want := slices.Clone(b.want)
	check, checkBlock, have := -1, []byte(nil), 0
	g.mu.Lock()
	for i := range g.shards {
		r := st.find(i, st.hull, arrived)
		switch {
		case r == nil:
		case have < g.layout.K:
			blocks[i] = r.bytes()
			have++
		case check < 0:
			check, checkBlock, want[i] = i, r.bytes(), true
		}
	}
	g.mu.Unlock()
	for i := range blocks {
		if want[i] {
			st.own[i] = st.buffer(st.size)
			blocks[i] = st.own[i].buf
		}
	}
	if err := g.codec.Reconstruct(blocks, want); err != nil {
		return kind.Wrap(kind.Damaged, err, "fanout: rebuild stripe %d of %s", st.n, g.ref.Data)
	}
	if check >= 0 && !bytes.Equal(blocks[check], checkBlock) {
		return kind.New(kind.Damaged, "fanout: rebuild stripe %d of %s: its blocks contradict each other", st.n, g.ref.Data)
	}
	return b.all(func(j int) error { return b.writers[j].WriteBlock(ctx, blocks[b.missing[j]]) })
}

func (b *rebuild) commit(ctx context.Context) error {
	return b.all(func(j int) error { return b.writers[j].Commit(ctx) })
}

// all does a step for every missing shard at once.
func (b *rebuild) all(step func(j int) error) error {
	errs := make([]error, len(b.missing))
	var wg sync.WaitGroup
	for j := 1; j < len(b.missing); j++ {
		wg.Go(func() { errs[j] = step(j) })
	}
	errs[0] = step(0)
	wg.Wait()
	for j, err := range errs {
		if err != nil {
			return fmt.Errorf("fanout: rebuild %s: %w", b.g.shards[b.missing[j]].spec.Shard, err)
		}
	}
	return nil
}
