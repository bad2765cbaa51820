package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/cluster/gossip"
	"holdfast/cluster/placement"
	"holdfast/internal/id"
	"holdfast/meta/wire"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/proto/metapb"
)

// RemoteDrive is a drive of another node. Its Status is what it was last told.
type RemoteDrive interface {
	node.Drive
	SetStatus(node.Status)
}

// Gossip says which nodes are there; *gossip.Gossip does.
type Gossip interface {
	// Members are all that are known, dead ones too, one a node.
	Members() []gossip.Member
	// Changed is closed when Members changes, and when another node says that the layout has.
	Changed() <-chan struct{}
	// Nudge tells the others that the layout has changed.
	Nudge()
}

// DirectoryConfig is what a Directory is made of.
type DirectoryConfig struct {
	// Self is this node, as it tells the others.
	Self gossip.Node
	// Routes are kept up to date: local drives directly, others by Remote.
	Routes *client.Drives
	// Gossip is nil where there is one process; then Ask and Remote are not used.
	Gossip Gossip
	// Ask is what the drives of the node at an address say of themselves.
	Ask func(ctx context.Context, address string) ([]node.Status, error)
	// Remote is a drive of the node at an address.
	Remote func(address string, drive id.Drive) RemoteDrive
	// WatchInterval is the time between looks at the layout: how late a change is seen at worst.
	// Default 1 s.
	WatchInterval time.Duration
	// PollInterval is the time between questions to a node. Default 2 s; longer in clusters of
	// more than a hundred nodes, see maxPollsPerSecond.
	PollInterval time.Duration
	// PollTimeout is how long a node may take for an answer, half of that if gossip calls it dead.
	// Default 1 s: a node that hangs is not alive after half a second from the word of the gossip, and
	// after 2.5 s of its own, when it failed to answer twice.
	PollTimeout time.Duration
	// Now is the clock; default time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

const (
	// pollAgain is the pause before a node that failed to answer is asked a second time.
	pollAgain = 500 * time.Millisecond
	// lostInterval is the time between questions to a node that answers neither them nor the gossip.
	lostInterval = 10 * time.Second
	// maxPolls is how many nodes are asked at the same time.
	maxPolls = 32
	// maxPollsPerSecond bounds what a large cluster spends on polling.
	maxPollsPerSecond = 50
	// maxDrivesOfNode bounds what is taken from one answer.
	maxDrivesOfNode = 1024
	// watchTimeout bounds one look at the layout: behind an election there is the next look.
	watchTimeout = 5 * time.Second
	// watchPause is the least time between two looks, however often others nudge.
	watchPause = 50 * time.Millisecond
)

func (c *DirectoryConfig) validate() error {
	if c.Self.ID == (id.Node{}) || c.Routes == nil {
		return errors.New("cluster: a Directory needs the node's ID and Routes")
	}
	if c.Gossip != nil && (c.Ask == nil || c.Remote == nil) {
		return errors.New("cluster: a Directory with Gossip needs Ask and Remote")
	}
	for field, value := range map[*time.Duration]time.Duration{&c.WatchInterval: time.Second, &c.PollInterval: 2 * time.Second, &c.PollTimeout: time.Second} {
		if *field <= 0 {
			*field = value
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

var _ wire.Peers = (*Directory)(nil)

// Directory keeps the View of the cluster, and the ways to its drives. Safe for concurrent use.
type Directory struct {
	cfg    DirectoryConfig
	latest atomic.Pointer[snapshot]
	nudged chan struct{} // of room one: the layout is to be looked at
	wake   chan struct{} // of room one: compose anew

	mu    sync.Mutex
	local []node.Drive
}

// snapshot is a View and what is derived from it.
type snapshot struct {
	view       *View
	candidates []placement.Candidate // where shards may go, in the order of the View's drives
	local      []localCandidate
	full       bool
	address    map[id.Drive]string  // of drives of other nodes
	elsewhere  map[id.Drive]id.Node // drives that other nodes have, by their own word
	peers      []wire.Node
	changed    chan struct{} // closed when a snapshot follows that differs in more than free space
}

// localCandidate is a drive of this process among the candidates.
type localCandidate struct {
	drive node.Drive
	index int
	told  bool // healthy as far as its own status went
}

// NewDirectory makes a Directory over the drives of this process. Until Run it knows them alone.
func NewDirectory(cfg DirectoryConfig, local ...node.Drive) (*Directory, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d := &Directory{cfg: cfg, local: local, nudged: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	for _, drive := range local {
		cfg.Routes.Add(drive)
	}
	s := &state{d: d, started: cfg.Now(), routed: map[id.Drive]route{}}
	d.latest.Store(s.compose())
	return d, nil
}

// AddLocal takes in a drive that was opened later, in place of the one that had its ID before.
func (d *Directory) AddLocal(drive node.Drive) {
	name := drive.Status().ID
	d.mu.Lock()
	others := slices.DeleteFunc(slices.Clone(d.local), func(old node.Drive) bool { return old.Status().ID == name })
	d.local = append(others, drive)
	d.mu.Unlock()
	d.cfg.Routes.Add(drive)
	signal(d.wake)
}

func (d *Directory) locals() []node.Drive {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.local
}

// View is the cluster as it is known now. It is not changed.
func (d *Directory) View() *View { return d.latest.Load().view }

// Changed is closed when the View changes in more than the free space of drives.
func (d *Directory) Changed() <-chan struct{} { return d.latest.Load().changed }

// NodeOf is the address of another node that has a drive.
func (d *Directory) NodeOf(drive id.Drive) (address string, ok bool) {
	address, ok = d.latest.Load().address[drive]
	return address, ok
}

// Nodes are the other nodes that have drives.
func (d *Directory) Nodes() []wire.Node { return d.latest.Load().peers }

// elsewhere is the other node that is alive and says that it has a drive.
func (d *Directory) elsewhere(drive id.Drive) (id.Node, bool) {
	n, ok := d.latest.Load().elsewhere[drive]
	return n, ok
}

// Nudge has the layout looked at at once, here and on the other nodes: it was changed.
func (d *Directory) Nudge() {
	signal(d.nudged)
	if d.cfg.Gossip != nil {
		d.cfg.Gossip.Nudge()
	}
}

// WaitLayout returns when the View has a layout of at least this version, and the cluster's record.
func (d *Directory) WaitLayout(ctx context.Context, version uint64) error {
	for {
		s := d.latest.Load()
		if !s.view.Cluster.IsZero() && s.view.Version >= version {
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// signal fills a channel of room one, if it is empty.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run keeps the View until ctx ends.
func (d *Directory) Run(ctx context.Context, metadata Metadata) {
	s := &state{d: d, started: d.cfg.Now(), routed: map[id.Drive]route{}, previous: d.latest.Load(), nodes: map[id.Node]*polled{},
		last: map[id.Drive]node.Status{}, answers: make(chan answer), layouts: make(chan *metapb.ClusterLayout), slots: make(chan struct{}, maxPolls)}
	s.run(ctx, metadata)
}
