package nodetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// Drive is a node.Drive in memory. It copies what it is given, checks what it returns, and does
// wrong when told to (see faults.go).
type Drive struct {
	name id.Drive

	mu     sync.Mutex
	shards map[node.Shard]*stored
	open   int // writers neither committed nor aborted
	faults [ops]fault
	calls  [ops]int
	out    bool
}

// stored is a committed shard. A block's sum covers its payload, name and number.
type stored struct {
	spec   node.Spec
	blocks [][]byte
	sums   []uint64
}

// NewDrive makes an empty drive.
func NewDrive(name id.Drive) *Drive {
	return &Drive{name: name, shards: make(map[node.Shard]*stored)}
}

func blockSum(s node.Shard, n int, payload []byte) uint64 {
	var name [id.Size + 1 + 8]byte
	copy(name[:], s.Data[:])
	name[id.Size] = s.Index
	binary.BigEndian.PutUint64(name[id.Size+1:], uint64(n))
	return xxh3.HashSeed(payload, xxh3.Hash(name[:]))
}

// Create implements node.Drive.
func (d *Drive) Create(ctx context.Context, spec node.Spec) (node.Writer, error) {
	if err := d.enter(ctx, Create); err != nil {
		return nil, err
	}
	if spec.BlockLen == 0 || spec.BlockLen > node.MaxBlockLen || spec.K == 0 || int(spec.K)+int(spec.M) > node.MaxShards || int(spec.Index) >= int(spec.K)+int(spec.M) {
		return nil, kind.New(kind.InvalidArgument, "nodetest: shard %s: impossible geometry", spec.Shard)
	}
	d.mu.Lock()
	d.open++
	d.mu.Unlock()
	return &writer{d: d, s: &stored{spec: spec}}, nil
}

type writer struct {
	d    *Drive
	s    *stored
	done bool
}

func (w *writer) WriteBlock(ctx context.Context, block []byte) error {
	n := len(w.s.blocks)
	if w.done || n >= w.s.spec.Blocks() || len(block) != w.s.spec.BlockSize(n) {
		return kind.New(kind.InvalidArgument, "nodetest: shard %s: block %d of %d bytes does not fit its geometry", w.s.spec.Shard, n, len(block))
	}
	if err := w.d.enter(ctx, Write); err != nil {
		return err
	}
	w.s.blocks = append(w.s.blocks, bytes.Clone(block))
	w.s.sums = append(w.s.sums, blockSum(w.s.spec.Shard, n, block))
	if full := block[:cap(block)]; len(full)-len(block) >= node.BlockTrailer {
		for i := range node.BlockTrailer { // a drive may use it, so nobody may count on it
			full[len(block)+i] = 0xEE
		}
	}
	return nil
}

func (w *writer) Commit(ctx context.Context) error {
	if w.done || len(w.s.blocks) != w.s.spec.Blocks() {
		return kind.New(kind.InvalidArgument, "nodetest: shard %s: commit of %d blocks", w.s.spec.Shard, len(w.s.blocks))
	}
	if err := w.d.enter(ctx, Commit); err != nil {
		return err
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.done = true
	w.d.open--
	w.d.shards[w.s.spec.Shard] = w.s
	return nil
}

func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.d.mu.Lock()
	w.d.open--
	w.d.mu.Unlock()
}

func (d *Drive) get(s node.Shard) (*stored, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if st := d.shards[s]; st != nil {
		return st, nil
	}
	return nil, kind.New(kind.NotFound, "nodetest: no shard %s", s)
}

func (st *stored) check(s node.Shard, n int) error {
	if n >= len(st.blocks) || blockSum(s, n, st.blocks[n]) != st.sums[n] {
		return kind.New(kind.Damaged, "nodetest: block %d of shard %s", n, s)
	}
	return nil
}

// ReadBlock implements node.Drive.
func (d *Drive) ReadBlock(ctx context.Context, want node.Spec, n, off int, dst []byte) error {
	if err := d.enter(ctx, Read); err != nil {
		return err
	}
	st, err := d.get(want.Shard)
	if err != nil {
		return err
	}
	if st.spec != want {
		return kind.New(kind.Damaged, "nodetest: shard %s has another geometry", want.Shard)
	}
	if n < 0 || n >= want.Blocks() || off < 0 || off+len(dst) > want.BlockSize(n) {
		return kind.New(kind.InvalidArgument, "nodetest: shard %s: read beyond block %d", want.Shard, n)
	}
	if err := st.check(want.Shard, n); err != nil {
		return err
	}
	copy(dst, st.blocks[n][off:])
	return nil
}

// Stat implements node.Drive.
func (d *Drive) Stat(ctx context.Context, s node.Shard) (node.Spec, error) {
	if err := d.enter(ctx, Stat); err != nil {
		return node.Spec{}, err
	}
	st, err := d.get(s)
	if err != nil {
		return node.Spec{}, err
	}
	return st.spec, nil
}

// Verify implements node.Drive.
func (d *Drive) Verify(ctx context.Context, s node.Shard) error {
	if err := d.enter(ctx, Verify); err != nil {
		return err
	}
	st, err := d.get(s)
	if err != nil {
		return err
	}
	if st.spec.Shard != s {
		return kind.New(kind.Damaged, "nodetest: shard %s has another's record", s)
	}
	for n := range st.spec.Blocks() {
		if err := st.check(s, n); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements node.Drive.
func (d *Drive) Delete(ctx context.Context, shards []node.Shard) error {
	if err := d.enter(ctx, Delete); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range shards {
		delete(d.shards, s)
	}
	return nil
}

// List implements node.Drive.
func (d *Drive) List(ctx context.Context, after node.Shard, limit int) ([]node.Spec, error) {
	if err := d.enter(ctx, List); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var specs []node.Spec
	for s, st := range d.shards {
		if compare(s, after) > 0 {
			spec := st.spec
			spec.Shard = s
			specs = append(specs, spec)
		}
	}
	slices.SortFunc(specs, func(a, b node.Spec) int { return compare(a.Shard, b.Shard) })
	return specs[:min(limit, len(specs))], nil
}

func compare(a, b node.Shard) int {
	if c := bytes.Compare(a.Data[:], b.Data[:]); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

// Status implements node.Drive.
func (d *Drive) Status() node.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return node.Status{ID: d.name, Path: "memory", Out: d.out, TotalBytes: 1 << 40, FreeBytes: 1 << 40, Shards: int64(len(d.shards))}
}
