// Package wire is what node/client and node/server agree on: the names of the methods, and how a shard's
// name and geometry become messages and come back. What each message means is said in proto/nodepb.
package wire

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/proto/nodepb"
)

// The service and its methods.
const (
	Service = "holdfast.node.v1.Shards"

	Put    = "Put"    // unary, frames: a shard of at most one block
	Write  = "Write"  // a stream of frames: any other shard
	Read   = "Read"   // unary, frames: bytes of a block
	Stat   = "Stat"   // ShardRequest → Spec
	Verify = "Verify" // ShardRequest → Empty
	Delete = "Delete" // DeleteRequest → Empty
	List   = "List"   // ListRequest → Specs
	Drives = "Drives" // Empty → Statuses
)

// MaxPage is the most shards that one List answers and one Delete takes: well within a message.
const MaxPage = 10_000

// Method is a method's full name.
func Method(name string) string { return "/" + Service + "/" + name }

// MaxStatusText bounds path and reason of a Status in bytes.
const MaxStatusText = 1 << 10

// FromShard makes a message of a shard's name.
func FromShard(s node.Shard) *nodepb.Shard {
	return &nodepb.Shard{Data: s.Data[:], Index: uint32(s.Index)}
}

// ToShard takes a shard's name from its message; none is the zero Shard.
func ToShard(m *nodepb.Shard) (node.Shard, error) {
	if m == nil {
		return node.Shard{}, nil
	}
	data, err := id.FromBytes[id.Data](m.GetData())
	if err != nil || m.GetIndex() > math.MaxUint8 {
		return node.Shard{}, invalid("a shard's name")
	}
	return node.Shard{Data: data, Index: uint8(m.GetIndex())}, nil
}

// FromSpec makes a message of a shard's geometry.
func FromSpec(s node.Spec) *nodepb.Spec {
	return &nodepb.Spec{Shard: FromShard(s.Shard), K: uint32(s.K), M: uint32(s.M), BlockLen: s.BlockLen, Length: s.Length}
}

// ToSpec takes a shard's geometry from its message. It is what a drive may be asked about, but the drive
// has the last word.
func ToSpec(m *nodepb.Spec) (node.Spec, error) {
	shard, err := ToShard(m.GetShard())
	if err != nil {
		return node.Spec{}, err
	}
	if m.GetK() > node.MaxShards || m.GetM() > node.MaxShards {
		return node.Spec{}, invalid("a shard of %d+%d", m.GetK(), m.GetM())
	}
	s := node.Spec{Shard: shard, K: uint8(m.GetK()), M: uint8(m.GetM()), BlockLen: m.GetBlockLen(), Length: m.GetLength()}
	return s, Check(s)
}

// Check refuses a geometry that cannot be: of a shard that is written, and of one that is asked for.
func Check(s node.Spec) error {
	switch {
	case s.Data.IsZero():
		return invalid("a shard without data ID")
	case s.K < 1 || int(s.K)+int(s.M) > node.MaxShards || int(s.Index) >= int(s.K)+int(s.M):
		return invalid("shard %d of %d+%d", s.Index, s.K, s.M)
	case s.BlockLen < 1 || s.BlockLen > node.MaxBlockLen:
		return invalid("blocks of %d bytes", s.BlockLen)
	case s.Length > math.MaxInt64 || s.Length/uint64(s.BlockLen) >= math.MaxUint32:
		return invalid("a shard of %d bytes", s.Length)
	}
	return nil
}

// ToDrive takes a drive's ID.
func ToDrive(b []byte) (id.Drive, error) {
	d, err := id.FromBytes[id.Drive](b)
	if err != nil {
		return d, invalid("a drive's ID")
	}
	return d, nil
}

// Header encodes the header of a frame.
func Header(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("wire: encode a header: %w", err)
	}
	return b, nil
}

// ParseHeader decodes the header of a frame.
func ParseHeader(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return invalid("a frame's header")
	}
	return nil
}

// FromStatus makes a message of what a drive says of itself.
func FromStatus(s node.Status) *nodepb.Status {
	return &nodepb.Status{
		Id: s.ID[:], Path: cut(s.Path), Out: s.Out, Reason: cut(s.Reason), ReadOnly: s.ReadOnly,
		TotalBytes: s.TotalBytes, FreeBytes: s.FreeBytes, Shards: s.Shards,
	}
}

// ToStatus takes what a drive says of itself from its message.
func ToStatus(m *nodepb.Status) (node.Status, error) {
	name, err := ToDrive(m.GetId())
	return node.Status{
		ID: name, Path: m.GetPath(), Out: m.GetOut(), Reason: m.GetReason(), ReadOnly: m.GetReadOnly(),
		TotalBytes: m.GetTotalBytes(), FreeBytes: m.GetFreeBytes(), Shards: m.GetShards(),
	}, err
}

// cut keeps a text within its bound, in whole characters.
func cut(s string) string {
	if len(s) <= MaxStatusText {
		return s
	}
	n := MaxStatusText
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

func invalid(format string, args ...any) error {
	return kind.New(kind.InvalidArgument, "wire: "+format, args...)
}
