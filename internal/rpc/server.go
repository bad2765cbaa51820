package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
)

// Server answers peers.
type Server struct {
	identity *Identity
	cfg      ServerConfig
	grpc     *grpc.Server
	methods  map[string]Roles // by full name; written before Serve

	mu       sync.Mutex
	calls    int // under way, but for those that said Unawaited
	stopping bool
	idle     chan struct{} // closed once stopping and calls == 0
}

// NewServer makes a server without methods.
func NewServer(identity *Identity, cfg ServerConfig) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	s := &Server{identity: identity, cfg: cfg, methods: map[string]Roles{}, idle: make(chan struct{})}
	s.grpc = grpc.NewServer(
		grpc.Creds(&creds{identity: identity}),
		grpc.ForceServerCodecV2(codec),
		experimental.BufferPool(NewBuffers()),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(uint32(cfg.MaxStreams)),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.WriteBufferSize(ioBuffer),
		grpc.ReadBufferSize(ioBuffer),
		grpc.ConnectionTimeout(2*handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingAfter / 2, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	return s, nil
}

// Handle registers a service before Serve. roles says for each of its methods, by its short name, who may
// call it; a method that is missing there, or that is not there, is an error.
func (s *Server) Handle(desc *grpc.ServiceDesc, impl any, roles map[string]Roles) error {
	var names []string
	for _, m := range desc.Methods {
		names = append(names, m.MethodName)
	}
	for _, m := range desc.Streams {
		names = append(names, m.StreamName)
	}
	for _, name := range names {
		if roles[name]&Anyone == 0 {
			return fmt.Errorf("rpc: nobody may call %s of %s", name, desc.ServiceName)
		}
	}
	if len(roles) != len(names) {
		return fmt.Errorf("rpc: %s has %d methods, roles are given for %d", desc.ServiceName, len(names), len(roles))
	}
	for _, name := range names {
		full := "/" + desc.ServiceName + "/" + name
		if _, twice := s.methods[full]; twice {
			return fmt.Errorf("rpc: %s is registered twice", full)
		}
		s.methods[full] = roles[name]
	}
	s.grpc.RegisterService(desc, impl)
	return nil
}

// Serve accepts peers until Stop.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(newBoundedListener(l, s.cfg.MaxConns))
	if err == nil || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("rpc: serve %s: %w", l.Addr(), err)
}

// flushTime is for the last answers to leave, where Unawaited calls keep connections open.
const flushTime = 200 * time.Millisecond

// Stop takes no new calls, waits for those under way until ctx ends, and breaks the rest off.
func (s *Server) Stop(ctx context.Context) {
	drained := make(chan struct{})
	go func() {
		s.grpc.GracefulStop() // peers are told
		close(drained)
	}()
	s.mu.Lock()
	if !s.stopping {
		s.stopping = true
		s.checkIdle()
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
		select {
		case <-drained:
		case <-time.After(flushTime):
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	s.grpc.Stop()
}

func (s *Server) checkIdle() {
	if s.stopping && s.calls == 0 {
		select {
		case <-s.idle:
		default:
			close(s.idle)
		}
	}
}

// call is one call under way.
type call struct {
	s    *Server
	once sync.Once
}

type callKey struct{}

func (s *Server) begin(ctx context.Context) (context.Context, *call) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	c := &call{s: s}
	return context.WithValue(ctx, callKey{}, c), c
}

func (c *call) end() {
	c.once.Do(func() {
		c.s.mu.Lock()
		c.s.calls--
		c.s.checkIdle()
		c.s.mu.Unlock()
	})
}

// Unawaited says of the call whose context a handler was given that it lasts as long as its peer wants:
// Stop does not wait for it.
func Unawaited(ctx context.Context) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.end()
	}
}

// boundedListener closes connections beyond a number at once.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

func newBoundedListener(l net.Listener, n int) *boundedListener {
	return &boundedListener{Listener: l, slots: make(chan struct{}, n)}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &boundedConn{Conn: conn, slots: l.slots}, nil
		default:
			conn.Close()
		}
	}
}

type boundedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}
