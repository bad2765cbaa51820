package log

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/xxh3"
)

const (
	// headerLen is the length of a record's header in bytes.
	headerLen = 40
	// align is what records start on, so that a search for them can step by it.
	align = 8
	// magic begins every header; "HFL1" read as little endian.
	magic = 0x314c4648
	// MaxPayload bounds one record, in bytes: what a damaged length can make a reader allocate.
	MaxPayload = 8 << 20
)

// The forms of a record.
const (
	formData = 0 // a caller's record
	formHead = 1 // the first record of a segment
	formEnd  = 2 // the last record of a segment: another one follows
	formMark = 3 // proof that all before it was synced; the next record takes its place
)

// header is the fixed part of a record. See doc.go for the layout.
type header struct {
	kind     uint8
	form     uint8
	length   uint32 // of the payload
	synced   uint32 // offset up to which the segment was on stable storage before this was written
	payload  uint64 // checksum of the payload
	previous uint64 // sum of the record before
	sum      uint64 // of the header itself, its place and the log's identity
}

// size is the length of the whole record in the file.
func (h header) size() int64 { return RecordSize(int(h.length)) }

// RecordSize is how many bytes a record with a payload of the given length takes in the log.
func RecordSize(payload int) int64 {
	return int64(headerLen+payload+align-1) / align * align
}

// encode writes the header into b[:headerLen] and fills in its sum.
func (h *header) encode(b []byte, seed uint64, p Pos) {
	binary.LittleEndian.PutUint32(b[0:], magic)
	b[4], b[5], b[6], b[7] = h.kind, h.form, 0, 0
	binary.LittleEndian.PutUint32(b[8:], h.length)
	binary.LittleEndian.PutUint32(b[12:], h.synced)
	binary.LittleEndian.PutUint64(b[16:], h.payload)
	binary.LittleEndian.PutUint64(b[24:], h.previous)
	h.sum = headerSum(b, seed, p)
	binary.LittleEndian.PutUint64(b[32:], h.sum)
}

// decode reads a header that stands at p. It fails if the bytes are not a header that was written
// for this very place of this very log.
func decode(b []byte, seed uint64, p Pos) (header, error) {
	var h header
	if len(b) < headerLen {
		return h, fmt.Errorf("%w: header cut short at %s", ErrDamaged, p)
	}
	h.sum = binary.LittleEndian.Uint64(b[32:])
	if binary.LittleEndian.Uint32(b) != magic || h.sum != headerSum(b, seed, p) {
		return h, fmt.Errorf("%w: bad header at %s", ErrDamaged, p)
	}
	h.kind, h.form = b[4], b[5]
	h.length = binary.LittleEndian.Uint32(b[8:])
	h.synced = binary.LittleEndian.Uint32(b[12:])
	h.payload = binary.LittleEndian.Uint64(b[16:])
	h.previous = binary.LittleEndian.Uint64(b[24:])
	if h.form > formMark || h.length > MaxPayload || b[6]|b[7] != 0 {
		return h, fmt.Errorf("%w: impossible header at %s", ErrDamaged, p)
	}
	return h, nil
}

// headerSum covers the place as well as the bytes, so that a record copied to another place, or
// left over from another log, is none.
func headerSum(b []byte, seed uint64, p Pos) uint64 {
	var in [32 + 16]byte
	copy(in[:32], b[:32])
	binary.LittleEndian.PutUint64(in[32:], p.Segment)
	binary.LittleEndian.PutUint64(in[40:], uint64(p.Offset))
	return xxh3.HashSeed(in[:], seed)
}

// payloadSum is the checksum of a payload handed over in parts.
func payloadSum(parts [][]byte) uint64 {
	switch len(parts) {
	case 0:
		return xxh3.Hash(nil)
	case 1:
		return xxh3.Hash(parts[0])
	}
	var h xxh3.Hasher
	for _, p := range parts {
		_, _ = h.Write(p) // never fails
	}
	return h.Sum64()
}

// headInfo is the payload of a segment's first record.
type headInfo struct {
	version  uint32 // of the format
	previous Pos    // where the segment before ended; zero for the first
}

const (
	// Version is the format version that this package writes and reads.
	Version     = 1
	headInfoLen = 24
)

func (i headInfo) encode() []byte {
	b := make([]byte, headInfoLen)
	binary.LittleEndian.PutUint32(b, i.version)
	binary.LittleEndian.PutUint64(b[8:], i.previous.Segment)
	binary.LittleEndian.PutUint64(b[16:], uint64(i.previous.Offset))
	return b
}

func decodeHeadInfo(b []byte) (headInfo, error) {
	if len(b) != headInfoLen {
		return headInfo{}, fmt.Errorf("%w: segment head of %d bytes", ErrDamaged, len(b))
	}
	i := headInfo{
		version: binary.LittleEndian.Uint32(b),
		previous: Pos{
			Segment: binary.LittleEndian.Uint64(b[8:]),
			Offset:  int64(binary.LittleEndian.Uint64(b[16:])),
		},
	}
	if i.version != Version {
		return i, fmt.Errorf("log: segment of format %d, this program knows %d", i.version, Version)
	}
	return i, nil
}
