package wire_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
	"holdfast/meta/client"
	"holdfast/meta/replica"
	"holdfast/meta/replica/replicatest"
	"holdfast/meta/wire"
	"holdfast/proto/metapb"
)

// cluster is some nodes in one process, each with one drive in memory, and fronts without; each way
// between two of them leads through a proxy.
type cluster struct {
	t     testing.TB
	cfg   replica.Config // without drives and transport
	wire  wire.Config    // without dialer and peers
	plain bool           // no proxies

	mu      sync.Mutex
	nodes   []*node // storage nodes first
	storage int
	proxies map[[2]int]*proxy
	cut     map[[2]int]bool // from, to
	changed chan struct{}
}

type node struct {
	c         *cluster
	i         int
	id        id.Node
	drive     *replicatest.Drive // nil: a front
	rpc       *rpctest.Node
	host      *replica.Host
	transport *wire.Transport
	router    *wire.Router
	client    *client.Client
	received  atomic.Int64 // snapshots
	full      atomic.Bool
	down      bool
	listens   string // guarded by the cluster's mu
}

// countingHost counts snapshots, and may say that its drives are full.
type countingHost struct {
	*replica.Host
	n *node
}

func (h countingHost) Full(group uint32) bool { return h.n.full.Load() || h.Host.Full(group) }

func (h countingHost) Receive(ctx context.Context, head replica.SnapshotHead, next func() ([]byte, error)) error {
	err := h.Host.Receive(ctx, head, next)
	if err == nil {
		h.n.received.Add(1)
	}
	return err
}

type setup struct {
	storage, fronts, factor int
	groups                  uint32
	edit                    func(*cluster)
}

func newCluster(t testing.TB, s setup) *cluster {
	t.Helper()
	c := &cluster{
		t: t, storage: s.storage, proxies: map[[2]int]*proxy{}, cut: map[[2]int]bool{}, changed: make(chan struct{}),
		cfg: replica.Config{Groups: s.groups, Apply: testApply, Answer: testAnswer, Logger: testLogger(t)},
	}
	c.cfg.Beginning = &replica.Beginning{Replicas: s.factor}
	for i := range s.storage + s.fronts {
		n := &node{c: c, i: i, id: id.Node{15: byte(i + 1)}}
		if i < s.storage {
			n.drive = replicatest.NewDrive(i + 1)
			n.drive.KV.AutoFlush = 10
			c.cfg.Beginning.Drives = append(c.cfg.Beginning.Drives, n.drive.ID)
		}
		c.nodes = append(c.nodes, n)
	}
	if s.edit != nil {
		s.edit(c)
	}
	for _, n := range c.nodes {
		n.start()
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.stop()
		}
	})
	c.ready(c.nodes[len(c.nodes)-1])
	c.cfg.Beginning = nil
	return c
}

func (c *cluster) ready(n *node) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if err := n.router.WaitReady(ctx); err != nil {
		c.t.Fatalf("the cluster is not ready: %v", err)
	}
}

// start brings a node up, with what its drive holds.
func (n *node) start() {
	t := n.c.t
	n.rpc = rpctest.New(t, func(cfg *rpc.Config) {
		cfg.Node = n.id
		if n.drive == nil {
			cfg.Role = rpc.Front
		}
	})
	cfg := n.c.wire
	cfg.Dialer, cfg.Peers, cfg.Logger = n.rpc.Pool, peers{n}, n.c.cfg.Logger
	var err error
	if n.transport, err = wire.NewTransport(cfg); err != nil {
		t.Fatal(err)
	}
	hc := n.c.cfg
	hc.Transport = n.transport
	if n.drive != nil {
		n.drive.Restart()
		hc.Drives = []replica.DriveHandle{n.drive.Handle()}
	} else {
		hc.Beginning = nil
	}
	if n.host, err = replica.Open(t.Context(), hc); err != nil {
		t.Fatal(err)
	}
	if n.router, err = wire.NewRouter(cfg, n.host); err != nil {
		t.Fatal(err)
	}
	if n.client, err = client.New(client.Config{Host: n.router}); err != nil {
		t.Fatal(err)
	}
	service, err := wire.NewService(wire.ServiceConfig{Host: countingHost{n.host, n}, Logger: n.c.cfg.Logger})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Register(n.rpc.Server); err != nil {
		t.Fatal(err)
	}
	n.rpc.Serve(t)
	n.c.served(n)
}

// served leads the ways to a node to where it listens now.
func (c *cluster) served(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.down, n.listens = false, n.rpc.Address
	for from := range c.nodes {
		if from == n.i || c.plain {
			continue
		}
		way := [2]int{from, n.i}
		if p := c.proxies[way]; p != nil {
			p.target.Store(&n.rpc.Address)
			p.reset()
		} else {
			c.proxies[way] = newProxy(c.t, n.rpc.Address)
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// stop ends a node as a process ends that is killed, but for its drive, which loses nothing.
func (n *node) stop() {
	if n.down {
		return
	}
	n.down = true
	n.rpc.Stop()
	n.router.Close()
	n.transport.Close()
	_ = n.host.Close()
	n.rpc.Pool.Close()
}

// sever makes the way from one node to another lose everything, or not any more.
func (c *cluster) sever(from, to int, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proxies[[2]int{from, to}].mute[0].Store(on) // its own calls
	c.proxies[[2]int{to, from}].mute[1].Store(on) // its answers
	if !on {
		c.proxies[[2]int{from, to}].reset()
		c.proxies[[2]int{to, from}].reset()
	}
}

// peers is the directory of a node.
type peers struct{ n *node }

func (p peers) address(to *node) (string, bool) {
	c := p.n.c
	if c.plain {
		return to.listens, to.listens != ""
	}
	way := c.proxies[[2]int{p.n.i, to.i}]
	if way == nil {
		return "", false
	}
	return way.address, true
}

func (p peers) NodeOf(drive id.Drive) (string, bool) {
	p.n.c.mu.Lock()
	defer p.n.c.mu.Unlock()
	for _, n := range p.n.c.nodes {
		if n.drive != nil && n.drive.ID == drive && n != p.n {
			return p.address(n)
		}
	}
	return "", false
}

func (p peers) Nodes() (out []wire.Node) {
	p.n.c.mu.Lock()
	defer p.n.c.mu.Unlock()
	for _, n := range p.n.c.nodes {
		if n.drive != nil && n != p.n {
			if a, ok := p.address(n); ok {
				out = append(out, wire.Node{ID: n.id, Address: a, Alive: true})
			}
		}
	}
	return out
}

func (p peers) Changed() <-chan struct{} {
	p.n.c.mu.Lock()
	defer p.n.c.mu.Unlock()
	return p.n.c.changed
}

// leaderOf waits until a node that is up and not among not leads a group, and returns its number.
func (c *cluster) leaderOf(group uint32, not ...int) int {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	next:
		for i, n := range c.nodes[:c.storage] {
			for _, x := range not {
				if i == x {
					continue next
				}
			}
			if !n.down && n.host.Leads(group) {
				return i
			}
		}
	}
	c.t.Fatalf("nobody leads group %d", group)
	return -1
}

func (n *node) put(group uint32, key, value string) error {
	_, err := n.client.Apply(n.c.t.Context(), group, put(key, value))
	return err
}

func (n *node) get(group uint32, key string) (string, error) {
	a, err := n.client.Ask(n.c.t.Context(), group, &metapb.Query{Key: key})
	return a.GetMessage(), err
}

func (n *node) mustPut(group uint32, key, value string) {
	n.c.t.Helper()
	if err := n.put(group, key, value); err != nil {
		n.c.t.Fatalf("put %s: %v", key, err)
	}
}

func (n *node) wants(group uint32, key, value string) {
	n.c.t.Helper()
	if got, err := n.get(group, key); err != nil || got != value {
		n.c.t.Errorf("group %d, %s: %q, %v; want %q", group, key, got, err, value)
	}
}

// testLogger logs to the test, until it is over.
func testLogger(t testing.TB) *slog.Logger {
	w := &testWriter{t: t}
	t.Cleanup(func() { w.mu.Lock(); w.t = nil; w.mu.Unlock() })
	return slog.New(slog.NewTextHandler(w, nil))
}

type testWriter struct {
	mu sync.Mutex
	t  testing.TB
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t != nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}
