package shard

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"holdfast/node"
	"holdfast/node/drive/log"
)

const (
	// HeaderLen is the length of an encoded Header.
	HeaderLen = 80
	// TrailerLen is the length of a block's trailer.
	TrailerLen = node.BlockTrailer

	headerMagic  = 0x31534648 // "HFS1"
	trailerMagic = 0x31424648 // "HFB1"
)

// ErrDamaged: the bytes do not check out, or belong to another shard.
var ErrDamaged = errors.New("shard: damaged")

// Header names a shard and says where its blocks are.
type Header struct {
	node.Spec
	Blob   uint64  // number of the file that holds the blocks; 0: they follow the header
	Origin log.Pos // of the first record of the shard, if this one is a copy
}

// Encode writes the header into b[:HeaderLen].
func (h Header) Encode(b []byte) {
	b = b[:HeaderLen]
	clear(b)
	binary.LittleEndian.PutUint32(b, headerMagic)
	putSpec(b, h.Spec)
	binary.LittleEndian.PutUint64(b[40:], h.Blob)
	binary.LittleEndian.PutUint64(b[48:], h.Origin.Segment)
	binary.LittleEndian.PutUint64(b[56:], uint64(h.Origin.Offset))
	binary.LittleEndian.PutUint64(b[72:], xxh3.Hash(b[:72]))
}

// DecodeHeader reads a header.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, fmt.Errorf("%w: header of %d bytes", ErrDamaged, len(b))
	}
	if binary.LittleEndian.Uint32(b) != headerMagic ||
		binary.LittleEndian.Uint64(b[72:]) != xxh3.Hash(b[:72]) {
		return Header{}, fmt.Errorf("%w: bad header", ErrDamaged)
	}
	h := Header{
		Spec: getSpec(b),
		Blob: binary.LittleEndian.Uint64(b[40:]),
		Origin: log.Pos{
			Segment: binary.LittleEndian.Uint64(b[48:]),
			Offset:  int64(binary.LittleEndian.Uint64(b[56:])),
		},
	}
	if err := Check(h.Spec); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return h, nil
}

// Check refuses a Spec that no drive keeps.
func Check(s node.Spec) error {
	switch {
	case s.Data.IsZero():
		return errors.New("shard: no data ID")
	case s.K < 1 || int(s.K)+int(s.M) > node.MaxShards || int(s.Index) >= int(s.K)+int(s.M):
		return fmt.Errorf("shard: index %d of %d+%d", s.Index, s.K, s.M)
	case s.BlockLen < 1 || s.BlockLen > node.MaxBlockLen:
		return fmt.Errorf("shard: blocks of %d bytes", s.BlockLen)
	case s.Length > MaxLength:
		return fmt.Errorf("shard: length of %d bytes", s.Length)
	}
	return nil
}

// MaxLength bounds a shard in bytes: more than the largest object (5 TiB) on one shard, and
// far from where arithmetic on it could overflow.
const MaxLength = 1 << 43

func putSpec(b []byte, s node.Spec) {
	b[4], b[5], b[6] = s.Index, s.K, s.M
	copy(b[8:24], s.Data[:])
	binary.LittleEndian.PutUint32(b[24:], s.BlockLen)
	binary.LittleEndian.PutUint64(b[32:], s.Length)
}

func getSpec(b []byte) node.Spec {
	var s node.Spec
	s.Index, s.K, s.M = b[4], b[5], b[6]
	copy(s.Data[:], b[8:24])
	s.BlockLen = binary.LittleEndian.Uint32(b[24:])
	s.Length = binary.LittleEndian.Uint64(b[32:])
	return s
}

// Seal writes the trailer of block n of s into b[:TrailerLen]; payload is the block.
func Seal(b []byte, s node.Spec, n int, payload []byte) {
	b = b[:TrailerLen]
	trailer(b, s, n, len(payload), xxh3.Hash(payload))
}

func trailer(b []byte, s node.Spec, n, size int, sum uint64) {
	clear(b)
	binary.LittleEndian.PutUint32(b, trailerMagic)
	putSpec(b, s)
	binary.LittleEndian.PutUint32(b[28:], uint32(n))
	binary.LittleEndian.PutUint32(b[40:], uint32(size))
	binary.LittleEndian.PutUint64(b[48:], sum)
	binary.LittleEndian.PutUint64(b[56:], xxh3.Hash(b[:56]))
}

// Open checks that payload and its trailer are block n of s, unharmed.
func Open(b []byte, s node.Spec, n int, payload []byte) error {
	if len(b) < TrailerLen {
		return fmt.Errorf("%w: trailer of %d bytes", ErrDamaged, len(b))
	}
	var want [TrailerLen]byte
	trailer(want[:], s, n, len(payload), xxh3.Hash(payload))
	if want == [TrailerLen]byte(b) {
		return nil
	}
	if binary.LittleEndian.Uint64(b[56:]) != xxh3.Hash(b[:56]) {
		return fmt.Errorf("%w: bad trailer of block %d of %s", ErrDamaged, n, s.Shard)
	}
	if got := getSpec(b); got != s || binary.LittleEndian.Uint32(b[28:]) != uint32(n) {
		return fmt.Errorf("%w: block %d of %s found where block %d of %s belongs", ErrDamaged,
			binary.LittleEndian.Uint32(b[28:]), got.Shard, n, s.Shard)
	}
	return fmt.Errorf("%w: bad checksum in block %d of %s", ErrDamaged, n, s.Shard)
}
