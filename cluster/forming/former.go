package forming

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/proto/formpb"
)

// Former is one node's part in the forming, and afterwards what tells newcomers of the cluster. Safe
// for concurrent use.
type Former struct {
	cfg  Config
	wake chan struct{} // of room one: something was decided

	mu        sync.Mutex
	saved     *formpb.Saved // as on stable storage
	member    id.Cluster
	sights    map[id.Node]*sight
	addresses map[string]*try
	verdicts  map[id.Node]formpb.Hello_Verdict // of the accepted plan, by answers after its acceptance
	accepted  time.Time                        // when it was
	notBefore time.Time                        // the next plan of this node
	settling  string                           // who was in sight at the last round
	said      time.Time
}

// sight is what a node said last.
type sight struct {
	hello *formpb.Hello
	at    time.Time
}

// try is how the last call to an address went.
type try struct {
	err  error
	self bool // it is this node
	node id.Node
	// gossip is its address there, next when it is asked for that again.
	gossip string
	next   time.Time
}

// New makes a Former that goes on where the last start stopped. It answers; Run does the rest.
func New(cfg Config) (*Former, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	f := &Former{cfg: cfg, wake: make(chan struct{}, 1), saved: &formpb.Saved{}, member: cfg.Cluster,
		sights: map[id.Node]*sight{}, addresses: map[string]*try{}, verdicts: map[id.Node]formpb.Hello_Verdict{}}
	for _, a := range cfg.Join {
		f.learn(a)
	}
	if cfg.Store == nil {
		return f, nil
	}
	saved, err := cfg.Store.Load()
	if err != nil {
		return nil, err
	}
	if saved != nil {
		f.saved = saved
	}
	return f, f.resume()
}

// resume takes up what was written down.
func (f *Former) resume() error {
	p := f.saved.Plan
	if p == nil {
		return nil
	}
	plan, err := planOf(p)
	if err != nil {
		return fmt.Errorf("forming: the plan that was written down: %w", err)
	}
	if f.saved.Phase == formpb.Phase_COMMITTED && plan.Cluster == f.member {
		f.member = id.Cluster{} // its drives are formatted, but Settle was not called
	}
	f.accepted = time.Now()
	for _, n := range p.Nodes {
		f.learn(n.Info.GetPeerAddress())
	}
	return nil
}

// learn takes in an address to call. The lock is held, or nobody else is there yet.
func (f *Former) learn(address string) {
	if address == "" || address == f.cfg.Self.PeerAddress || len(f.addresses) >= maxAddresses || len(address) > 261 {
		return
	}
	if f.addresses[address] == nil {
		f.addresses[address] = &try{}
	}
}

// phase is where this node is. The lock is held.
func (f *Former) phase() formpb.Phase {
	if !f.member.IsZero() {
		return formpb.Phase_MEMBER
	}
	if f.saved.Phase == formpb.Phase_MEMBER { // of a cluster whose drives are not here any more
		return formpb.Phase_IDLE
	}
	return f.saved.Phase
}

// hello is what this node says now. The lock is held.
func (f *Former) hello() *formpb.Hello {
	s := f.cfg.Self
	h := &formpb.Hello{
		Self:   &formpb.Info{Id: s.ID[:], Name: s.Name, Zone: s.Zone, PeerAddress: s.PeerAddress, GossipAddress: s.GossipAddress, S3Address: s.S3Address, Paths: s.Paths},
		Expect: uint32(f.cfg.Expect), K: uint32(f.cfg.Scheme.K), M: uint32(f.cfg.Scheme.M), Phase: f.phase(),
	}
	switch h.Phase {
	case formpb.Phase_MEMBER:
		h.Cluster = f.member[:]
	case formpb.Phase_ACCEPTED, formpb.Phase_COMMITTED:
		h.PlanId, h.Cluster = f.saved.Plan.Id, f.saved.Plan.Cluster
	}
	for a := range f.addresses {
		h.Known = append(h.Known, a)
	}
	slices.Sort(h.Known)
	return h
}

// judge says what this node knows of a plan that another has accepted. The lock is held.
func (f *Former) judge(planID, cluster []byte) formpb.Hello_Verdict {
	phase := f.phase()
	switch {
	case len(planID) == 0:
		return formpb.Hello_UNASKED
	case phase == formpb.Phase_MEMBER && bytes.Equal(f.member[:], cluster):
		return formpb.Hello_HOLDS
	case phase != formpb.Phase_ACCEPTED && phase != formpb.Phase_COMMITTED, !bytes.Equal(f.saved.Plan.Id, planID):
		return formpb.Hello_UNKNOWN
	case phase == formpb.Phase_COMMITTED:
		return formpb.Hello_HOLDS
	}
	return formpb.Hello_PENDING
}

// hear takes in what another node says of itself. The lock is held.
func (f *Former) hear(h *formpb.Hello) (id.Node, error) {
	n, err := id.FromBytes[id.Node](h.GetSelf().GetId())
	if err != nil || len(h.Self.Paths) > maxPaths || len(h.Known) > maxAddresses {
		return n, fmt.Errorf("forming: a greeting that makes no sense")
	}
	if n == f.cfg.Self.ID {
		return n, nil
	}
	if f.sights[n] == nil && len(f.sights) >= maxAddresses {
		return n, fmt.Errorf("forming: more than %d nodes", maxAddresses)
	}
	f.sights[n] = &sight{hello: h, at: time.Now()}
	f.learn(h.Self.PeerAddress)
	if f.phase() != formpb.Phase_MEMBER { // a member calls nobody
		for _, a := range h.Known {
			f.learn(a)
		}
	}
	return n, nil
}

// write puts a phase down for good. The lock is held.
func (f *Former) write(phase formpb.Phase, plan *formpb.Plan) error {
	next := &formpb.Saved{Sequence: f.saved.Sequence + 1, Phase: phase, Plan: plan}
	if err := f.cfg.Store.Save(proto.CloneOf(next)); err != nil {
		return fmt.Errorf("forming: write down the plan: %w", err)
	}
	f.saved = next
	if phase == formpb.Phase_ACCEPTED {
		f.accepted = time.Now()
		clear(f.verdicts)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
}

// Settle notes that this node belongs to the cluster: its drives are formatted, and the groups on
// them have begun. From then on it tells newcomers so, and the next start forms nothing.
func (f *Former) Settle(cluster id.Cluster) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.saved.Phase == formpb.Phase_COMMITTED {
		if err := f.write(formpb.Phase_MEMBER, nil); err != nil {
			return err
		}
	}
	f.member = cluster
	return nil
}

func nodeName(i *formpb.Info) string {
	name := i.GetName()
	if name == "" {
		name = fmt.Sprintf("%x", i.GetId())
	}
	return fmt.Sprintf("%s (%s)", name, i.GetPeerAddress())
}
