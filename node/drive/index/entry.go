package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

// Entry is a shard and its place.
type Entry struct {
	node.Spec
	Blob   uint64  // number of the blob file; 0: the blocks are in the log record
	Place  log.Pos // of the record
	Origin log.Pos // of the shard's first record
	Bytes  uint32  // of the record in the log
}

// Kind says what a record of the shard log does.
type Kind uint8

// The kinds of Op.
const (
	Put    Kind = iota // Shard is stored, or replaced
	Copy               // Shard was copied by garbage collection
	Delete             // Deleted are gone
)

// Op is one record of the shard log.
type Op struct {
	Kind    Kind
	Pos     log.Pos
	Bytes   int64        // of the record in the log
	Shard   shard.Header // Put, Copy
	Deleted []Deletion   // Delete
}

// Deletion removes a shard whose origin is before At.
type Deletion struct {
	Shard node.Shard
	At    log.Pos
}

// entry is the Entry that a Put or Copy makes.
func (o *Op) entry() *Entry {
	e := &Entry{Spec: o.Shard.Spec, Blob: o.Shard.Blob, Place: o.Pos, Origin: o.Pos, Bytes: uint32(o.Bytes)}
	if o.Kind == Copy {
		e.Origin = o.Shard.Origin
	}
	return e
}

const (
	entryVersion  = 1
	entryLen      = 64
	stateLen      = 32
	entryPrefix   = "se"
	figuresPrefix = "sg"
	stateKey      = "sp"
	entryKeyLen   = len(entryPrefix) + id.Size + 1
	figuresKeyLen = len(figuresPrefix) + 8
)

// ErrFormat: a value in Badger that this version of the program did not write.
var ErrFormat = errors.New("index: unknown format")

func entryKey(s node.Shard) []byte {
	k := make([]byte, 0, entryKeyLen)
	k = append(k, entryPrefix...)
	k = append(k, s.Data[:]...)
	return append(k, s.Index)
}

func decodeKey(k []byte) (node.Shard, bool) {
	if len(k) != entryKeyLen {
		return node.Shard{}, false
	}
	return node.Shard{Data: id.Data(k[2 : 2+id.Size]), Index: k[2+id.Size]}, true
}

func figuresKey(segment uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(figuresPrefix), segment)
}

func (e *Entry) encode() []byte {
	b := make([]byte, entryLen)
	b[0], b[1], b[2] = entryVersion, e.K, e.M
	binary.LittleEndian.PutUint32(b[4:], e.BlockLen)
	binary.LittleEndian.PutUint64(b[8:], e.Length)
	binary.LittleEndian.PutUint64(b[16:], e.Blob)
	putPos(b[24:], e.Place)
	putPos(b[40:], e.Origin)
	binary.LittleEndian.PutUint32(b[56:], e.Bytes)
	return b
}

func decodeEntry(s node.Shard, b []byte) (Entry, error) {
	if len(b) != entryLen || b[0] != entryVersion {
		return Entry{}, fmt.Errorf("%w: entry of %s", ErrFormat, s)
	}
	return Entry{
		Spec: node.Spec{
			Shard: s, K: b[1], M: b[2],
			BlockLen: binary.LittleEndian.Uint32(b[4:]),
			Length:   binary.LittleEndian.Uint64(b[8:]),
		},
		Blob:   binary.LittleEndian.Uint64(b[16:]),
		Place:  getPos(b[24:]),
		Origin: getPos(b[40:]),
		Bytes:  binary.LittleEndian.Uint32(b[56:]),
	}, nil
}

func putPos(b []byte, p log.Pos) {
	binary.LittleEndian.PutUint64(b, p.Segment)
	binary.LittleEndian.PutUint64(b[8:], uint64(p.Offset))
}

func getPos(b []byte) log.Pos {
	return log.Pos{
		Segment: binary.LittleEndian.Uint64(b),
		Offset:  int64(binary.LittleEndian.Uint64(b[8:])),
	}
}

// state is what the index knows beside its entries.
type state struct {
	applied  log.Pos // the last record whose effects are in Badger
	shards   int64
	nextBlob uint64 // above every blob number seen
}

func (s state) encode() []byte {
	b := make([]byte, stateLen)
	putPos(b, s.applied)
	binary.LittleEndian.PutUint64(b[16:], uint64(s.shards))
	binary.LittleEndian.PutUint64(b[24:], s.nextBlob)
	return b
}

func decodeState(b []byte) (state, error) {
	if len(b) != stateLen {
		return state{}, fmt.Errorf("%w: state of %d bytes", ErrFormat, len(b))
	}
	return state{
		applied:  getPos(b),
		shards:   int64(binary.LittleEndian.Uint64(b[16:])),
		nextBlob: binary.LittleEndian.Uint64(b[24:]),
	}, nil
}

// Figures is what a segment holds that is needed, in bytes of records.
type Figures struct {
	Shards    int64
	Deletions int64 // all of them: whether one is needed depends on the other segments
}

const figuresLen = 16

func (f Figures) encode() []byte {
	b := make([]byte, 0, figuresLen)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.Shards))
	return binary.LittleEndian.AppendUint64(b, uint64(f.Deletions))
}

func decodeFigures(b []byte) (Figures, error) {
	if len(b) != figuresLen {
		return Figures{}, fmt.Errorf("%w: figures of %d bytes", ErrFormat, len(b))
	}
	return Figures{
		Shards:    int64(binary.LittleEndian.Uint64(b)),
		Deletions: int64(binary.LittleEndian.Uint64(b[8:])),
	}, nil
}

func (f Figures) plus(d Figures) Figures {
	return Figures{f.Shards + d.Shards, f.Deletions + d.Deletions}
}
