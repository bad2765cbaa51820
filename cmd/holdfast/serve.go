package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"holdfast/api/access"
	"holdfast/api/admin"
	"holdfast/api/s3"
	"holdfast/api/sigv4"
	"holdfast/cluster"
	"holdfast/cluster/rebalance"
	"holdfast/cluster/repair"
	"holdfast/erasure"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/listen"
	"holdfast/internal/telemetry"
	"holdfast/meta/client"
	"holdfast/node"
	nodeclient "holdfast/node/client"
	"holdfast/object"
)

// started is what a server tells once it is ready.
type started struct {
	address string // it listens on
	ca      string // file of the certificate to trust; "" when the operator brought a certificate
	drives  int
	scheme  erasure.Scheme
}

// server is a running Holdfast: every package, wired.
type server struct {
	cfg     Config
	metrics *telemetry.Metrics
	front   *front

	http       *http.Server
	directory  *cluster.Directory
	network    *network       // nil where there is one process
	first      erasure.Scheme // of a cluster that is formed now
	settle     func() error   // forgets the plan that the cluster was formed by
	address    string         // that is listened on
	engine     atomic.Pointer[object.Engine]
	register   func(context.Context) (cluster.State, error) // tells the layout of the drives here
	stopUpkeep func()
	stopAccess func() // who may do what is asked for no more
	closeKeys  func() // forgets the master keys
	stopWatch  func() // of the directory, where there is one process

	mu   sync.Mutex
	core *core // nil until the drives are open
}

// core is what lies behind HTTP.
type core struct {
	storage   *storage
	drives    *nodeclient.Drives // all that are reached
	placer    cluster.Placer
	meta      *client.Client
	fanout    *fanout.Fanout
	repair    *repair.Repairer      // nil until the system group has answered
	rebalance *rebalance.Rebalancer // likewise
	scheme    erasure.Scheme
}

// serve runs a server until ctx ends, and then stops it in order: requests under way finish, repair
// ends, replicas and drives close. ready, if not nil, is called once all groups have leaders.
func serve(ctx context.Context, cfg Config, ready func(started) error) (err error) {
	if err := cfg.validate(); err != nil {
		return err
	}
	if err := tuneMemory(ctx, cfg.MemoryLimit); err != nil {
		return err
	}
	s := &server{cfg: cfg}
	defer func() { err = errors.Join(err, s.stop()) }()
	failed, say, err := s.listen()
	if err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	if err := s.join(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	if err := s.core.meta.Ready(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	say.drives, say.scheme = len(s.core.storage.drives), s.core.scheme
	cfg.Logger.Info("ready", "address", say.address, "drives", say.drives, "scheme", say.scheme.String(), "version", versionText())
	if ready != nil {
		if err := ready(say); err != nil {
			return err
		}
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// unlessStopped is err, unless it came of the server's being told to stop: that is a clean stop.
func unlessStopped(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		err = nil
	}
	return err
}

// stop undoes what was started, from the outside in: nobody is left who needs what goes next.
func (s *server) stop() error {
	var errs []error
	if s.http != nil {
		s.front.operations.stopping.Store(true)
		errs = append(errs, drain(s.http, s.cfg.Drain, s.cfg.Logger))
	}
	if s.stopUpkeep != nil {
		s.stopUpkeep()
	}
	if s.stopAccess != nil {
		s.stopAccess()
	}
	if s.closeKeys != nil {
		s.closeKeys()
	}
	if s.stopWatch != nil {
		s.stopWatch()
	}
	c := s.running()
	if s.network != nil {
		if c != nil {
			s.network.resign(c.storage.host)
		}
		s.network.leave()
	}
	if c != nil {
		errs = append(errs, c.fanout.Close(), c.storage.close())
	}
	if s.network != nil {
		errs = append(errs, s.network.stop())
	}
	return errors.Join(errs...)
}

// listen opens the port first, so that /-/live and /-/ready answer while drives are opened.
func (s *server) listen() (failed <-chan error, say started, err error) {
	if s.metrics, err = telemetry.New(telemetry.Config{
		Version: versionText(), Logger: s.cfg.Logger, Drives: s.driveFigures, Groups: s.groupFigures, Repair: s.repairFigures,
	}); err != nil {
		return nil, started{}, err
	}
	get, ca, err := certificates(&s.cfg)
	if err != nil {
		return nil, started{}, err
	}
	inner, err := net.Listen("tcp", s.cfg.Address)
	if err != nil {
		return nil, started{}, err
	}
	l, err := listen.New(inner, listen.Config{TLS: &tls.Config{GetCertificate: get}, Logger: s.cfg.Logger})
	if err != nil {
		return nil, started{}, errors.Join(err, inner.Close())
	}
	s.front = &front{operations: &operations{metrics: s.metrics.Handler(), token: s.cfg.MetricsToken, reasons: s.reasons}}
	s.http = httpServer(s.front, s.cfg.Logger)
	s.http.ConnState = l.ConnState
	s.address = l.Addr().String()
	return serveOn(s.http, l), started{address: s.address, ca: ca}, nil
}

// open opens drives and groups.
func (s *server) open(ctx context.Context) error {
	if s.cfg.Network.enabled() {
		return s.openNode(ctx)
	}
	st, err := openStorage(ctx, &s.cfg, nil)
	if err != nil {
		return err
	}
	return s.openAlone(st)
}

// begin puts what needs no other node on top of the drives.
func (s *server) begin(c *core, host client.Host) (err error) {
	st := c.storage
	if c.meta, err = client.New(client.Config{Host: host}); err != nil {
		return errors.Join(err, st.close())
	}
	config := fanout.Config{Drives: c.drives, Logger: s.cfg.Logger, OnDamage: s.damage}
	if s.network != nil {
		config.Near = func(d id.Drive) bool {
			_, here := st.routes.Drive(d)
			return here
		}
	}
	c.fanout, err = fanout.New(config)
	if err != nil {
		return errors.Join(err, st.close())
	}
	if err := shardFigures(s.metrics, c.fanout); err != nil {
		return errors.Join(err, c.fanout.Close(), st.close())
	}
	s.mu.Lock()
	s.core = c
	s.mu.Unlock()
	return nil
}

// damage passes a bad shard on to repair, once there is one.
func (s *server) damage(shard node.Shard, d id.Drive, err error) {
	if c := s.running(); c != nil && c.repair != nil {
		c.repair.Damage(shard, d, err)
	}
}

// running is the core, or nil.
func (s *server) running() *core {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core
}

// join waits for the system group, registers cluster and drives with it, and starts the engine.
func (s *server) join(ctx context.Context) error {
	c := s.core
	if s.network != nil {
		return s.joinNode(ctx)
	}
	if err := c.storage.majorities(ctx); err != nil {
		return err
	}
	scheme, err := c.storage.firstScheme()
	if err != nil {
		return err
	}
	return s.joinAlone(ctx, scheme)
}

// startUpkeep begins to repair and to rebalance, as the system group says, and to keep the drives of this
// node registered. more runs as long.
func (s *server) startUpkeep(state cluster.State, members *cluster.Membership, more ...func(context.Context)) error {
	c := s.core
	var of func(context.Context) map[uint32][]id.Drive // nil: all groups are led here
	if s.network != nil {
		of = s.network.members
	}
	r, err := repair.New(repair.Config{
		Metadata: c.meta, Shards: c.fanout, Drives: c.drives, Placer: c.placer, Groups: c.storage.host, ScrubDrive: c.storage.verifyTables,
		Layout: s.directory, Local: c.storage.routes.All, Members: of, RepairAfter: s.cfg.Network.RepairAfter,
		ReclaimAfter: s.cfg.ReclaimAfter, ScrubInterval: s.cfg.ScrubInterval, Logger: s.cfg.Logger,
	})
	if err != nil {
		return err
	}
	for _, d := range state.Lost {
		r.Lost(d)
	}
	b, err := rebalance.New(rebalance.Config{
		Metadata: c.meta, Shards: c.fanout, Drives: c.drives, Layout: s.directory, Groups: c.storage.host, Members: of,
		ReclaimAfter: s.cfg.ReclaimAfter, Logger: s.cfg.Logger,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	c.repair, c.rebalance, c.scheme = r, b, state.Scheme
	s.mu.Unlock()
	c.storage.heal.scheme.Store(&state.Scheme)
	s.stopUpkeep = inBackground(append(more, r.Run, b.Run, members.Keep)...)
	return nil
}

// inBackground runs what ends with its context; stop ends it and waits.
func inBackground(run ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, f := range run {
		all.Go(func() { f(ctx) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

func (s *server) startEngine(ctx context.Context, scheme erasure.Scheme) error {
	c := s.core
	who, err := access.New(access.Config{Metadata: c.meta, Secret: s.cfg.Secret, Root: s.cfg.Root, Logger: s.cfg.Logger})
	if err != nil {
		return err
	}
	s.stopAccess = inBackground(who.Run)
	names := s.cfg.keyNames(who.First().ID)
	keys, err := s.openKeys(c.meta)
	if err != nil {
		return err
	}
	config := object.Config{Metadata: c.meta, Shards: c.fanout, Placer: c.placer, Scheme: scheme, Keys: keys, Logger: s.cfg.Logger}
	if s.network != nil {
		config.BucketChanged = s.network.notices.BucketChanged
	}
	engine, err := object.New(config)
	if err != nil {
		return err
	}
	s.engine.Store(engine)
	api, err := s3.New(s3.Config{
		Engine: engine, Credentials: who.Lookup, Region: s.cfg.Region, KMSNames: names, Domains: s.cfg.Domains, TrustedProxies: s.cfg.TrustedProxies,
		OwnerID: who.First().Canonical, OwnerName: who.First().Name, Logger: s.cfg.Logger, Metrics: s.metrics,
	})
	if err != nil {
		return err
	}
	operator, err := s.newOperator()
	if err != nil {
		return err
	}
	operators, err := admin.New(admin.Config{Credentials: s.firstRoot(who), Region: s.cfg.Region, Operator: operator, Logger: s.cfg.Logger})
	if err != nil {
		return err
	}
	s.front.start(api, operators)
	return nil
}

// forgetBucket is called when another node has deleted a bucket.
func (s *server) forgetBucket(name string) {
	if e := s.engine.Load(); e != nil {
		e.ForgetBucket(name)
	}
}

// firstRoot finds the root of the first account alone: nobody else operates the cluster.
func (s *server) firstRoot(who *access.Store) sigv4.Lookup {
	return func(ctx context.Context, accessKey string) (sigv4.Credentials, bool, error) {
		if accessKey != s.cfg.Root.User {
			return sigv4.Credentials{}, false, nil
		}
		return who.Lookup(ctx, accessKey)
	}
}
