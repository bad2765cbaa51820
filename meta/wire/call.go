package wire

import (
	"bytes"
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
	opOutcome op = 3 // payload: index u64, term u64, after u64, request ID; answer: known u8, Result if there is one
	opHints   op = 4 // no payload; answer: rows of hint u8, drive 16, term u64, committed u64, by group
	opAskMany op = 5 // payload: count u16, groups u32, an encoded Query; one answer a group, as opAsk
	opMove    op = 6 // payload: from 16, to 16
	opStatus  op = 7 // answer: JSON
	opMissing op = 8 // answer: JSON
	// opProposeIn is opPropose to the leader of one term. payload: term u64, an encoded command
	opProposeIn op = 9
)

// again reports whether a request may be sent to two nodes without harm.
func (o op) again() bool { return o != opPropose && o != opProposeIn && o != opMove }

// traceable reports whether another node can tell what became of a request that is lost.
func (o op) traceable() bool { return o.again() || o == opProposeIn }

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
	statusUnknown    status = 3 // payload: index u64, term u64, after u64; it may have happened
	statusError      status = 4 // payload: kind u16, a sentence
	statusAlive      status = 5 // no answer: all requests up to this number have come in
)

const (
	// flagFull says that the drives of the answer's group are full.
	flagFull = 1
	// flagLed says that who answers leads the group; the answer has its post.
	flagLed = 2
)

// post is a leadership of a group: its term, and an index that is committed. Zero: not known.
type post struct{ term, committed uint64 }

// answer is one item of a frame to a caller.
type answer struct {
	number  uint64
	status  status
	full    bool
	led     post
	group   uint32
	payload []byte
}

const answerOverhead = 8 + 1 + 1 + 8 + 8 + 4 + 4

func (a *answer) append(buf []byte) []byte {
	buf = binary.LittleEndian.AppendUint64(buf, a.number)
	var flags byte
	if a.full {
		flags |= flagFull
	}
	if a.led.term != 0 {
		flags |= flagLed
	}
	buf = append(buf, byte(a.status), flags)
	if a.led.term != 0 {
		buf = appendPost(buf, a.led)
	}
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
		flags := d.u8()
		a.full = flags&flagFull != 0
		if flags&flagLed != 0 {
			a.led = d.post()
		}
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
		return &replica.UnknownError{Group: a.group, Index: d.u64(), Term: d.u64(), After: d.u64()}
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

// unknownPayload says how to find a command of which the outcome is not known.
func unknownPayload(u *replica.UnknownError) []byte {
	buf := make([]byte, 0, 3*8+len(u.Request))
	for _, v := range [...]uint64{u.Index, u.Term, u.After} {
		buf = binary.LittleEndian.AppendUint64(buf, v)
	}
	return append(buf, u.Request...)
}

func decodeUnknown(group uint32, payload []byte) *replica.UnknownError {
	d := decoder{buf: payload}
	u := &replica.UnknownError{Group: group, Index: d.u64(), Term: d.u64(), After: d.u64()}
	if !d.failed {
		u.Request = bytes.Clone(payload[d.off:])
	}
	return u
}

func appendPost(buf []byte, p post) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(buf, p.term), p.committed)
}

func (d *decoder) post() post { return post{d.u64(), d.u64()} }

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
	led   post // of hintLeads
}

type hintKind uint8

const (
	hintNone  hintKind = 0
	hintHeard hintKind = 1 // a replica there follows the one on the drive
	hintLeads hintKind = 2 // the drive is there, and leads
)

const hintBytes = 1 + id.Size + 8 + 8

func appendHints(buf []byte, hints []hint) []byte {
	buf = slices.Grow(buf, len(hints)*hintBytes)
	for _, h := range hints {
		buf = appendPost(append(append(buf, byte(h.known)), h.drive[:]...), h.led)
	}
	return buf
}

func decodeHints(payload []byte) []hint {
	d := decoder{buf: payload}
	var out []hint
	for len(payload)-d.off >= hintBytes {
		out = append(out, hint{hintKind(d.u8()), d.drive(), d.post()})
	}
	return out
}
