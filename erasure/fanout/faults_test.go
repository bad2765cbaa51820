package fanout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/nodetest"
)

// tiny is a block length that makes exhaustive tests cheap; the arithmetic is the same.
const tiny = 48

// harm is one way for a shard to be unreadable.
type harm struct {
	name string
	do   func(r *rig, ref Ref, i int)
	// lasting: the shard itself is bad, so Check finds it.
	lasting bool
	// lost: no later time will bring it back.
	lost bool
}

var errEIO = errors.New("input/output error")

func shardHarm(name string, f func(d *nodetest.Drive, s node.Shard) bool) harm {
	return harm{name, func(r *rig, ref Ref, i int) {
		if !f(r.drive(ref.Drives[i]), shardOf(ref, i)) {
			r.t.Fatalf("%s did nothing to shard %d", name, i)
		}
	}, true, true}
}

func harms() []harm {
	return []harm{
		shardHarm("missing", func(d *nodetest.Drive, s node.Shard) bool { d.Drop(s); return true }),
		shardHarm("flipped", func(d *nodetest.Drive, s node.Shard) bool { return d.Flip(s, 0, 0) }),
		shardHarm("truncated", func(d *nodetest.Drive, s node.Shard) bool { return d.Truncate(s) }),
		shardHarm("stale", func(d *nodetest.Drive, s node.Shard) bool {
			return d.Restamp(s, func(s *node.Spec) { s.Length += 7 })
		}),
		shardHarm("zeroed", func(d *nodetest.Drive, s node.Shard) bool { return d.Zero(s) }),
		{"swapped", func(r *rig, ref Ref, i int) {
			for n := 1; n < len(ref.Drives); n++ {
				j := (i + n) % len(ref.Drives)
				d := r.drive(ref.Drives[i])
				// After several swaps the record found there may happen to be the right one.
				if d.Misdirect(r.drive(ref.Drives[j]), shardOf(ref, j), shardOf(ref, i)) && d.Verify(context.Background(), shardOf(ref, i)) != nil {
					return
				}
			}
			r.drive(ref.Drives[i]).Zero(shardOf(ref, i)) // nothing left to swap with
		}, true, true},
		{"EIO", func(r *rig, ref Ref, i int) { r.drive(ref.Drives[i]).Fail(nodetest.Read, errEIO, 0) }, false, false},
		{"out", func(r *rig, ref Ref, i int) { r.drive(ref.Drives[i]).SetOut(true) }, false, false},
		{"gone", func(r *rig, ref Ref, i int) { r.router.Remove(ref.Drives[i]) }, false, false},
		{"slow", func(r *rig, ref Ref, i int) { r.drive(ref.Drives[i]).Slow(nodetest.Read, time.Hour) }, false, false},
	}
}

func (r *rig) small(s erasure.Scheme, length int) PutSpec {
	spec := r.spec(s, int64(length))
	spec.BlockLen = tiny
	return spec
}

// TestAnyMFaultsAreSurvived harms every pair of shards in every pair of ways and reads: the bytes
// are right, also of ranges; what is damaged is told of; Check finds it and Rebuild heals it.
func TestAnyMFaultsAreSurvived(t *testing.T) {
	scheme := erasure.Scheme{K: 4, M: 2}
	stripe := tiny * scheme.K
	for _, size := range []int{1, tiny - 1, tiny, tiny + 1, stripe - 1, stripe, stripe + 1, 3*stripe + 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				data := randomBytes(size, uint64(size))
				for a := range scheme.Shards() {
					for b := range a {
						for _, x := range harms() {
							for _, y := range harms() {
								twoFaults(t, scheme, data, []int{a, b}, []harm{x, y})
							}
						}
					}
				}
			})
		})
	}
}

func twoFaults(t *testing.T, scheme erasure.Scheme, data []byte, at []int, how []harm) {
	reported := make(chan node.Shard, 100)
	r := newRig(t, scheme.Shards(), func(c *Config) {
		c.OnDamage = func(s node.Shard, _ id.Drive, _ error) { reported <- s }
	})
	ref := r.put(r.small(scheme, len(data)), data)
	lasting := map[int]bool{}
	for n, i := range at {
		how[n].do(r, ref, i)
		lasting[i] = how[n].lasting
	}
	what := fmt.Sprintf("%d bytes, shard %d %s, shard %d %s", len(data), at[0], how[0].name, at[1], how[1].name)
	got, err := r.get(ref, 0, int64(len(data)))
	if err != nil || string(got) != string(data) {
		t.Fatalf("%s: wrong bytes or %v", what, err)
	}
	off := len(data) / 3
	got, err = r.get(ref, int64(off), int64(len(data)-off-len(data)/4))
	if err != nil || string(got) != string(data[off:len(data)-len(data)/4]) {
		t.Fatalf("%s: a range: wrong bytes or %v", what, err)
	}
	r.f.Close()
	for len(reported) > 0 {
		if s := <-reported; !lasting[int(s.Index)] && how[0].name != "EIO" && how[1].name != "EIO" {
			t.Fatalf("%s: shard %d was reported", what, s.Index)
		}
	}
	r.heal(what, ref, lasting, data)
}

// heal rebuilds what Check finds, and proves it by reading from as few other shards as possible.
func (r *rig) heal(what string, ref Ref, lasting map[int]bool, data []byte) {
	r.t.Helper()
	bad, _ := r.f.Check(context.Background(), ref, Looking{Deep: true})
	var to []id.Drive
	for _, i := range bad {
		if !lasting[i] {
			r.t.Fatalf("%s: Check blames shard %d", what, i)
		}
		delete(lasting, i)
		to = append(to, ref.Drives[i])
	}
	for i, bad := range lasting {
		if bad {
			r.t.Fatalf("%s: Check did not find shard %d", what, i)
		}
	}
	if err := r.f.Rebuild(context.Background(), ref, bad, to); err != nil {
		r.t.Fatalf("%s: rebuild: %v", what, err)
	}
	for i := range ref.Drives {
		d := r.drive(ref.Drives[i])
		d.SetOut(false)
		d.Fail(nodetest.Read, nil, 0)
		d.Slow(nodetest.Read, 0)
		r.router.Add(d)
	}
	if bad, err := r.f.Check(context.Background(), ref, Looking{Deep: true}); len(bad) > 0 || err != nil {
		r.t.Fatalf("%s: after the rebuild %v are bad, %v", what, bad, err)
	}
	if n := r.census(); n != len(ref.Drives) {
		r.t.Fatalf("%s: %d shards after the rebuild", what, n)
	}
	blind := ref
	blind.Drives = append([]id.Drive(nil), ref.Drives...)
	for i, hidden := len(bad), 0; i < len(ref.Drives)+len(bad) && hidden < ref.Layout.M; i++ {
		if j := i % len(ref.Drives); !contains(bad, j) {
			blind.Drives[j], hidden = id.Drive{}, hidden+1
		}
	}
	r.mustGet(blind, data)
}

func contains(list []int, i int) bool {
	for _, x := range list {
		if x == i {
			return true
		}
	}
	return false
}

// TestMoreThanMFaultsAreACleanError: never wrong bytes, and the kind says whether to come again.
func TestMoreThanMFaultsAreACleanError(t *testing.T) {
	for _, scheme := range []erasure.Scheme{{K: 1}, {K: 1, M: 2}, {K: 3, M: 2}, {K: 4, M: 2}, {K: 8, M: 4}} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(scheme.K), 7))
			for range 200 {
				r := newRig(t, scheme.Shards(), nil)
				data := randomBytes(1+rng.IntN(3*tiny*scheme.K), 1)
				ref := r.put(r.small(scheme, len(data)), data)
				lost, what := 0, ""
				all := harms()
				for _, i := range rng.Perm(scheme.Shards())[:scheme.M+1] {
					h := all[rng.IntN(len(all)-1)] // a slow drive alone is waited for
					if (h.name == "flipped" || h.name == "truncated") && ref.Layout.Stripes() > 1 {
						h = all[0] // one bad block does not make the other stripes unreadable
					}
					h.do(r, ref, i)
					what += fmt.Sprintf(" %d:%s", i, h.name)
					if h.lost {
						lost++
					}
				}
				got, err := r.get(ref, 0, int64(len(data)))
				want := kind.Damaged
				if lost <= scheme.M {
					want = kind.Unavailable
				}
				if !kind.Is(err, want) {
					t.Fatalf("%s%s: error %v", scheme, what, err)
				}
				if len(got) > 0 && string(got) != string(data[:len(got)]) {
					t.Fatalf("%s%s: wrong bytes before the error", scheme, what)
				}
				r.f.Close() // blocks that are still being read are still charged
				if s := r.f.Stats(); s.GetBytes+s.HeldBytes != 0 {
					t.Fatalf("%s%s: %d bytes still charged", scheme, what, s.GetBytes)
				}
			}
		})
	}
}

// TestADamagedBlockDoesNotCondemnItsShard: m lost drives and single damaged blocks of others, in
// different stripes, leave everything readable as long as each stripe has k good blocks.
func TestADamagedBlockDoesNotCondemnItsShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := erasure.Scheme{K: 4, M: 2}
		var count atomic.Int32
		r := newRig(t, 6, func(c *Config) { c.OnDamage = func(node.Shard, id.Drive, error) { count.Add(1) } })
		data := randomBytes(6*4*tiny, 3)
		ref := r.put(r.small(scheme, len(data)), data)
		r.drive(ref.Drives[5]).SetOut(true)
		for n := range 6 {
			if i := n % 5; !r.drive(ref.Drives[i]).Flip(shardOf(ref, i), n, n) {
				t.Fatal("no flip")
			}
		}
		r.mustGet(ref, data)
		r.f.Close()
		if n := count.Load(); n == 0 || n > 5 {
			t.Errorf("%d reports of 5 damaged shards", n)
		}
	})
}

// TestEveryFlippedByteIsSeen flips each byte of each shard once (T10 for the shard path).
func TestEveryFlippedByteIsSeen(t *testing.T) {
	scheme := erasure.Scheme{K: 4, M: 2}
	r := newRig(t, 6, nil)
	data := randomBytes(4096, 9)
	spec := r.spec(scheme, int64(len(data)))
	spec.BlockLen = 512
	ref := r.put(spec, data)
	for i := range 6 {
		d := r.drive(ref.Drives[i])
		for b := range ref.Layout.Stripes() {
			for off := range 512 {
				if !d.Flip(shardOf(ref, i), b, off) {
					t.Fatal("no flip")
				}
				r.mustGet(ref, data)
				if bad, err := r.f.Check(context.Background(), ref, Looking{Deep: true}); err != nil || len(bad) != 1 || bad[0] != i {
					t.Fatalf("shard %d, block %d, byte %d: check: %v, %v", i, b, off, bad, err)
				}
				d.Flip(shardOf(ref, i), b, off)
			}
		}
	}
}
