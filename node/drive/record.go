package drive

import (
	"encoding/binary"
	"fmt"

	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/node/drive/index"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

// The kinds of record in the shard log; see doc.go.
const (
	kindShard  uint8 = 1
	kindDelete uint8 = 2
)

// deletionLen is the length of one deletion in a record.
const deletionLen = 40

// encodeDeletions is the payload of a record of deletions. Those without At are made by it.
func encodeDeletions(list []index.Deletion) []byte {
	b := make([]byte, len(list)*deletionLen)
	for i, d := range list {
		e := b[i*deletionLen:]
		copy(e, d.Shard.Data[:])
		e[16] = d.Shard.Index
		binary.LittleEndian.PutUint64(e[24:], d.At.Segment)
		binary.LittleEndian.PutUint64(e[32:], uint64(d.At.Offset))
	}
	return b
}

// decodeRecord is what the index must know of the record at p.
func decodeRecord(p log.Pos, recordKind uint8, payload []byte) (index.Op, error) {
	op := index.Op{Pos: p, Bytes: log.RecordSize(len(payload))}
	switch recordKind {
	case kindShard:
		h, err := shard.DecodeHeader(payload)
		if err != nil {
			return op, err
		}
		if h.Blob == 0 && len(payload) != loggedSize(h.Spec) || h.Blob != 0 && len(payload) != shard.HeaderLen {
			return op, fmt.Errorf("%w: record of %d bytes for %s", shard.ErrDamaged, len(payload), h.Shard)
		}
		op.Shard = h
		if !h.Origin.IsZero() {
			op.Kind = index.Copy
		}
		return op, nil
	case kindDelete:
		if len(payload)%deletionLen != 0 {
			return op, fmt.Errorf("%w: deletions of %d bytes", shard.ErrDamaged, len(payload))
		}
		op.Kind = index.Delete
		op.Deleted = decodeDeletions(p, payload)
		return op, nil
	}
	return op, fmt.Errorf("drive: record of unknown kind %d at %s: %w", recordKind, p, ErrFormat)
}

func decodeDeletions(p log.Pos, b []byte) []index.Deletion {
	list := make([]index.Deletion, 0, len(b)/deletionLen)
	for ; len(b) > 0; b = b[deletionLen:] {
		d := index.Deletion{
			Shard: node.Shard{Data: id.Data(b[:16]), Index: b[16]},
			At: log.Pos{
				Segment: binary.LittleEndian.Uint64(b[24:]),
				Offset:  int64(binary.LittleEndian.Uint64(b[32:])),
			},
		}
		if d.At.IsZero() {
			d.At = p
		}
		list = append(list, d)
	}
	return list
}

// loggedSize is the length of the payload of a shard that is kept in the log.
func loggedSize(s node.Spec) int {
	return shard.HeaderLen + int(s.Length) + s.Blocks()*shard.TrailerLen
}

// blockAt is where block n begins in that payload.
func blockAt(s node.Spec, n int) int {
	return shard.HeaderLen + n*(int(s.BlockLen)+shard.TrailerLen)
}
