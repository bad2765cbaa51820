package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"google.golang.org/grpc"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/node"
	"holdfast/node/wire"
	"holdfast/proto/nodepb"
)

// Drives finds the drives of this process. Those of other nodes must not be among them: a call would
// go round in circles.
type Drives interface {
	Drive(id.Drive) (node.Drive, bool)
	// Routes is all of them. Nobody changes the map.
	Routes() map[id.Drive]node.Drive
}

// Config is what a Server is made of.
type Config struct {
	// Node is this node's ID, for those who ask for its drives.
	Node id.Node
	// Drives are the drives to lend.
	Drives Drives
	// MaxCalls is how many calls of peers may be in one drive at a time; further ones wait. Default 256.
	MaxCalls int
	// Logger takes what operators should know; default none.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Drives == nil {
		return errors.New("server: Config needs Drives")
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 256
	}
	if c.MaxCalls < 1 {
		return errors.New("server: MaxCalls below 1")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Server lends drives. Safe for concurrent use.
type Server struct {
	cfg     Config
	buffers *rpc.Buffers

	mu    sync.Mutex
	lanes map[id.Drive]*lane
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, buffers: rpc.NewBuffers(), lanes: map[id.Drive]*lane{}}, nil
}

// Register adds the service to what r answers. Any node of the cluster may use it.
func (s *Server) Register(r *rpc.Server) error {
	desc := &grpc.ServiceDesc{
		ServiceName: wire.Service,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			rpc.Unary(wire.Put, (*Server).put), rpc.Unary(wire.Read, (*Server).read),
			rpc.Unary(wire.Stat, (*Server).stat), rpc.Unary(wire.Verify, (*Server).verify),
			rpc.Unary(wire.Delete, (*Server).delete), rpc.Unary(wire.List, (*Server).list),
			rpc.Unary(wire.Drives, (*Server).statuses),
		},
		Streams: []grpc.StreamDesc{rpc.Stream(wire.Write, (*Server).write)},
	}
	roles := map[string]rpc.Roles{}
	for _, m := range desc.Methods {
		roles[m.MethodName] = rpc.Members
	}
	roles[wire.Write] = rpc.Members
	return r.Handle(desc, s, roles)
}

// lane is the way into one drive.
type lane struct {
	name   id.Drive
	drive  node.Drive
	slots  chan struct{}
	status statusCheck
}

// lane finds the way into a drive of this process.
func (s *Server) lane(name []byte) (*lane, error) {
	want, err := wire.ToDrive(name)
	if err != nil {
		return nil, err
	}
	drive, ok := s.cfg.Drives.Drive(want)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ok {
		delete(s.lanes, want)
		return nil, kind.New(kind.Unavailable, "server: node %s has no drive %s", s.cfg.Node, want)
	}
	return s.laneOf(want, drive), nil
}

// laneOf is the lane of a drive that is there; a drive that took another's place has one of its own.
func (s *Server) laneOf(name id.Drive, drive node.Drive) *lane {
	l := s.lanes[name]
	if l == nil || l.drive != drive {
		l = &lane{name: name, drive: drive, slots: make(chan struct{}, s.cfg.MaxCalls)}
		s.lanes[name] = l
	}
	return l
}

// allLanes are the ways into all drives.
func (s *Server) allLanes() []*lane {
	var all []*lane
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, drive := range s.cfg.Drives.Routes() {
		all = append(all, s.laneOf(name, drive))
	}
	return all
}

// do calls the drive, in its turn.
func (l *lane) do(ctx context.Context, call func(node.Drive) error) error {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return kind.Wrap(kind.Timeout, ctx.Err(), "server: %d calls are in drive %s", cap(l.slots), l.name)
	}
	defer func() { <-l.slots }()
	return call(l.drive)
}

func (s *Server) stat(ctx context.Context, q *nodepb.ShardRequest) (*nodepb.Spec, error) {
	l, shard, err := s.shard(q)
	if err != nil {
		return nil, err
	}
	var spec node.Spec
	err = l.do(ctx, func(d node.Drive) (err error) {
		spec, err = d.Stat(ctx, shard)
		return err
	})
	if err != nil {
		return nil, err
	}
	return wire.FromSpec(spec), nil
}

func (s *Server) verify(ctx context.Context, q *nodepb.ShardRequest) (*nodepb.Empty, error) {
	l, shard, err := s.shard(q)
	if err != nil {
		return nil, err
	}
	return &nodepb.Empty{}, l.do(ctx, func(d node.Drive) error { return d.Verify(ctx, shard) })
}

func (s *Server) shard(q *nodepb.ShardRequest) (*lane, node.Shard, error) {
	l, err := s.lane(q.GetDrive())
	if err != nil {
		return nil, node.Shard{}, err
	}
	shard, err := wire.ToShard(q.GetShard())
	return l, shard, err
}

func (s *Server) delete(ctx context.Context, q *nodepb.DeleteRequest) (*nodepb.Empty, error) {
	l, err := s.lane(q.GetDrive())
	if err != nil {
		return nil, err
	}
	if len(q.GetShards()) > wire.MaxPage {
		return nil, kind.New(kind.InvalidArgument, "server: delete of %d shards, over %d", len(q.GetShards()), wire.MaxPage)
	}
	shards := make([]node.Shard, len(q.GetShards()))
	for i, m := range q.GetShards() {
		if shards[i], err = wire.ToShard(m); err != nil {
			return nil, err
		}
	}
	return &nodepb.Empty{}, l.do(ctx, func(d node.Drive) error { return d.Delete(ctx, shards) })
}

func (s *Server) list(ctx context.Context, q *nodepb.ListRequest) (*nodepb.Specs, error) {
	l, err := s.lane(q.GetDrive())
	if err != nil {
		return nil, err
	}
	after, err := wire.ToShard(q.GetAfter())
	if err != nil {
		return nil, err
	}
	var specs []node.Spec
	err = l.do(ctx, func(d node.Drive) (err error) {
		specs, err = d.List(ctx, after, int(min(q.GetLimit(), wire.MaxPage)))
		return err
	})
	if err != nil {
		return nil, err
	}
	page := &nodepb.Specs{Specs: make([]*nodepb.Spec, len(specs))}
	for i, spec := range specs {
		page.Specs[i] = wire.FromSpec(spec)
	}
	return page, nil
}
