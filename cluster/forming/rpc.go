package forming

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"holdfast/internal/rpc"
	"holdfast/proto/formpb"
)

const service = "holdfast.Forming"

// Dialer has connections to nodes; *rpc.Pool is one.
type Dialer interface {
	Conn(address string) grpc.ClientConnInterface
}

// NewCaller makes a Caller over connections.
func NewCaller(d Dialer) Caller { return caller{d} }

type caller struct{ dialer Dialer }

func (c caller) Hello(ctx context.Context, address string, h *formpb.Hello) (*formpb.Hello, error) {
	return rpc.Call[formpb.Hello](ctx, c.dialer.Conn(address), "/"+service+"/Hello", h)
}

func (c caller) Accept(ctx context.Context, address string, p *formpb.Plan) (*formpb.Outcome, error) {
	return rpc.Call[formpb.Outcome](ctx, c.dialer.Conn(address), "/"+service+"/Accept", p)
}

func (c caller) Decide(ctx context.Context, address string, d *formpb.Decision) (*formpb.Outcome, error) {
	return rpc.Call[formpb.Outcome](ctx, c.dialer.Conn(address), "/"+service+"/Decide", d)
}

// Register has a server answer what concerns the forming. A node that belongs to a cluster registers
// as well: newcomers ask it which one.
func (f *Former) Register(s *rpc.Server) error {
	desc := &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		rpc.Unary("Hello", (*Former).serveHello), rpc.Unary("Accept", (*Former).serveAccept), rpc.Unary("Decide", (*Former).serveDecide),
	}}
	return s.Handle(desc, f, map[string]rpc.Roles{"Hello": rpc.Anyone, "Accept": rpc.Forming, "Decide": rpc.Forming | rpc.Storage})
}

var errNobody = errors.New("forming: a call of nobody")

func (f *Former) serveHello(ctx context.Context, h *formpb.Hello) (*formpb.Hello, error) {
	peer, ok := rpc.PeerOf(ctx)
	if !ok {
		return nil, errNobody
	}
	return f.onHello(peer.Node, h)
}

func (f *Former) serveAccept(ctx context.Context, p *formpb.Plan) (*formpb.Outcome, error) {
	peer, ok := rpc.PeerOf(ctx)
	if !ok {
		return nil, errNobody
	}
	return f.onAccept(peer.Node, p)
}

func (f *Former) serveDecide(ctx context.Context, d *formpb.Decision) (*formpb.Outcome, error) {
	peer, ok := rpc.PeerOf(ctx)
	if !ok {
		return nil, errNobody
	}
	return f.onDecide(peer.Node, d)
}
