package fanout

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/nodetest"
)

// TestRebuildRestoresEveryShard loses each set of up to m shards, rebuilds onto other drives and
// compares the new shards with the old ones, byte for byte.
func TestRebuildRestoresEveryShard(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, scheme := range []erasure.Scheme{{K: 1, M: 2}, {K: 3, M: 2}, {K: 4, M: 2}, {K: 8, M: 4}} {
		for _, size := range []int{0, 1, tiny, tiny*scheme.K + 1, 3*tiny*scheme.K - 1} {
			for range 20 {
				r := newRig(t, scheme.Shards()+scheme.M, nil)
				data := randomBytes(size, uint64(size))
				ref := r.put(r.small(scheme, size), data)
				lost := rng.Perm(scheme.Shards())[:1+rng.IntN(scheme.M)]
				to := r.names[scheme.Shards():][:len(lost)]
				for _, i := range lost {
					r.router.Remove(ref.Drives[i])
				}
				if err := r.f.Rebuild(context.Background(), ref, lost, to); err != nil {
					t.Fatalf("%s, %d bytes, lost %v: %v", scheme, size, lost, err)
				}
				for n, i := range lost {
					sameShard(t, r.drive(ref.Drives[i]), r.drive(to[n]), ref.Layout.Spec(ref.Data, i))
				}
				if n := r.census(); n != scheme.Shards()+len(lost) {
					t.Fatalf("%d shards", n)
				}
			}
		}
	}
}

func sameShard(t *testing.T, a, b *nodetest.Drive, spec node.Spec) {
	t.Helper()
	ctx := context.Background()
	for n := range spec.Blocks() {
		x, y := make([]byte, spec.BlockSize(n)), make([]byte, spec.BlockSize(n))
		if err := a.ReadBlock(ctx, spec, n, 0, x); err != nil {
			t.Fatal(err)
		}
		if err := b.ReadBlock(ctx, spec, n, 0, y); err != nil {
			t.Fatal(err)
		}
		if string(x) != string(y) {
			t.Fatalf("block %d of shard %s was rebuilt wrong", n, spec.Shard)
		}
	}
	if err := b.Verify(ctx, spec.Shard); err != nil {
		t.Fatal(err)
	}
}

// TestRebuildRefusesContradictingShards: a shard that is sound by its own checksums but is not what
// the others say (a bug, or memory that flips bits) must not spread.
func TestRebuildRefusesContradictingShards(t *testing.T) {
	r := newRig(t, 7, nil)
	data := randomBytes(3*4*tiny, 1)
	ref := r.put(r.small(scheme42, len(data)), data)
	spec := ref.Layout.Spec(ref.Data, 2)
	w, err := r.drives[2].Create(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for range spec.Blocks() {
		if err := w.WriteBlock(context.Background(), make([]byte, tiny)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	err = r.f.Rebuild(context.Background(), ref, []int{0}, r.names[6:7])
	if !kind.Is(err, kind.Damaged) {
		t.Errorf("got %v", err)
	}
	if shards, open := r.drives[6].Census(); len(shards) != 0 || open != 0 {
		t.Errorf("%v, %d open", shards, open)
	}
}

// TestARebuildThatFailsLeavesNoWriterOpen fails the target in each call, and the sources.
func TestARebuildThatFailsLeavesNoWriterOpen(t *testing.T) {
	for _, op := range append(putOps, nodetest.Read) {
		r := newRig(t, 8, nil)
		data := randomBytes(3*4*tiny, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		if op == nodetest.Read {
			for _, d := range r.drives[2:5] {
				d.Fail(op, errEIO, 1)
			}
		} else {
			r.drives[7].Fail(op, errEIO, 0)
		}
		if err := r.f.Rebuild(context.Background(), ref, []int{0, 5}, r.names[6:]); err == nil {
			t.Errorf("op %d: no error", op)
		}
		r.f.Close()
		if s := r.f.Stats(); s.GetBytes+s.HeldBytes != 0 {
			t.Errorf("op %d: %+v", op, s)
		}
		if shards, _ := r.drives[7].Census(); len(shards) != 0 {
			t.Errorf("op %d: the failed drive holds %v", op, shards)
		}
		r.census()
	}
}

// TestRebuildAvoidsADriveThatHoldsALateShard: the late shard is deleted by its name, which the
// rebuilt one would have too.
func TestRebuildAvoidsADriveThatHoldsALateShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		release := r.drives[1].Hang(nodetest.Commit)
		data := randomBytes(100, 1)
		ref := r.put(r.small(scheme42, len(data)), data)
		if err := r.f.Rebuild(context.Background(), ref, []int{1}, r.names[1:2]); !kind.Is(err, kind.Unavailable) {
			t.Errorf("got %v", err)
		}
		release()
		r.f.Close()
		if err := r.f.Rebuild(context.Background(), ref, []int{1}, r.names[1:2]); err != nil {
			t.Error(err)
		}
		if n := r.census(); n != 6 {
			t.Errorf("%d shards", n)
		}
	})
}

func TestImpossibleRebuildsAreRefused(t *testing.T) {
	r := newRig(t, 9, nil)
	ref := r.put(r.small(scheme42, 100), make([]byte, 100))
	for _, c := range []struct {
		missing []int
		to      []id.Drive
	}{
		{[]int{1}, nil}, {[]int{6}, r.names[6:7]}, {[]int{-1}, r.names[6:7]}, {[]int{1, 1}, r.names[6:8]},
		{[]int{0, 1, 2}, r.names[6:9]}, {[]int{1}, []id.Drive{{}}},
	} {
		if err := r.f.Rebuild(context.Background(), ref, c.missing, c.to); err == nil {
			t.Errorf("%v onto %v was done", c.missing, c.to)
		}
	}
	if n := r.census(); n != 6 {
		t.Errorf("%d shards", n)
	}
}

// TestCheckTellsBadFromUnknown: a drive that cannot be asked is no evidence against its shard.
func TestCheckTellsBadFromUnknown(t *testing.T) {
	r := newRig(t, 6, nil)
	ref := r.put(r.small(scheme42, 3*4*tiny), make([]byte, 3*4*tiny))
	r.drives[0].Drop(shardOf(ref, 0))
	r.drives[1].SetOut(true)
	r.router.Remove(r.names[2])
	r.drives[3].Flip(shardOf(ref, 3), 1, 1)
	r.drives[4].Restamp(shardOf(ref, 4), func(s *node.Spec) { s.Length-- })
	bad, err := r.f.Check(context.Background(), ref, Looking{})
	if len(bad) != 2 || bad[0] != 0 || bad[1] != 4 || !kind.Is(err, kind.Unavailable) {
		t.Errorf("shallow: %v, %v", bad, err)
	}
	bad, err = r.f.Check(context.Background(), ref, Looking{Deep: true})
	if len(bad) != 3 || bad[1] != 3 || !kind.Is(err, kind.Unavailable) {
		t.Errorf("deep: %v, %v", bad, err)
	}
	// Who knows that drives are lost gets an answer, and from drives that would answer none is asked.
	asked := r.drives[5].Calls(nodetest.Stat)
	lost := func(d id.Drive) bool { return d == r.names[1] || d == r.names[2] || d == r.names[5] }
	bad, err = r.f.Check(context.Background(), ref, Looking{Deep: true, Lost: lost})
	if len(bad) != 6 || err != nil || r.drives[5].Calls(nodetest.Stat) != asked {
		t.Errorf("lost: %v, %v", bad, err)
	}
}

func TestDeleteNamesTheDrivesThatDidNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 6, nil)
		for _, d := range r.drives {
			d.Slow(nodetest.Delete, time.Second)
		}
		ref := r.put(r.small(scheme42, 100), make([]byte, 100))
		r.drives[2].SetOut(true)
		ref.Drives[4] = id.Drive{0xFF}
		start := time.Now()
		err := r.f.Delete(context.Background(), ref.Data, ref.Drives)
		if !kind.Is(err, kind.Unavailable) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if n := r.census(); n != 2 {
			t.Errorf("%d shards are left", n)
		}
	})
}
