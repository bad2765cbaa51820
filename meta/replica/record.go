package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// kindSections is the one kind of record in a raft log. See doc.go for the format.
const kindSections uint8 = 1

// The optional parts of a section, in the order in which they are written.
const (
	hasBase    uint8 = 1 << 0 // the log of this replica begins behind (index, term); older entries are void
	hasConfig  uint8 = 1 << 1 // the group's configuration at the base
	hasHard    uint8 = 1 << 2 // hard state
	hasEntries uint8 = 1 << 3
	isDead     uint8 = 1 << 4 // this raft ID, and those below it, must not come back on this drive
	isLost     uint8 = 1 << 5 // with isDead: it did not leave the group, it lost its log or state
	knownParts       = hasBase | hasConfig | hasHard | hasEntries | isDead | isLost
)

const (
	sectionHeadLen = 1 + 4 + 8
	entryHeadLen   = 1 + 8 + 8 + 4
	// inlineData is the size in bytes below which an entry's data are copied to the heads, so
	// that a record of many small entries has few parts.
	inlineData = 512
	// maxRecordBytes is where a new record is begun; one entry more may still go in, and the
	// log takes no record above 8 MiB. It also bounds what one read of an old entry costs.
	maxRecordBytes = 2 << 20
	// MaxCommand bounds a command in bytes, so that an entry fits into a record.
	MaxCommand = 4 << 20
)

var errRecord = errors.New("replica: malformed raft record")

// hardState is raft's, without the pointers.
type hardState struct{ term, vote, commit uint64 }

// section is what a record says of one replica. Decoded sections point into the payload.
type section struct {
	flags   uint8
	group   uint32
	raftID  uint64
	base    entryID
	config  []byte
	hard    hardState
	entries []recordEntry
}

type entryID struct{ index, term uint64 }

// recordEntry is an entry within a record.
type recordEntry struct {
	typ    pb.EntryType
	id     entryID
	offset uint32 // of the data within the payload
	data   []byte
}

// recordWriter builds a record without copying large entry data.
type recordWriter struct {
	parts [][]byte
	heads []byte // what is not yet a part
	room  []byte // where heads begin, used again
	size  int    // bytes of parts and heads
}

// headRoom is the capacity in bytes that a writer keeps for heads and small entries.
const headRoom = 8 << 10

func (w *recordWriter) reset() {
	if w.room == nil {
		w.room = make([]byte, 0, headRoom)
	}
	clear(w.parts)
	w.parts, w.heads, w.size = w.parts[:0], w.room, 0
}

func (w *recordWriter) grow(n int) { w.size += n }

// cut turns the heads so far into a part. Heads may be moved by a later append, but the part
// keeps the array it was written to.
func (w *recordWriter) cut() {
	if len(w.heads) > 0 {
		w.parts = append(w.parts, w.heads)
		w.heads = w.heads[len(w.heads):]
	}
}

// begin writes a section's head and all its parts but the entries; n entries must follow.
func (w *recordWriter) begin(s *section, n int) {
	flags := s.flags &^ hasEntries
	if n > 0 {
		flags |= hasEntries
	}
	before := len(w.heads)
	h := append(w.heads, flags)
	h = binary.LittleEndian.AppendUint32(h, s.group)
	h = binary.LittleEndian.AppendUint64(h, s.raftID)
	if flags&hasBase != 0 {
		h = binary.LittleEndian.AppendUint64(h, s.base.index)
		h = binary.LittleEndian.AppendUint64(h, s.base.term)
	}
	if flags&hasConfig != 0 {
		h = binary.LittleEndian.AppendUint32(h, uint32(len(s.config)))
		h = append(h, s.config...)
	}
	if flags&hasHard != 0 {
		h = binary.LittleEndian.AppendUint64(h, s.hard.term)
		h = binary.LittleEndian.AppendUint64(h, s.hard.vote)
		h = binary.LittleEndian.AppendUint64(h, s.hard.commit)
	}
	if n > 0 {
		h = binary.LittleEndian.AppendUint32(h, uint32(n))
	}
	w.heads = h
	w.grow(len(h) - before)
}

// entry writes one entry and returns the offset of its data within the payload.
func (w *recordWriter) entry(e *pb.Entry) uint32 {
	data := e.GetData()
	before := len(w.heads)
	h := append(w.heads, uint8(e.GetType()))
	h = binary.LittleEndian.AppendUint64(h, e.GetTerm())
	h = binary.LittleEndian.AppendUint64(h, e.GetIndex())
	h = binary.LittleEndian.AppendUint32(h, uint32(len(data)))
	w.heads = h
	w.grow(len(h) - before)
	offset := w.size
	if len(data) < inlineData {
		w.heads = append(w.heads, data...)
	} else {
		w.cut()
		w.parts = append(w.parts, data)
	}
	w.grow(len(data))
	return uint32(offset)
}

// finish returns the payload; it is valid until reset.
func (w *recordWriter) finish() [][]byte {
	w.cut()
	return w.parts
}

// decodeRecord hands each section of a record to visit.
func decodeRecord(payload []byte, visit func(*section) error) error {
	d := decoder{buf: payload}
	var s section
	for d.off < len(payload) {
		entries := s.entries[:0]
		s = section{flags: d.u8(), group: d.u32(), raftID: d.u64(), entries: entries}
		if s.flags&^knownParts != 0 {
			return fmt.Errorf("%w: flags %#x", errRecord, s.flags)
		}
		if s.flags&hasBase != 0 {
			s.base = entryID{d.u64(), d.u64()}
		}
		if s.flags&hasConfig != 0 {
			s.config = d.bytes(int(d.u32()))
		}
		if s.flags&hasHard != 0 {
			s.hard = hardState{d.u64(), d.u64(), d.u64()}
		}
		if s.flags&hasEntries != 0 {
			n := int(d.u32())
			for i := 0; i < n && d.err == nil; i++ {
				e := recordEntry{typ: pb.EntryType(d.u8())}
				e.id.term, e.id.index = d.u64(), d.u64()
				size := int(d.u32())
				e.offset = uint32(d.off)
				e.data = d.bytes(size)
				s.entries = append(s.entries, e)
			}
		}
		if d.err != nil {
			return d.err
		}
		if err := visit(&s); err != nil {
			return err
		}
	}
	return nil
}

// decoder reads little-endian fields and remembers that it ran out.
type decoder struct {
	buf []byte
	off int
	err error
}

func (d *decoder) bytes(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.buf)-d.off {
		d.err = errRecord
		return nil
	}
	b := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

func (d *decoder) u8() uint8 {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}
