package replica

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/proto/metapb"
)

// outcome ends a proposal.
type outcome struct {
	result *metapb.Result
	err    error
}

// proposal is a command, or a change of configuration, on its way through the log. Until the
// loop has taken it from the inbox it belongs to the inbox, then to the loop, and from the hand-over
// to the applier on to that.
type proposal struct {
	group uint32
	data  []byte
	conf  *pb.ConfChangeV2
	term  uint64       // the only one in which it may get into the log; 0 = any
	after uint64       // index that was committed before
	at    entryID      // its place, once raft has given it one
	done  chan outcome // has room for one: nobody waits to answer
}

func newProposal(group uint32, data []byte) *proposal {
	return &proposal{group: group, data: data, done: make(chan outcome, 1)}
}

// finish answers; only the first answer counts.
func (p *proposal) finish(o outcome) {
	select {
	case p.done <- o:
	default:
	}
}

func (p *proposal) fail(err error) { p.finish(outcome{err: err}) }

// lost answers that the outcome is unknown.
func (p *proposal) lost() {
	u := &UnknownError{Group: p.group, Index: p.at.index, Term: p.at.term, After: p.after}
	if u.Index == 0 {
		u.Term = p.term
	}
	p.fail(u)
}

// read is a request to be told when a leader has confirmed that it leads, and has applied what was
// committed when the request was made.
type read struct {
	group uint32
	done  chan readOutcome
}

type readOutcome struct {
	replica *replica
	err     error
}

func (r *read) finish(o readOutcome) {
	select {
	case r.done <- o:
	default:
	}
}

// confirmedReads wait for the replica to apply up to index.
type confirmedReads struct {
	index uint64
	reads []*read
}

// onProposals hands the proposals of each group to raft in one message.
func (l *loop) onProposals(all []*proposal) {
	var touched []*replica
	for _, p := range all {
		r := l.replicas[p.group]
		if r == nil || !r.leads() || p.term != 0 && p.term != r.hard.term || r.barred.has(p.data) {
			p.fail(ErrNotLeader)
			continue
		}
		if len(r.incoming) == 0 {
			touched = append(touched, r)
		}
		r.incoming = append(r.incoming, p)
	}
	for _, r := range touched {
		for rest := r.incoming; len(rest) > 0; {
			rest = rest[l.proposeSome(r, rest):]
		}
		clear(r.incoming)
		r.incoming = r.incoming[:0]
		l.touch(r)
	}
}

// proposeSome proposes as many of ps as fit one message and returns how many.
func (l *loop) proposeSome(r *replica, ps []*proposal) int {
	n, size := 0, 0
	for n < len(ps) && (n == 0 || size+len(ps[n].data) <= maxProposalBytes) {
		size += len(ps[n].data)
		n++
	}
	entries := make([]*pb.Entry, n)
	for i, p := range ps[:n] {
		entries[i] = &pb.Entry{Data: p.data}
	}
	err := r.node.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: new(r.id), Entries: entries})
	if err != nil { // not appended: no quorum keeps up, or the leader is about to hand over
		for _, p := range ps[:n] {
			p.fail(ErrOverloaded)
		}
		return n
	}
	r.unplaced = append(r.unplaced, ps[:n]...)
	return n
}

// place pairs the entries that a leader just appended with the proposals they came from: both are in
// the order in which raft took them, and nothing else has data.
func (r *replica) place(entries []*pb.Entry) {
	if len(r.unplaced) == 0 {
		return
	}
	n := 0
	for _, e := range entries {
		if e.GetTerm() != r.hard.term || len(e.GetData()) == 0 {
			continue
		}
		if n == len(r.unplaced) {
			break
		}
		p := r.unplaced[n]
		p.at = entryID{e.GetIndex(), e.GetTerm()}
		r.awaiting = append(r.awaiting, p)
		n++
	}
	rest := copy(r.unplaced, r.unplaced[n:])
	clear(r.unplaced[rest:])
	r.unplaced = r.unplaced[:rest]
}

// claim takes the proposals that committed entries answer; the result is as long as entries, or nil.
func (r *replica) claim(entries []*pb.Entry) []*proposal {
	if len(r.awaiting) == 0 {
		return nil
	}
	var out []*proposal
	for i, e := range entries {
		for len(r.awaiting) > 0 && r.awaiting[0].at.index < e.GetIndex() {
			r.awaiting[0].lost()
			r.awaiting = r.awaiting[1:]
		}
		if len(r.awaiting) == 0 {
			break
		}
		p := r.awaiting[0]
		if p.at.index != e.GetIndex() {
			continue
		}
		r.awaiting = r.awaiting[1:]
		if p.at.term != e.GetTerm() {
			p.lost()
			continue
		}
		if out == nil {
			out = make([]*proposal, len(entries))
		}
		out[i] = p
	}
	return out
}

// abandon answers everyone who waits for a leadership that is over.
func (r *replica) abandon() {
	for _, p := range r.awaiting {
		p.lost()
	}
	for _, p := range r.unplaced {
		p.lost()
	}
	for _, p := range r.incoming {
		p.lost()
	}
	clear(r.unplaced)
	clear(r.incoming)
	r.awaiting, r.unplaced, r.incoming = nil, r.unplaced[:0], r.incoming[:0]
	r.barred = nil // of a term that is over
	for _, q := range r.reads {
		q.finish(readOutcome{err: ErrReadLost})
	}
	for _, q := range r.asking {
		q.finish(readOutcome{err: ErrReadLost})
	}
	clear(r.reads)
	r.reads, r.asking = r.reads[:0], nil
	r.held = r.held[:0]
}

// onReads collects reads; one question a group is on its way at a time, and what comes in
// meanwhile joins the next.
func (l *loop) onReads(all []*read) {
	for _, q := range all {
		r := l.replicas[q.group]
		if r == nil || !r.leads() {
			q.finish(readOutcome{err: ErrNotLeader})
			continue
		}
		r.reads = append(r.reads, q)
		if r.asking == nil {
			l.askSoon = append(l.askSoon, r)
		}
	}
	for _, r := range l.askSoon {
		l.ask(r)
	}
	clear(l.askSoon)
	l.askSoon = l.askSoon[:0]
}

// ask sends the collected reads as one question to the group.
func (l *loop) ask(r *replica) {
	if r.asking != nil || len(r.reads) == 0 {
		return
	}
	r.asking, r.reads = r.reads, nil
	r.question++
	r.node.ReadIndex(encodeQuestion(r.question))
	l.touch(r)
}

// onReadState takes raft's answer to the question.
func (l *loop) onReadState(r *replica, rs raft.ReadState) {
	if r.asking == nil || decodeQuestion(rs.RequestCtx) != r.question {
		return
	}
	confirmed := confirmedReads{index: rs.Index, reads: r.asking}
	r.asking = nil
	if r.applied.Load() >= rs.Index {
		confirmed.release(r)
	} else {
		r.confirmed = append(r.confirmed, confirmed)
	}
	if len(r.reads) > 0 {
		l.ask(r)
	}
}

func (c *confirmedReads) release(r *replica) {
	for _, q := range c.reads {
		q.finish(readOutcome{replica: r})
	}
}

// releaseReads lets those go that waited for the applier.
func (r *replica) releaseReads() {
	applied := r.applied.Load()
	for len(r.confirmed) > 0 && r.confirmed[0].index <= applied {
		r.confirmed[0].release(r)
		r.confirmed = r.confirmed[1:]
	}
}
