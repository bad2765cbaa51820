// Package node holds the words that everything which keeps or moves shards shares: what a shard
// is, what a drive can do with it. The packages below it implement them: node/drive on a disk,
// node/client and node/server across machines.
//
// A node never sees plaintext, a bucket or a key: a shard is named by a data ID and an index.
package node

import (
	"context"
	"fmt"
	"unsafe"

	"holdfast/internal/id"
)

// Limits of a shard, asserted by every drive.
const (
	// MaxShards is the largest k+m.
	MaxShards = 32
	// MaxBlockLen is the largest block of a shard in bytes: sixteen sealed chunks and some room.
	MaxBlockLen = 2 << 20
	// BlockAlign is the alignment of address and capacity (bytes) with which a block can go to
	// disk without being copied (O_DIRECT).
	BlockAlign = 4096
	// BlockTrailer is the room in bytes behind a block's payload that a drive fills with the
	// block's number, its shard's name and the payload's checksum.
	BlockTrailer = 64
)

// Shard names one of the k+m pieces of a data ID.
type Shard struct {
	Data  id.Data
	Index uint8
}

func (s Shard) String() string { return fmt.Sprintf("%s.%d", s.Data, s.Index) }

// Spec is what a drive knows of a shard: its name and its geometry. A shard is a row of blocks;
// each holds BlockLen bytes but the last, which may be shorter.
type Spec struct {
	Shard
	K, M     uint8
	BlockLen uint32 // bytes of a full block
	Length   uint64 // bytes of the whole shard: all blocks, without headers
}

// Blocks is the number of blocks of the shard.
func (s Spec) Blocks() int {
	if s.Length == 0 {
		return 0
	}
	return int((s.Length + uint64(s.BlockLen) - 1) / uint64(s.BlockLen))
}

// BlockSize is the payload length of block n in bytes.
func (s Spec) BlockSize(n int) int {
	if n == s.Blocks()-1 {
		return int(s.Length - uint64(n)*uint64(s.BlockLen))
	}
	return int(s.BlockLen)
}

// Writer takes the blocks of one shard in order. It is used by one goroutine. Exactly one of
// Commit and Abort ends it; Abort after Commit is a no-op.
type Writer interface {
	// WriteBlock appends the next block. block belongs to the drive until the call returns; the
	// BlockTrailer bytes behind len(block), if cap allows, are overwritten.
	WriteBlock(ctx context.Context, block []byte) error
	// Commit makes the shard durable (fdatasync, directories included) and visible. A shard of
	// the same name is replaced.
	Commit(ctx context.Context) error
	// Abort drops what was written.
	Abort()
}

// Drive keeps shards. Errors carry kind.NotFound (no such shard), kind.Damaged (a checksum is
// wrong), kind.Full (reserve reached: reads and deletes go on) or kind.Unavailable (the drive is
// out). Safe for concurrent use.
type Drive interface {
	Create(ctx context.Context, spec Spec) (Writer, error)
	// ReadBlock reads bytes [off, off+len(dst)) of block n into dst. The drive verifies the
	// whole block's checksum before it answers. want is checked against what is stored, so that a
	// stale or swapped shard is Damaged.
	ReadBlock(ctx context.Context, want Spec, n, off int, dst []byte) error
	Stat(ctx context.Context, s Shard) (Spec, error)
	// Verify reads the whole shard and checks everything.
	Verify(ctx context.Context, s Shard) error
	// Delete removes shards; those which are not there are no error. Durable before it returns.
	Delete(ctx context.Context, shards []Shard) error
	// List returns up to limit shards in ascending order after one.
	List(ctx context.Context, after Shard, limit int) ([]Spec, error)
	Status() Status
}

// Status is what a drive says of itself.
type Status struct {
	ID         id.Drive
	Path       string
	Out        bool   // an I/O error took it out; it stays out until the process starts again
	Reason     string // why it is out or read-only
	ReadOnly   bool   // the reserve is reached
	TotalBytes int64
	FreeBytes  int64
	Shards     int64 // number of shards in the index (approximate)
}

// AllocBlock returns a buffer with len n whose address is a multiple of BlockAlign and whose
// capacity is a multiple of it with at least BlockTrailer bytes behind n.
func AllocBlock(n int) []byte {
	size := (n + BlockTrailer + BlockAlign - 1) / BlockAlign * BlockAlign
	raw := make([]byte, size+BlockAlign)
	skip := 0
	if rest := int(uintptr(unsafe.Pointer(&raw[0])) % BlockAlign); rest != 0 {
		skip = BlockAlign - rest
	}
	return raw[skip : skip+n : skip+size]
}

// Aligned reports whether block can go to disk without being copied.
func Aligned(block []byte) bool {
	full := block[:cap(block)]
	return len(full) > 0 && uintptr(unsafe.Pointer(&full[0]))%BlockAlign == 0 &&
		cap(block)%BlockAlign == 0 && cap(block)-len(block) >= BlockTrailer
}
