package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/node/drive/log"
)

// appendBatch is one record on its way into the log, and what may happen once it is there.
type appendBatch struct {
	seq    uint64
	record recordWriter
	parts  []sectionPart
	self   []response // to replicas here
	remote outbox     // to replicas elsewhere; sent from the log's goroutine
	after  []response // came later but need nothing more than this batch: the loop's alone
	dead   bool       // holds all raft IDs that are dead here

	pos log.Pos
	err error
}

// sectionPart remembers what of a replica is in the record.
type sectionPart struct {
	r       *replica
	hard    bool
	entries []placedEntry
}

type placedEntry struct {
	at     entryID
	offset uint32
}

// response is a message of raft's that had to wait for the log.
type response struct {
	r *replica
	m *pb.Message
}

// onStorageAppend takes what raft wants to have on stable storage. A bare commit index is not
// worth an fdatasync: it goes with the next record, and a restart finds it again without it.
func (l *loop) onStorageAppend(r *replica, m *pb.Message) {
	if r.installing {
		r.behind = append(r.behind, m)
		return
	}
	if !raft.IsEmptySnap(m.GetSnapshot()) {
		l.install(r, m)
		return
	}
	if len(m.GetEntries()) == 0 && r.hard.term == r.kept.term && r.hard.vote == r.kept.vote {
		l.afterLast(r, m.GetResponses())
		return
	}
	l.write(r, m, nil)
}

// write puts a storage message into the batch, or into several if it has many entries; the
// responses wait for the last. base is set when the log of the replica starts anew behind it.
func (l *loop) write(r *replica, m *pb.Message, base *entryID) {
	s := section{flags: hasHard, group: r.group, raftID: r.id, hard: r.hard}
	if base != nil {
		r.baseConfig = r.config.encode()
		s.flags |= hasBase | hasConfig
		s.base, s.config = *base, r.baseConfig
		r.st.reset(*base)
	}
	entries := m.GetEntries()
	if len(entries) > 0 {
		if err := r.st.append(entries); err != nil {
			panic(err) // raft never does that
		}
		r.place(entries)
	}
	for {
		n := l.writeSome(r, &s, entries)
		entries = entries[n:]
		s.flags = hasHard
		if len(entries) == 0 {
			break
		}
		l.submit()
	}
	b := l.current()
	r.kept = r.hard
	for _, resp := range m.GetResponses() {
		l.respondAfter(b, r, resp)
	}
	if b.record.size >= maxRecordBytes {
		l.submit()
	}
}

// writeSome writes a section with as many entries as the record takes, and returns how many.
func (l *loop) writeSome(r *replica, s *section, entries []*pb.Entry) int {
	b := l.current()
	n, size := 0, b.record.size
	for n < len(entries) && (n == 0 || size < maxRecordBytes) {
		size += sectionHeadLen + entryHeadLen + len(entries[n].GetData())
		n++
	}
	b.record.begin(s, n)
	part := sectionPart{r: r, hard: true}
	if n > 0 {
		part.entries = make([]placedEntry, n)
		for i, e := range entries[:n] {
			part.entries[i] = placedEntry{entryID{e.GetIndex(), e.GetTerm()}, b.record.entry(e)}
		}
	}
	b.parts = append(b.parts, part)
	r.lastSeq = b.seq
	return n
}

func (l *loop) respondAfter(b *appendBatch, r *replica, m *pb.Message) {
	if m.GetTo() == r.id {
		b.self = append(b.self, response{r, m})
		return
	}
	if drive, ok := r.driveOf(m.GetTo()); ok {
		b.remote.add(Message{Group: r.group, From: l.drive.ID, To: drive, Raft: m})
	}
}

// afterLast delivers responses as soon as all that was written of the replica is durable.
func (l *loop) afterLast(r *replica, responses []*pb.Message) {
	if len(responses) == 0 {
		return
	}
	b := l.batch
	if b == nil || r.lastSeq != b.seq {
		b = nil
		if r.lastSeq > l.durable {
			b = l.inflight[r.lastSeq-l.durable-1]
		}
	}
	for _, m := range responses {
		if b != nil {
			b.after = append(b.after, response{r, m})
		} else {
			l.respond(r, m)
		}
	}
}

func (l *loop) respond(r *replica, m *pb.Message) {
	if r.gone {
		return
	}
	if m.GetTo() != r.id {
		l.post(r, m)
		return
	}
	_ = r.node.Step(m)
	l.touch(r)
}

// current is the batch being filled.
func (l *loop) current() *appendBatch {
	if l.batch == nil {
		if n := len(l.free); n > 0 {
			l.batch, l.free = l.free[n-1], l.free[:n-1]
		} else {
			l.batch = new(appendBatch)
			l.batch.record.reset()
		}
		l.seq++
		l.batch.seq = l.seq
	}
	return l.batch
}

// submit hands the batch to the log. What it brings about comes back through the inbox; only
// messages to others leave at once, from the log's goroutine.
func (l *loop) submit() {
	b := l.batch
	if b == nil {
		return
	}
	l.batch = nil
	l.inflight = append(l.inflight, b)
	l.log.Append(kindSections, b.record.finish(), func(pos log.Pos, err error) {
		b.pos, b.err = pos, err
		if err == nil && !l.over.Load() {
			b.remote.flush(l.host.transport)
		}
		l.in.put(func(w *work) bool { w.written = append(w.written, b); return true })
	})
}

// onWritten goes on with what waited for a batch.
func (l *loop) onWritten(b *appendBatch) error {
	if b.err != nil {
		return fmt.Errorf("replica: drive %s: append to raft log: %w", l.drive.ID, b.err)
	}
	if len(l.inflight) == 0 || l.inflight[0] != b {
		return fmt.Errorf("replica: drive %s: raft log answered out of order", l.drive.ID)
	}
	l.inflight = l.inflight[1:]
	l.durable = b.seq
	if b.dead {
		l.deadPos = b.pos.Segment
	}
	for i := range b.parts {
		p := &b.parts[i]
		if p.hard {
			p.r.st.hardPos = b.pos
		}
		for _, e := range p.entries {
			p.r.st.placed(e.at, b.pos, e.offset)
		}
		p.r.st.shrink()
	}
	for _, resp := range b.self {
		l.respond(resp.r, resp.m)
	}
	for _, resp := range b.after {
		l.respond(resp.r, resp.m)
	}
	b.recycle()
	if len(l.free) < maxFreeBatches {
		l.free = append(l.free, b)
	}
	return nil
}

// maxFreeBatches bounds the batches kept for reuse.
const maxFreeBatches = 8

func (b *appendBatch) recycle() {
	b.record.reset()
	clear(b.parts)
	clear(b.self)
	clear(b.after)
	b.parts, b.self, b.after = b.parts[:0], b.self[:0], b.after[:0]
	b.pos, b.err, b.dead = log.Pos{}, nil, false
}
