package drive

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// cluster is the cluster of every drive in these tests.
var cluster = id.Cluster{1, 2, 3}

func config(path string) Config {
	return Config{Path: path, Cluster: cluster, Create: true, ReserveBytes: 1 << 20, SegmentBytes: 1 << 20}
}

func open(t testing.TB, cfg Config) *Drive {
	t.Helper()
	d, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closeDrive(t testing.TB, d *Drive) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// spec is the n-th shard of a test.
func spec(n int, blockLen uint32, length uint64) node.Spec {
	var s node.Spec
	s.Data[0] = 1
	binary.BigEndian.PutUint64(s.Data[8:], uint64(n))
	s.Index, s.K, s.M = uint8(n%6), 4, 2
	s.BlockLen, s.Length = blockLen, length
	return s
}

// content is what a shard holds: a function of its name and a version.
func content(s node.Spec, version uint64) []byte {
	r := rand.New(rand.NewPCG(binary.BigEndian.Uint64(s.Data[8:]), version))
	b := make([]byte, s.Length)
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

func tryPut(d *Drive, s node.Spec, data []byte) error {
	w, err := d.Create(context.Background(), s)
	if err != nil {
		return err
	}
	defer w.Abort()
	for n := range s.Blocks() {
		block := node.AllocBlock(s.BlockSize(n))
		copy(block, data[uint64(n)*uint64(s.BlockLen):])
		if err := w.WriteBlock(context.Background(), block); err != nil {
			return err
		}
	}
	return w.Commit(context.Background())
}

func put(t testing.TB, d *Drive, s node.Spec, data []byte) {
	t.Helper()
	if err := tryPut(d, s, data); err != nil {
		t.Fatalf("put %s: %v", s.Shard, err)
	}
}

func tryRead(d *Drive, s node.Spec) ([]byte, error) {
	var all []byte
	for n := range s.Blocks() {
		b := make([]byte, s.BlockSize(n))
		if err := d.ReadBlock(context.Background(), s, n, 0, b); err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

func wantShard(t testing.TB, d *Drive, s node.Spec, data []byte) {
	t.Helper()
	got, err := tryRead(d, s)
	if err != nil {
		t.Fatalf("read %s: %v", s.Shard, err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("read %s: wrong bytes", s.Shard)
	}
	if got, err := d.Stat(context.Background(), s.Shard); err != nil || got != s {
		t.Fatalf("stat %s: %v, %v", s.Shard, got, err)
	}
}

func wantNone(t testing.TB, d *Drive, s node.Spec) {
	t.Helper()
	if _, err := d.Stat(context.Background(), s.Shard); !kind.Is(err, kind.NotFound) {
		t.Fatalf("stat %s, which is deleted: %v", s.Shard, err)
	}
}

// sizes are lengths of shards on all sides of every boundary, with blocks of 64 KiB.
var sizes = []uint64{0, 1, 100, 4096, 65535, 65536, 65537, 131072, 200_000, 256<<10 - 1, 256 << 10, 300_000, 1 << 20}

func TestShardsReadBackAtOnceAndAfterReopen(t *testing.T) {
	cfg := config(t.TempDir())
	d := open(t, cfg)
	for i, size := range sizes {
		s := spec(i, 65536, size)
		put(t, d, s, content(s, 0))
		wantShard(t, d, s, content(s, 0))
	}
	closeDrive(t, d)
	d = open(t, cfg)
	if !d.Clean() {
		t.Error("a clean stop was not noticed")
	}
	for i, size := range sizes {
		s := spec(i, 65536, size)
		wantShard(t, d, s, content(s, 0))
		if err := d.Verify(context.Background(), s.Shard); err != nil {
			t.Error(err)
		}
	}
	list, err := d.List(context.Background(), node.Shard{}, 100)
	if err != nil || len(list) != len(sizes) || d.Status().Shards != int64(len(sizes)) {
		t.Errorf("listed %d shards of %d, status says %d: %v", len(list), len(sizes), d.Status().Shards, err)
	}
	var all []node.Shard
	for _, s := range list {
		all = append(all, s.Shard)
	}
	if err := d.Delete(context.Background(), append(all, node.Shard{Index: 3})); err != nil {
		t.Fatal(err)
	}
	for i, size := range sizes {
		wantNone(t, d, spec(i, 65536, size))
	}
	closeDrive(t, d)
}
