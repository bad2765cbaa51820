package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/gossip"
	"holdfast/cluster/notice"
	"holdfast/cluster/operate"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/meta/replica"
	"holdfast/meta/wire"
	"holdfast/node"
	nodeclient "holdfast/node/client"
	nodeserver "holdfast/node/server"
)

// network is this node's way to the others, and theirs to it. It is nil where there is one process.
type network struct {
	cfg       *Config
	self      gossip.Node
	identity  *rpc.Identity
	pool      *rpc.Pool
	listener  net.Listener // until peers serve on it
	peers     *rpc.Server
	serving   chan error
	gossip    *gossip.Gossip
	directory *cluster.Directory
	transport *wire.Transport
	router    *wire.Router
	notices   *notice.Board
	operators operate.Service
	stopWatch func()

	asking   sync.Mutex
	asked    time.Time // when the groups were asked last
	answered error
}

// stopPeers is how long calls of peers may take when the server stops: they go elsewhere.
const stopPeers = 2 * time.Second

// resignPatience is how long handing groups over may take: two elections would not take longer.
const resignPatience = 3 * time.Second

// newNetwork makes this node's certificate and listens for peers, but answers nothing yet.
func newNetwork(cfg *Config, self id.Node, clusterOf func() id.Cluster, role rpc.Role, s3Address string) (_ *network, err error) {
	n := &network{cfg: cfg, self: gossip.Node{ID: self, Name: cfg.Network.Name, Zone: cfg.Network.Zone, S3Address: s3Address, Storage: len(cfg.Data) > 0}}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	if n.listener, err = net.Listen("tcp", cfg.Network.Peer); err != nil {
		return nil, fmt.Errorf("--peer-address: %w", err)
	}
	_, port, err := net.SplitHostPort(n.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	n.self.PeerAddress = net.JoinHostPort(cfg.Network.Advertise, port)
	if n.identity, err = rpc.NewIdentity(rpc.Config{Secret: cfg.Secret, Node: self, Role: role, Cluster: clusterOf, Rand: rand.Reader, Logger: cfg.Logger}); err != nil {
		return nil, err
	}
	if n.pool, err = rpc.NewPool(n.identity, rpc.PoolConfig{}); err != nil {
		return nil, err
	}
	return n, nil
}

// meet begins to gossip, and to know who is there. local are the drives of this process, routes the
// ways to all drives.
func (n *network) meet(clusterID id.Cluster, routes *nodeclient.Drives, seeds func(context.Context) []string) (err error) {
	n.self.Cluster = clusterID
	_, port, err := net.SplitHostPort(n.cfg.Network.Gossip)
	if err != nil {
		return fmt.Errorf("--gossip-address %s: %w", n.cfg.Network.Gossip, err)
	}
	n.gossip, err = gossip.Start(gossip.Config{
		Self: n.self, Secret: n.cfg.Secret, Listen: n.cfg.Network.Gossip, Advertise: net.JoinHostPort(n.cfg.Network.Advertise, port), Seeds: seeds, Logger: n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.directory, err = cluster.NewDirectory(cluster.DirectoryConfig{
		Self: n.self, Routes: routes, Gossip: n.gossip, Logger: n.cfg.Logger,
		Ask: func(ctx context.Context, address string) ([]node.Status, error) {
			return nodeclient.Statuses(ctx, n.pool.Conn(address))
		},
		Remote: n.remote,
	})
	if err != nil {
		return err
	}
	n.transport, err = wire.NewTransport(n.wireConfig())
	return err
}

func (n *network) wireConfig() wire.Config {
	return wire.Config{Dialer: n.pool, Peers: n.directory, Logger: n.cfg.Logger}
}

// remote is a drive of another node.
func (n *network) remote(address string, drive id.Drive) cluster.RemoteDrive {
	r, err := nodeclient.NewRemote(nodeclient.Config{Pool: n.pool, Address: address, Drive: drive})
	if err != nil { // an address and a drive there are: the directory does not ask without
		panic(err)
	}
	return r
}

// serve answers peers: with local drives, and for the groups that have replicas on them. more adds
// further services.
func (n *network) serve(local *nodeclient.Drives, host *replica.Host, more ...func(*rpc.Server) error) error {
	drives, err := nodeserver.New(nodeserver.Config{Node: n.self.ID, Drives: local, Logger: n.cfg.Logger})
	if err != nil {
		return err
	}
	groups, err := wire.NewService(wire.ServiceConfig{Host: host, Logger: n.cfg.Logger})
	if err != nil {
		return err
	}
	if n.router, err = wire.NewRouter(n.wireConfig(), host); err != nil {
		return err
	}
	return n.answer(func(r *rpc.Server) error {
		err := errors.Join(drives.Register(r), groups.Register(r))
		for _, register := range more {
			err = errors.Join(err, register(r))
		}
		return err
	})
}

// answer begins to answer peers with the services that register adds.
func (n *network) answer(register func(*rpc.Server) error) (err error) {
	l := n.listener
	if l == nil { // an earlier server had it
		if l, err = net.Listen("tcp", n.cfg.Network.Peer); err != nil {
			return fmt.Errorf("--peer-address: %w", err)
		}
	}
	n.listener = nil
	if n.peers, err = rpc.NewServer(n.identity, rpc.ServerConfig{}); err == nil {
		err = register(n.peers)
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	n.serving = make(chan error, 1)
	go func() { n.serving <- n.peers.Serve(l) }()
	return nil
}

// watch keeps the directory until the network stops.
func (n *network) watch(metadata cluster.Metadata) {
	n.stopWatch = inBackground(func(ctx context.Context) { n.directory.Run(ctx, metadata) })
}

// suspect tells the groups of drives whose node does not answer, so that they look for new leaders
// before raft would.
func (n *network) suspect(ctx context.Context, host *replica.Host) {
	silent := map[id.Drive]bool{}
	for {
		changed := n.directory.Changed()
		var news []id.Drive
		for _, d := range n.directory.View().Drives {
			if d.Alive || d.Local {
				delete(silent, d.ID)
			} else if !silent[d.ID] {
				silent[d.ID] = true
				news = append(news, d.ID)
			}
		}
		if len(news) > 0 {
			host.Suspect(news)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// full reports whether a drive has reached its reserve, as far as is known here.
func (n *network) full(d id.Drive) bool {
	drives := n.directory.View().Drives
	i := slices.IndexFunc(drives, func(v cluster.DriveView) bool { return v.ID == d })
	return i >= 0 && drives[i].Status.ReadOnly
}

// leaderless says why not every group answers; nil if they do. It asks once a second at most.
func (n *network) leaderless(ctx context.Context) error {
	n.asking.Lock()
	defer n.asking.Unlock()
	if time.Since(n.asked) > time.Second {
		n.answered = n.router.WaitReady(ctx)
		n.asked = time.Now()
	}
	return n.answered
}

// fleet is how all drives of the cluster are, as far as is known here.
func (n *network) fleet() []node.Status {
	var all []node.Status
	for _, d := range n.directory.View().Drives {
		st := d.Status
		st.ID, st.Out = d.ID, st.Out || !d.Alive
		all = append(all, st)
	}
	return all
}

// members are the drives with a replica of each group, wherever it is led.
func (n *network) members(ctx context.Context) map[uint32][]id.Drive {
	return upkeep.MembersOf(n.router.Status(ctx).Groups)
}

// sight is who is there, for a log line.
func (n *network) sight() string {
	var here, away []string
	for _, node := range n.directory.View().Nodes {
		name := cmp.Or(node.Name, node.ID.String())
		if node.Alive {
			here = append(here, name)
		} else {
			away = append(away, name)
		}
	}
	return fmt.Sprintf("here: %s; away: %s", strings.Join(here, ", "), cmp.Or(strings.Join(away, ", "), "none known"))
}

// resign hands the groups that are led here over.
func (n *network) resign(host *replica.Host) {
	ctx, cancel := context.WithTimeout(context.Background(), resignPatience)
	defer cancel()
	host.Resign(ctx)
}

// leave tells the others that this node goes, before it is gone.
func (n *network) leave() {
	if n.gossip != nil {
		if err := n.gossip.Leave(); err != nil {
			n.cfg.Logger.Warn("the other nodes may not know that this one stops", "error", err)
		}
	}
}

// stopServing ends what peers ask of this node; its own way to them stays.
func (n *network) stopServing() {
	if n.peers == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPeers)
	defer cancel()
	n.peers.Stop(ctx)
	if err := <-n.serving; err != nil {
		n.cfg.Logger.Error("answering the other nodes ended early", "error", err)
	}
	n.peers = nil
}

// stop ends everything that is left.
func (n *network) stop() error {
	var errs []error
	n.stopServing()
	if n.stopWatch != nil {
		n.stopWatch()
	}
	if n.router != nil {
		n.router.Close()
	}
	if n.transport != nil {
		n.transport.Close()
	}
	if n.gossip != nil {
		errs = append(errs, n.gossip.Close())
	}
	if n.pool != nil {
		n.pool.Close()
	}
	if n.listener != nil {
		errs = append(errs, n.listener.Close())
	}
	return errors.Join(errs...)
}
