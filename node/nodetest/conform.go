package nodetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// Conform checks what every node.Drive promises. open returns an empty drive; it is called once a
// subtest and cleans up after itself (t.Cleanup of the test it was made for, or its own).
func Conform(t *testing.T, open func() node.Drive) {
	for _, c := range []struct {
		name string
		test func(*testing.T, node.Drive)
	}{
		{"WhatIsCommittedIsRead", testReadBack},
		{"AnyRangeOfABlockIsRead", testRanges},
		{"BuffersOfAnyKindAreTaken", testBuffers},
		{"AnAbortedShardIsNotThere", testAbort},
		{"AnUncommittedShardIsNotSeen", testInvisible},
		{"AbortAfterCommitChangesNothing", testAbortAfterCommit},
		{"ABlockOfAWrongSizeIsRefused", testWrongBlocks},
		{"AnImpossibleGeometryIsRefused", testWrongSpec},
		{"AMissingShardIsNotFound", testNotFound},
		{"AnotherGeometryIsDamaged", testStale},
		{"TheSameNameIsReplaced", testReplace},
		{"DeleteIsIdempotent", testDelete},
		{"ListIsSortedAndPaged", testList},
		{"ManyAtOnce", testConcurrent},
		{"AnEndedContextIsAnError", testCanceled},
		{"StatusNamesTheDrive", testStatus},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open()) })
	}
}

// conformBlock is a full block here: sealed chunks, not a multiple of a page.
const conformBlock = 4 * (64<<10 + 16)

// conformLengths are shards of no block, a part of one, one and several; small ones that belong in
// a log and large ones that belong in a file.
var conformLengths = []uint64{0, 1, 100, 4095, 4096, 65552, conformBlock - 1, conformBlock, conformBlock + 1, 3 * conformBlock, 5*conformBlock + 4097}

func specOf(n int, length uint64) node.Spec {
	return node.Spec{
		Shard: node.Shard{Data: id.Data{0, 0, 0, byte(n), 0xAB, byte(n)}, Index: uint8(n % 6)},
		K:     4, M: 2, BlockLen: conformBlock, Length: length,
	}
}

// content is the bytes of block b of a shard, different for each.
func content(spec node.Spec, b int, salt uint64) []byte {
	rng := rand.NewChaCha8([32]byte{spec.Data[3], spec.Data[4], spec.Index, byte(b), byte(salt)})
	p := node.AllocBlock(spec.BlockSize(b))
	rng.Read(p)
	return p
}

func write(t *testing.T, d node.Drive, spec node.Spec, salt uint64) {
	t.Helper()
	if err := tryWrite(d, spec, salt); err != nil {
		t.Fatalf("shard %s of %d bytes: %v", spec.Shard, spec.Length, err)
	}
}

func tryWrite(d node.Drive, spec node.Spec, salt uint64) error {
	ctx := context.Background()
	w, err := d.Create(ctx, spec)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer w.Abort()
	for b := range spec.Blocks() {
		block := content(spec, b, salt)
		if err := w.WriteBlock(ctx, block); err != nil {
			return fmt.Errorf("write block %d: %w", b, err)
		}
		if !bytes.Equal(block, content(spec, b, salt)) {
			return fmt.Errorf("write block %d changed the payload", b)
		}
	}
	if err := w.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func check(t *testing.T, d node.Drive, spec node.Spec, salt uint64) {
	t.Helper()
	if err := tryCheck(d, spec, salt); err != nil {
		t.Fatalf("shard %s of %d bytes: %v", spec.Shard, spec.Length, err)
	}
}

func tryCheck(d node.Drive, spec node.Spec, salt uint64) error {
	ctx := context.Background()
	if have, err := d.Stat(ctx, spec.Shard); err != nil || have != spec {
		return fmt.Errorf("stat: %+v, %w", have, err)
	}
	if err := d.Verify(ctx, spec.Shard); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	for b := range spec.Blocks() {
		dst := make([]byte, spec.BlockSize(b))
		if err := d.ReadBlock(ctx, spec, b, 0, dst); err != nil {
			return fmt.Errorf("read block %d: %w", b, err)
		}
		if !bytes.Equal(dst, content(spec, b, salt)) {
			return fmt.Errorf("block %d has other bytes", b)
		}
	}
	return nil
}

func wantKind(t *testing.T, err error, k kind.Kind, what string) {
	t.Helper()
	if !kind.Is(err, k) {
		t.Errorf("%s: got %v, want an error of kind %d", what, err, k)
	}
}

func gone(t *testing.T, d node.Drive, spec node.Spec) {
	t.Helper()
	ctx := context.Background()
	_, err := d.Stat(ctx, spec.Shard)
	wantKind(t, err, kind.NotFound, "stat")
	wantKind(t, d.Verify(ctx, spec.Shard), kind.NotFound, "verify")
	if spec.Length > 0 {
		wantKind(t, d.ReadBlock(ctx, spec, 0, 0, make([]byte, 1)), kind.NotFound, "read")
	}
	if specs, err := d.List(ctx, node.Shard{}, 1000); err != nil || slices.Contains(specs, spec) {
		t.Errorf("list: %v, %v", specs, err)
	}
}

func testReadBack(t *testing.T, d node.Drive) {
	for n, length := range conformLengths {
		write(t, d, specOf(n, length), 1)
	}
	for n, length := range conformLengths {
		check(t, d, specOf(n, length), 1)
	}
}

func testRanges(t *testing.T, d node.Drive) {
	ctx := context.Background()
	for n, length := range []uint64{5000, 3*conformBlock + 70_000} {
		spec := specOf(n, length)
		write(t, d, spec, 2)
		for b := range spec.Blocks() {
			whole, size := content(spec, b, 2), spec.BlockSize(b)
			for _, r := range [][2]int{{0, 1}, {0, size}, {1, size - 1}, {size - 1, 1}, {size / 2, size / 3}, {4000, 200}, {size, 0}} {
				dst := make([]byte, r[1])
				if err := d.ReadBlock(ctx, spec, b, r[0], dst); err != nil || !bytes.Equal(dst, whole[r[0]:r[0]+r[1]]) {
					t.Fatalf("block %d of %d bytes, range %v: wrong bytes or %v", b, size, r, err)
				}
			}
			for _, r := range [][2]int{{0, size + 1}, {size, 1}, {-1, 1}} {
				if err := d.ReadBlock(ctx, spec, b, r[0], make([]byte, r[1])); err == nil {
					t.Fatalf("block %d of %d bytes: read beyond it, range %v", b, size, r)
				}
			}
		}
		for _, b := range []int{-1, spec.Blocks()} {
			if err := d.ReadBlock(ctx, spec, b, 0, make([]byte, 1)); err == nil {
				t.Fatalf("read block %d of %d", b, spec.Blocks())
			}
		}
	}
}

// testBuffers writes blocks from buffers without alignment and without room for a trailer, and with
// bytes behind the payload which nobody but the drive may use.
func testBuffers(t *testing.T, d node.Drive) {
	ctx := context.Background()
	for n, length := range []uint64{100, 2*conformBlock + 5000} {
		for try, wrap := range []func([]byte) []byte{
			func(p []byte) []byte { return slices.Clip(bytes.Clone(p)) },
			func(p []byte) []byte { return slices.Clip(append([]byte{0}, p...)[1:]) },
			func(p []byte) []byte { return append(make([]byte, 0, len(p)+node.BlockTrailer-1), p...) },
			func(p []byte) []byte { return append(make([]byte, 0, len(p)+10_000), p...) },
		} {
			spec := specOf(10*n+try, length)
			w, err := d.Create(ctx, spec)
			if err != nil {
				t.Fatal(err)
			}
			for b := range spec.Blocks() {
				block := wrap(content(spec, b, 3))
				if err := w.WriteBlock(ctx, block); err != nil {
					t.Fatal(err)
				}
				clear(block[:cap(block)]) // it belongs to the caller again
			}
			if err := w.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			check(t, d, spec, 3)
		}
	}
}

func testAbort(t *testing.T, d node.Drive) {
	ctx := context.Background()
	for n, length := range conformLengths {
		spec := specOf(n, length)
		for stop := range spec.Blocks() + 1 {
			w, err := d.Create(ctx, spec)
			if err != nil {
				t.Fatal(err)
			}
			for b := range stop {
				if err := w.WriteBlock(ctx, content(spec, b, 1)); err != nil {
					t.Fatal(err)
				}
			}
			w.Abort()
			w.Abort()
		}
		gone(t, d, spec)
	}
	if specs, err := d.List(ctx, node.Shard{}, 10); err != nil || len(specs) != 0 {
		t.Errorf("list after aborts: %v, %v", specs, err)
	}
}

func testInvisible(t *testing.T, d node.Drive) {
	ctx := context.Background()
	for n, length := range []uint64{0, 100, 2 * conformBlock} {
		spec := specOf(n, length)
		w, err := d.Create(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		for b := range spec.Blocks() {
			if err := w.WriteBlock(ctx, content(spec, b, 1)); err != nil {
				t.Fatal(err)
			}
		}
		gone(t, d, spec)
		if err := w.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		check(t, d, spec, 1)
	}
}

func testAbortAfterCommit(t *testing.T, d node.Drive) {
	ctx := context.Background()
	for n, length := range []uint64{0, 100, 2 * conformBlock} {
		spec := specOf(n, length)
		w, err := d.Create(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		for b := range spec.Blocks() {
			if err := w.WriteBlock(ctx, content(spec, b, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		check(t, d, spec, 1)
	}
}

func testWrongBlocks(t *testing.T, d node.Drive) {
	ctx := context.Background()
	spec := specOf(1, conformBlock+1000)
	for name, blocks := range map[string][]int{
		"first too short": {conformBlock - 1}, "first too long": {conformBlock + 1}, "last too short": {conformBlock, 999},
		"last too long": {conformBlock, 1001}, "one too many": {conformBlock, 1000, 1}, "one too few": {conformBlock}, "none": {}, "empty": {0},
	} {
		w, err := d.Create(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range blocks {
			if err = w.WriteBlock(ctx, node.AllocBlock(size)); err != nil {
				break
			}
		}
		if err == nil {
			err = w.Commit(ctx)
		}
		if err == nil {
			t.Errorf("%s: committed", name)
		}
		w.Abort()
		gone(t, d, spec)
	}
}

func testWrongSpec(t *testing.T, d node.Drive) {
	for name, change := range map[string]func(*node.Spec){
		"no block length":      func(s *node.Spec) { s.BlockLen = 0 },
		"blocks too long":      func(s *node.Spec) { s.BlockLen = node.MaxBlockLen + 1 },
		"no data shards":       func(s *node.Spec) { s.K = 0 },
		"too many shards":      func(s *node.Spec) { s.K, s.M = node.MaxShards, 1 },
		"index beyond the end": func(s *node.Spec) { s.Index = s.K + s.M },
	} {
		spec := specOf(1, 1000)
		change(&spec)
		if w, err := d.Create(context.Background(), spec); err == nil {
			w.Abort()
			t.Errorf("%s: accepted", name)
		}
	}
}

func testNotFound(t *testing.T, d node.Drive) {
	gone(t, d, specOf(1, 1000))
	write(t, d, specOf(1, 1000), 1)
	other := specOf(1, 1000)
	other.Index++
	gone(t, d, other)
}

// testStale asks for a shard with a geometry that it does not have: it is from another version of
// the data, and none of its bytes may be believed.
func testStale(t *testing.T, d node.Drive) {
	for n, length := range []uint64{1000, 3 * conformBlock} {
		spec := specOf(n, length)
		write(t, d, spec, 1)
		for name, change := range map[string]func(*node.Spec){
			"length": func(s *node.Spec) { s.Length++ },
			"k":      func(s *node.Spec) { s.K++ },
			"m":      func(s *node.Spec) { s.M++ },
			"block":  func(s *node.Spec) { s.BlockLen /= 2 },
		} {
			want := spec
			change(&want)
			wantKind(t, d.ReadBlock(context.Background(), want, 0, 0, make([]byte, 10)), kind.Damaged, "another "+name)
		}
		check(t, d, spec, 1)
	}
}

func testReplace(t *testing.T, d node.Drive) {
	small, large := specOf(1, 3000), specOf(1, 3*conformBlock)
	salt := uint64(1)
	for _, next := range []node.Spec{small, small, large, large, small} {
		salt++
		write(t, d, next, salt)
		check(t, d, next, salt)
	}
	specs, err := d.List(context.Background(), node.Shard{}, 10)
	if err != nil || len(specs) != 1 || specs[0] != small {
		t.Errorf("list: %v, %v", specs, err)
	}
}

func testDelete(t *testing.T, d node.Drive) {
	ctx := context.Background()
	var shards []node.Shard
	for n, length := range conformLengths {
		write(t, d, specOf(n, length), 1)
		if n%2 == 0 {
			shards = append(shards, specOf(n, length).Shard)
		}
	}
	for range 2 {
		if err := d.Delete(ctx, append(shards, specOf(99, 0).Shard)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Delete(ctx, nil); err != nil {
		t.Fatal(err)
	}
	for n, length := range conformLengths {
		if n%2 == 0 {
			gone(t, d, specOf(n, length))
		} else {
			check(t, d, specOf(n, length), 1)
		}
	}
	write(t, d, specOf(0, conformLengths[0]), 2)
	write(t, d, specOf(2, conformLengths[2]), 2)
	check(t, d, specOf(2, conformLengths[2]), 2)
}

func testList(t *testing.T, d node.Drive) {
	ctx := context.Background()
	var all []node.Spec
	for n := range 20 {
		for i := range 3 {
			spec := specOf(n*7%20, 10)
			spec.Index = uint8(2 - i)
			write(t, d, spec, 1)
			all = append(all, spec)
		}
	}
	slices.SortFunc(all, func(a, b node.Spec) int { return compare(a.Shard, b.Shard) })
	for _, limit := range []int{1, 7, 60, 1000} {
		var got []node.Spec
		after := node.Shard{}
		for {
			page, err := d.List(ctx, after, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("a page of %d: %v", len(page), err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			after = page[len(page)-1].Shard
		}
		if !slices.Equal(got, all) {
			t.Fatalf("pages of %d: got %d shards, want %d in order", limit, len(got), len(all))
		}
	}
}

// testConcurrent writes, reads and deletes at once, many of the same data ID.
func testConcurrent(t *testing.T, d node.Drive) {
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for n := range 16 {
		wg.Go(func() {
			for round := range 4 {
				spec := specOf(n/2, conformLengths[(n*5+round)%len(conformLengths)])
				spec.Index = uint8(n % 2)
				err := tryWrite(d, spec, uint64(round))
				if err == nil {
					err = tryCheck(d, spec, uint64(round))
				}
				if err == nil && round%2 == 1 {
					err = d.Delete(context.Background(), []node.Shard{spec.Shard})
				}
				if err != nil {
					errs <- fmt.Errorf("shard %s of %d bytes: %w", spec.Shard, spec.Length, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func testCanceled(t *testing.T, d node.Drive) {
	ctx, cancel := context.WithCancel(context.Background())
	spec := specOf(1, 2*conformBlock)
	w, err := d.Create(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	// A call may finish what it has begun, but it may not claim success for a shard that is not there.
	for b := range spec.Blocks() {
		if err = w.WriteBlock(ctx, content(spec, b, 1)); err != nil {
			break
		}
	}
	if err == nil {
		err = w.Commit(ctx)
	}
	w.Abort()
	if err == nil {
		check(t, d, spec, 1)
	} else {
		gone(t, d, spec)
	}
}

func testStatus(t *testing.T, d node.Drive) {
	st := d.Status()
	if st.ID.IsZero() || st.Out || st.ReadOnly || st.FreeBytes <= 0 || st.TotalBytes < st.FreeBytes {
		t.Errorf("%+v", st)
	}
}
