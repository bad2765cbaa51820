package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
)

// op is what a request wants. The numbers are wire format.
type op uint8

const (
	opPropose op = 1 // payload: an encoded command; answer: Result
	opAsk     op = 2 // payload: an encoded Query; answer: Answer
	opOutcome op = 3 // payload: index u64, term u64; answer: known u8, Result if there is one
	opHints   op = 4 // no payload; answer: rows of hint u8, drive 16, by group
	opAskMany op = 5 // payload: count u16, groups u32, an encoded Query; one answer a group, as opAsk
	opMove    op = 6 // payload: from 16, to 16
	opStatus  op = 7 // answer: JSON
	opMissing op = 8 // answer: JSON
)

// again reports whether a request may be sent to two nodes without harm.
func (o op) again() bool { return o != opPropose && o != opMove }

// request is one item of a frame from a caller.
type request struct {
	number  uint64
	op      op
	timeout time.Duration
	group   uint32
	payload []byte
}

// requestOverhead is what a request takes in a frame besides its payload, in bytes.
const requestOverhead = 8 + 1 + 4 + 4 + 4

func (r *request) append(buf []byte) []byte {
	buf = binary.LittleEndian.AppendUint64(buf, r.number)
	buf = append(buf, byte(r.op))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(min(r.timeout.Milliseconds(), maxTimeout.Milliseconds())))
	buf = binary.LittleEndian.AppendUint32(buf, r.group)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(r.payload)))
	return append(buf, r.payload...)
}

// decodeRequests calls visit for each request; payloads are parts of the frame.
func decodeRequests(frame []byte, visit func(r request)) error {
	d, err := openFrame(frame)
	if err != nil {
		return err
	}
	for d.off < len(d.buf) {
		r := request{number: d.u64(), op: op(d.u8())}
		r.timeout = min(time.Duration(d.u32())*time.Millisecond, maxTimeout)
		r.group = d.u32()
		r.payload = d.bytes(int(d.u32()))
		if d.failed {
			return errFrame
		}
		visit(r)
	}
	return nil
}

// status is how a request ended. The numbers are wire format.
type status uint8

const (
	statusOK         status = 0
	statusNotLeader  status = 1 // payload: the drive that leads, if known; nothing happened
	statusOverloaded status = 2 // nothing happened
	statusUnknown    status = 3 // payload: index u64, term u64; it may have happened
	statusError      status = 4 // payload: kind u16, a sentence
)

// flagFull says that the drives of the answer's group are full.
const flagFull = 1

// answer is one item of a frame to a caller.
type answer struct {
	number  uint64
	status  status
	full    bool
	group   uint32
	payload []byte
}

const answerOverhead = 8 + 1 + 1 + 4 + 4

func (a *answer) append(buf []byte) []byte {
	buf = binary.LittleEndian.AppendUint64(buf, a.number)
	var flags byte
	if a.full {
		flags |= flagFull
	}
	buf = append(buf, byte(a.status), flags)
	buf = binary.LittleEndian.AppendUint32(buf, a.group)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(a.payload)))
	return append(buf, a.payload...)
}

// decodeAnswers calls visit for each answer; payloads are parts of the frame.
func decodeAnswers(frame []byte, visit func(a answer)) error {
	d, err := openFrame(frame)
	if err != nil {
		return err
	}
	for d.off < len(d.buf) {
		a := answer{number: d.u64(), status: status(d.u8())}
		a.full = d.u8()&flagFull != 0
		a.group = d.u32()
		a.payload = d.bytes(int(d.u32()))
		if d.failed {
			return errFrame
		}
		visit(a)
	}
	return nil
}

// err is what a status means to who asked.
func (a *answer) err() error {
	switch a.status {
	case statusOK:
		return nil
	case statusNotLeader:
		return replica.ErrNotLeader
	case statusOverloaded:
		return replica.ErrOverloaded
	case statusUnknown:
		d := decoder{buf: a.payload}
		return &replica.UnknownError{Group: a.group, Index: d.u64(), Term: d.u64()}
	case statusError:
		d := decoder{buf: a.payload}
		k := kind.Kind(d.u16())
		if k == kind.NotLeader { // means that nothing happened, which has a status of its own
			k = kind.Unknown
		}
		return kind.New(k, "%s", d.bytes(len(a.payload)-d.off))
	}
	return fmt.Errorf("wire: answer of status %d", a.status)
}

// maxSentence bounds an error's text on the wire, in bytes.
const maxSentence = 1 << 10

func errorPayload(err error) []byte {
	text := err.Error()
	text = text[:min(len(text), maxSentence)]
	return append(binary.LittleEndian.AppendUint16(nil, uint16(kind.Of(err))), text...)
}

func positionPayload(index, term uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, index), term)
}

// maxBatchGroups bounds the groups of one opAskMany: as many as a cluster may have.
const maxBatchGroups = 4096

func batchPayload(groups []uint32, query []byte) []byte {
	buf := make([]byte, 0, 2+4*len(groups)+len(query))
	buf = binary.LittleEndian.AppendUint16(buf, uint16(len(groups)))
	for _, g := range groups {
		buf = binary.LittleEndian.AppendUint32(buf, g)
	}
	return append(buf, query...)
}

func decodeBatch(payload []byte) (groups []uint32, query []byte, err error) {
	d := decoder{buf: payload}
	n := int(d.u16())
	if n > maxBatchGroups || n*4 > len(payload) {
		return nil, nil, errFrame
	}
	for range n {
		groups = append(groups, d.u32())
	}
	if d.failed {
		return nil, nil, errFrame
	}
	return groups, payload[d.off:], nil
}

// hint says what a node knows about who leads a group.
type hint struct {
	known hintKind
	drive id.Drive
}

type hintKind uint8

const (
	hintNone  hintKind = 0
	hintHeard hintKind = 1 // a replica there follows the one on the drive
	hintLeads hintKind = 2 // the drive is there, and leads
)

const hintBytes = 1 + id.Size

func appendHints(buf []byte, hints []hint) []byte {
	buf = slices.Grow(buf, len(hints)*hintBytes)
	for _, h := range hints {
		buf = append(append(buf, byte(h.known)), h.drive[:]...)
	}
	return buf
}

func decodeHints(payload []byte) []hint {
	d := decoder{buf: payload}
	var out []hint
	for len(payload)-d.off >= hintBytes {
		out = append(out, hint{hintKind(d.u8()), d.drive()})
	}
	return out
}
