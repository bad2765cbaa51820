package replica

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
)

// loop drives all replicas on one drive from one goroutine.
type loop struct {
	host  *Host
	cfg   *Config
	drive DriveHandle
	log   Log
	in    *inbox
	work  *work // of this turn

	life   context.Context // ends with the drive's part in the host
	cancel context.CancelFunc
	*gate  // entered by whoever uses the drive from another goroutine

	apply *applier

	replicas map[uint32]*replica
	halted   map[uint32]haltedReplica
	dead     map[uint32]deadReplica // by group, the highest raft ID that must not come back here
	deadPos  uint64                 // segment that has them all written in or behind it; 0 = not known
	dirty    []*replica
	askSoon  []*replica
	out      outbox
	late     lateBox

	batch    *appendBatch   // being filled
	inflight []*appendBatch // at the log, in order
	free     []*appendBatch
	seq      uint64 // of the newest batch
	durable  uint64 // of the newest batch on stable storage

	over     atomic.Bool // the loop has ended: nothing is sent in its name any more
	full     atomic.Bool // the drive has reached its reserve
	tick     uint64
	sending  int // snapshots on their way out
	stopping bool
	trim     trimmer
	stopped  chan struct{}

	nextRange atomic.Uint64
	orphans   []uint64    // ranges found without an owner
	sweeps    chan uint64 // ranges to delete
	cuts      chan uint64 // segments to cut the log before
	looks     chan struct{}
	swept     chan struct{}
}

// deadReplica is a raft ID that a drive must not use again.
type deadReplica struct {
	raftID uint64
	lost   bool // its state in the KV is kept until another replica takes its place
}

// maxSweeps bounds the dead ranges that wait for the janitor.
const maxSweeps = 256

func newLoop(h *Host, d DriveHandle) *loop {
	l := &loop{
		host: h, cfg: &h.cfg, drive: d, in: newInbox(&h.cfg),
		replicas: map[uint32]*replica{}, halted: map[uint32]haltedReplica{}, dead: map[uint32]deadReplica{},
		stopped: make(chan struct{}), swept: make(chan struct{}),
		sweeps: make(chan uint64, maxSweeps), cuts: make(chan uint64, 1), looks: make(chan struct{}, 1),
	}
	l.gate = newGate()
	l.life, l.cancel = context.WithCancel(h.life)
	l.apply = newApplier(l)
	return l
}

// start sets the loop going. Replicas campaign at once or a little later, by rank, so that the
// first elections do not wait for a timeout and leaders are spread over the drives.
func (l *loop) start() {
	for group, r := range l.replicas {
		if _, led := l.host.LeaderHint(group); !led {
			l.campaignByRank(r, nil)
		}
	}
	for _, rangeID := range l.orphans {
		l.sweep(rangeID)
	}
	go l.apply.run()
	go l.janitor()
	go l.run()
	l.in.signal()
	l.in.call(func(l *loop) {
		for _, r := range l.replicas {
			if r.campaignAt == l.tick+1 {
				r.campaignAt = 0
				l.campaign(r)
			}
		}
	})
}

// rankTicks is the distance in ticks between the campaigns of two ranks: time for an election.
const rankTicks = 2

// campaignByRank plans a campaign. Of the voters that are not on drives known to be out the one with
// the lowest raft ID comes first: placement rotates these over the drives.
func (l *loop) campaignByRank(r *replica, out map[id.Drive]bool) {
	rank := uint64(0)
	for _, voter := range r.config.voters() {
		if voter == r.id {
			r.campaignAt = l.tick + 1 + rank*rankTicks
			return
		}
		if !out[r.config.members[voter]] {
			rank++
		}
	}
}

// shutDown is the end of the loop: nobody is left waiting.
func (l *loop) shutDown(err error) {
	l.over.Store(true)
	if err != nil {
		l.cfg.Logger.Error("drive out of its groups", "drive", l.drive.ID, "error", err)
		if l.drive.Fail != nil {
			l.drive.Fail(err)
		}
	}
	for _, r := range l.replicas {
		l.silence(r)
	}
	if l.work != nil { // of a turn that was cut short; who has an answer already does not mind
		for _, p := range l.work.proposals {
			if l.work.handed {
				p.lost()
			} else {
				p.fail(ErrNotLeader)
			}
		}
		for _, q := range l.work.reads {
			q.finish(readOutcome{err: ErrReadLost})
		}
	}
	rest := l.in.close()
	for _, p := range rest.proposals {
		p.fail(ErrNotLeader)
	}
	for _, q := range rest.reads {
		q.finish(readOutcome{err: ErrNotLeader})
	}
	l.apply.close()
	l.host.loopEnded(l, err)
}

// run is the loop's goroutine.
func (l *loop) run() {
	defer close(l.stopped)
	err := l.turns()
	l.shutDown(err)
}

func (l *loop) turns() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("replica: drive %s: %v\n%s", l.drive.ID, p, debug.Stack())
		}
	}()
	for range l.in.wake {
		for w := l.in.take(); w != nil; w = l.in.take() {
			l.work = w
			if err := l.turn(w); err != nil || l.stopping {
				return err
			}
		}
	}
	return nil
}

// turn does one helping of work. Requests come last, when the messages before them have had their
// effect: so that a leader takes proposals only if it still leads, and what it appends is seen in
// its next Ready under the same term.
func (l *loop) turn(w *work) error {
	for _, b := range w.written {
		if err := l.onWritten(b); err != nil {
			return err
		}
	}
	for i := range w.applied {
		if err := l.onApplied(&w.applied[i]); err != nil {
			return err
		}
	}
	for i := range w.messages {
		l.onMessage(&w.messages[i])
	}
	for _, f := range w.calls {
		f(l)
	}
	for range w.ticks {
		if err := l.onTick(); err != nil {
			return err
		}
	}
	l.drain()
	w.handed = true
	l.onProposals(w.proposals)
	l.onReads(w.reads)
	l.drain()
	if l.late.bytes > maxLateBytes {
		l.late.release(l)
	}
	l.out.flush(l.host.transport)
	l.submit()
	return nil
}

// touch notes that a replica may have something ready.
func (l *loop) touch(r *replica) {
	if !r.dirty && !r.gone {
		r.dirty = true
		l.dirty = append(l.dirty, r)
	}
}

// drain works off what the touched replicas have ready.
func (l *loop) drain() {
	for i := 0; i < len(l.dirty); i++ { // handling one may touch others
		r := l.dirty[i]
		r.dirty = false
		for !r.gone && r.node.HasReady() {
			l.ready(r)
		}
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
}

// ready carries out what raft asks for.
func (l *loop) ready(r *replica) {
	rd := r.node.Ready()
	if !raft.IsEmptyHardState(rd.HardState) {
		next := hardState{rd.HardState.GetTerm(), rd.HardState.GetVote(), rd.HardState.GetCommit()}
		if next.term != r.hard.term {
			r.abandon()
		}
		r.hard = next
	}
	if rd.SoftState != nil {
		l.onSoftState(r, rd.SoftState)
	}
	for _, rs := range rd.ReadStates {
		l.onReadState(r, rs)
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			l.onStorageAppend(r, m)
		case raft.LocalApplyThread:
			l.onStorageApply(r, m)
		default:
			l.send(r, m)
		}
	}
}

func (l *loop) onSoftState(r *replica, s *raft.SoftState) {
	led := r.leads()
	r.lead, r.state = s.Lead, s.RaftState
	switch {
	case r.leads() && !led:
		r.campaignAt, r.termStart = 0, r.st.last()+1
		r.beginLeading(l.tick)
		l.host.leads(l, r)
	case !r.leads() && led:
		r.abandon()
		r.termStart = 0
		l.host.resigns(l, r)
	}
	drive, known := r.driveOf(s.Lead)
	if l.host.hint(l, r, drive); known {
		r.campaignAt, r.suspects, r.heardLeader = 0, nil, l.tick
	}
}

// send addresses a message of raft's.
func (l *loop) send(r *replica, m *pb.Message) {
	to := m.GetTo()
	switch m.GetType() {
	case pb.MsgSnap:
		l.sendSnapshot(r, m)
		return
	case pb.MsgApp:
		if len(m.GetEntries()) == 0 {
			r.hold(m)
			return
		}
		r.unhold(to)
		if r.late.has(to) {
			l.late.add(r, m)
			return
		}
	}
	l.post(r, m)
}

func (l *loop) post(r *replica, m *pb.Message) {
	drive, ok := r.driveOf(m.GetTo())
	if !ok {
		return
	}
	l.out.add(Message{
		Group: r.group, From: l.drive.ID, To: drive, Raft: m,
		Learner: r.leads() && r.config.isLearner(m.GetTo()),
	})
}

// hold keeps an append message without entries, which only tells a new commit index, until the
// next tick: mostly the next entries overtake it, and that halves the messages of a write.
func (r *replica) hold(m *pb.Message) {
	r.unhold(m.GetTo())
	r.held = append(r.held, m)
}

func (r *replica) unhold(to uint64) {
	r.held = slices.DeleteFunc(r.held, func(m *pb.Message) bool { return m.GetTo() == to })
}

func (l *loop) releaseHeld(r *replica) {
	for _, m := range r.held {
		l.post(r, m)
	}
	clear(r.held)
	r.held = r.held[:0]
}

// onTick is raft's clock for every replica on the drive.
func (l *loop) onTick() error {
	l.tick++
	if l.drive.Failed != nil {
		if err := l.drive.Failed(); err != nil {
			return err
		}
	}
	l.late.release(l)
	for _, r := range l.replicas {
		l.divide(r)
		l.releaseHeld(r)
		l.checkSuspicion(r)
		if r.campaignAt != 0 && l.tick >= r.campaignAt {
			r.campaignAt = 0
			l.campaign(r)
		}
		r.node.Tick()
		l.touch(r)
	}
	l.maintain()
	return nil
}

// campaign asks for votes now, if no leader is known. With PreVote it disturbs nobody.
func (l *loop) campaign(r *replica) {
	if r.lead == raft.None && r.config.isVoter(r.id) {
		if err := r.node.Campaign(); err != nil {
			l.cfg.Logger.Debug("campaign", "group", r.group, "error", err)
		}
		l.touch(r)
	}
}

// onMessage takes a message from a replica on another drive.
func (l *loop) onMessage(m *Message) {
	r := l.replicas[m.Group]
	if m.Gone != 0 {
		if r != nil && r.id == m.Gone {
			l.drop(r, "it left the group")
		}
		return
	}
	if m.Ask != 0 {
		if r != nil && r.config.gone(m.Ask) {
			r.removed(m.Ask, m.From)
		}
		return
	}
	to, from := m.Raft.GetTo(), m.Raft.GetFrom()
	if r == nil || r.id < to {
		if r = l.begin(m, r); r == nil {
			l.answerLost(m)
			return
		}
	}
	if r.id != to {
		return
	}
	if m.Raft.GetType() == pb.MsgUnreachable { // ours: see Message
		if len(m.Raft.GetContext()) > 0 {
			l.onSpare(r, m)
		} else {
			r.onLost(m)
		}
		return
	}
	r.hears(from, l.tick)
	if r.config.gone(from) {
		r.removed(from, m.From)
		return
	}
	if !r.config.has(from) {
		if r.peers == nil {
			r.peers = make(map[uint64]id.Drive)
		}
		r.peers[from] = m.From
	}
	if m.Raft.GetType() == pb.MsgSnap {
		l.stepSnapshot(r, m)
		return
	}
	_ = r.node.Step(m.Raft) // errors say that raft has no use for the message
	l.touch(r)
}
