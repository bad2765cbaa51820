package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// Router reaches the groups wherever they are led. Safe for concurrent use.
type Router struct {
	cfg    Config
	host   Host
	life   context.Context // ends with Close
	cancel context.CancelFunc
	seats  []seat // by group
	search search
	counts routerCounts

	mu      sync.Mutex
	callers map[string]*caller // by address
	changed chan struct{}      // closed and made anew when a leader, or where drives are, changed
	ended   chan struct{}      // closed when the watcher has ended
}

// seat is what is remembered of a group that is led elsewhere.
type seat struct {
	leader atomic.Pointer[leader]
	// committed is the highest index that was heard of.
	committed atomic.Uint64
	// fullUntil is how long the group is taken for full, in Unix nanoseconds.
	fullUntil atomic.Int64
}

type leader struct {
	address string
	sure    bool   // it said so itself
	term    uint64 // in which it leads; 0: not known
}

const (
	// maxHops bounds the nodes that one attempt asks; client.Client makes another soon.
	maxHops = 4
	// fullFor is how long it is believed that a group's drives are full: after it a command may try.
	fullFor = 2 * time.Second
)

// NewRouter makes a Router. host is this process's, also if it has no replicas.
func NewRouter(cfg Config, host Host) (*Router, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if host == nil {
		return nil, errors.New("wire: a Router needs a Host")
	}
	r := &Router{
		cfg: cfg, host: host, seats: make([]seat, host.Groups()+1),
		callers: map[string]*caller{}, changed: make(chan struct{}), ended: make(chan struct{}),
	}
	r.life, r.cancel = context.WithCancel(context.Background())
	go r.watch()
	return r, nil
}

// Close ends all streams. Whoever still waits gets an error.
func (r *Router) Close() {
	r.cancel()
	<-r.ended
	r.mu.Lock()
	defer r.mu.Unlock()
	for address, c := range r.callers {
		c.close(replica.ErrClosed)
		delete(r.callers, address)
	}
}

// watch passes changes on, and forgets leaders on nodes that have gone.
func (r *Router) watch() {
	defer close(r.ended)
	for {
		host, peers := r.host.Changed(), r.cfg.Peers.Changed()
		select {
		case <-host:
		case <-peers:
			r.forgetGone()
		case <-r.life.Done():
			return
		}
		r.broadcast()
	}
}

func (r *Router) broadcast() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Changed returns a channel that is closed when a leader, or where drives are, changes next.
func (r *Router) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// forgetGone drops leaders and callers of nodes that are gone, and leaders on those that are not alive.
func (r *Router) forgetGone() {
	known, alive := map[string]bool{}, map[string]bool{}
	for _, n := range r.cfg.Peers.Nodes() {
		known[n.Address] = true
		alive[n.Address] = alive[n.Address] || n.Alive
	}
	for i := range r.seats {
		if l := r.seats[i].leader.Load(); l != nil && !alive[l.address] {
			r.seats[i].leader.CompareAndSwap(l, nil)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for address, c := range r.callers {
		if !known[address] && c.idle() {
			delete(r.callers, address)
			c.close(errGone)
		}
	}
}

var errGone = errors.New("it left the cluster")

func (r *Router) caller(address string) *caller {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.callers[address]
	if c == nil {
		c = newCaller(r.life, &r.cfg, &r.counts, address)
		r.callers[address] = c
	}
	return c
}

// Groups is the number of object groups.
func (r *Router) Groups() uint32 { return r.host.Groups() }

// Full reports whether the group's drives have reached their reserve, as its leader said lately.
func (r *Router) Full(group uint32) bool {
	if r.host.Full(group) {
		return true
	}
	return int(group) < len(r.seats) && r.seats[group].fullUntil.Load() > time.Now().UnixNano()
}

// Propose makes one attempt at the leader. Errors of kind NotLeader and replica.ErrOverloaded mean that
// nothing happened. *replica.UnknownError, and ctx's, mean that it may have.
func (r *Router) Propose(ctx context.Context, group uint32, command []byte) (*metapb.Result, error) {
	res, err := r.host.Propose(ctx, group, command)
	if !kind.Is(err, kind.NotLeader) {
		return res, err
	}
	if len(command) == 0 || len(command) > replica.MaxCommand {
		return nil, fmt.Errorf("wire: command of %d bytes", len(command))
	}
	a, err := r.remote(ctx, request{op: opPropose, group: group, payload: command})
	if err != nil {
		return nil, err
	}
	res = &metapb.Result{}
	if err := proto.Unmarshal(a.payload, res); err != nil { // it did happen; what came of it is lost
		return nil, &replica.UnknownError{Group: group}
	}
	return res, nil
}

// Ask answers a query, linearizably, at the leader.
func (r *Router) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	a, err := r.host.Ask(ctx, group, q)
	if !kind.Is(err, kind.NotLeader) {
		return a, err
	}
	payload, err := proto.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("wire: encode query: %w", err)
	}
	got, err := r.remote(ctx, request{op: opAsk, group: group, payload: payload})
	if err != nil {
		return nil, err
	}
	return decodeAnswer(got.payload)
}

func decodeAnswer(payload []byte) (*metapb.Answer, error) {
	a := &metapb.Answer{}
	if err := proto.Unmarshal(payload, a); err != nil {
		return nil, fmt.Errorf("wire: decode answer: %w", err)
	}
	return a, nil
}

// Outcome asks the leader of now what became of a proposal.
func (r *Router) Outcome(ctx context.Context, u *replica.UnknownError) (result *metapb.Result, known bool, err error) {
	result, known, err = r.host.Outcome(ctx, u)
	if !kind.Is(err, kind.NotLeader) {
		return result, known, err
	}
	a, err := r.remote(ctx, request{op: opOutcome, group: u.Group, payload: unknownPayload(u)})
	if err != nil {
		return nil, false, err
	}
	return decodeOutcome(a.payload)
}

// MoveReplica has a group's leader put a replica on another drive in place of one; see replica.Host.
func (r *Router) MoveReplica(ctx context.Context, group uint32, from, to id.Drive) error {
	if int(group) >= len(r.seats) {
		return fmt.Errorf("wire: no group %d", group)
	}
	if r.host.Leads(group) {
		return r.host.MoveReplica(ctx, group, from, to)
	}
	payload := append(append(make([]byte, 0, 2*id.Size), from[:]...), to[:]...)
	_, err := r.remote(ctx, request{op: opMove, group: group, payload: payload})
	return err
}

// remote sends a request to the node that leads the group: the remembered one, or whoever others
// name, or one found by asking around.
func (r *Router) remote(ctx context.Context, q request) (answer, error) {
	if int(q.group) >= len(r.seats) {
		return answer{}, fmt.Errorf("wire: no group %d", q.group)
	}
	var tried []string
	for range maxHops {
		c := r.find(ctx, q.group, q.op, tried)
		if c == nil {
			break
		}
		one, lost := r.bind(c, q)
		a, err := c.do(ctx, one)
		if err == nil {
			r.learn(q.group, c.address, &a)
			if a.status != statusNotLeader || r.claims(c.address, &a) {
				return a, a.err()
			}
		} else if err := r.missed(ctx, c, &one, lost, err); err != nil {
			return answer{}, err
		}
		tried = append(tried, c.address)
	}
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	return answer{}, replica.ErrNotLeader
}

// bind makes a command one for the term in which the node leads, if that is known: then another node can
// tell what became of it, if it is lost. The error is for that case.
func (r *Router) bind(c *caller, q request) (request, *replica.UnknownError) {
	s := &r.seats[q.group]
	lost := &replica.UnknownError{Group: q.group}
	if l := s.leader.Load(); q.op == opPropose && l != nil && l.address == c.address && l.term != 0 {
		lost.Term, lost.After = l.term, s.committed.Load()
		payload := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(q.payload)), l.term)
		q.op, q.payload = opProposeIn, append(payload, q.payload...)
	}
	return q, lost
}

// missed decides what it means that a node gave no answer: nil if the request may be sent to another.
func (r *Router) missed(ctx context.Context, c *caller, q *request, lost *replica.UnknownError, err error) error {
	switch {
	case errors.Is(err, replica.ErrOverloaded):
		return replica.ErrOverloaded
	case errors.Is(err, errLost) && !q.op.again():
		r.forget(q.group, c.address)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.counts.unknown.Add(1)
		return lost
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.forget(q.group, c.address)
	return nil
}

// learn remembers what an answer says about the group.
func (r *Router) learn(group uint32, address string, a *answer) {
	s := &r.seats[group]
	if a.led.term != 0 {
		s.heard(address, a.led)
	}
	if a.status == statusNotLeader {
		if r.claims(address, a) {
			return
		}
		r.forget(group, address)
		if hinted, ok := r.hinted(a); ok {
			s.leader.CompareAndSwap(nil, &leader{address: hinted})
		}
		return
	}
	if l := s.leader.Load(); a.led.term == 0 && (l == nil || l.address != address || !l.sure) {
		s.leader.CompareAndSwap(l, &leader{address: address, sure: true})
	}
	if a.full {
		s.fullUntil.Store(time.Now().Add(fullFor).UnixNano())
	} else if s.fullUntil.Load() != 0 {
		s.fullUntil.Store(0)
	}
}

// heard remembers what a node says of its own leadership, unless somebody is known to lead in a later
// term. It reports whether that was news.
func (s *seat) heard(address string, p post) (news bool) {
	for c := s.committed.Load(); c < p.committed && !s.committed.CompareAndSwap(c, p.committed); {
		c = s.committed.Load()
	}
	l := s.leader.Load()
	if l != nil && (l.term > p.term || *l == leader{address, true, p.term}) {
		return false
	}
	return s.leader.CompareAndSwap(l, &leader{address, true, p.term}) && (l == nil || l.address != address)
}

// hinted is where the leader is that an answer names.
func (r *Router) hinted(a *answer) (address string, ok bool) {
	drive, err := id.FromBytes[id.Drive](a.payload)
	if err != nil {
		return "", false
	}
	return r.cfg.Peers.NodeOf(drive)
}

// claims reports whether a node that could not serve a request says that it leads all the same: it
// has just begun, or is not sure any more. Nobody else knows better.
func (r *Router) claims(address string, a *answer) bool {
	hinted, ok := r.hinted(a)
	return a.led.term != 0 || ok && hinted == address
}

// forget drops a remembered leader.
func (r *Router) forget(group uint32, address string) {
	s := &r.seats[group]
	if l := s.leader.Load(); l != nil && l.address == address {
		s.leader.CompareAndSwap(l, nil)
	}
}
