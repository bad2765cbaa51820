package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"holdfast/internal/id"
)

// clusterKey is the metadata in which both sides say which cluster they belong to: 32 hexadecimal
// digits, or nothing while there is none.
const clusterKey = "holdfast-cluster"

// unary guards every unary method.
func (s *Server) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	ctx, c := s.begin(ctx)
	defer c.end()
	method, _ := grpc.Method(ctx)
	if err := s.admit(ctx, method); err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, CallTimeout)
		defer cancel()
	}
	defer s.recovered(ctx, method, &err)
	answer, err = handler(ctx, req)
	if err != nil {
		if f, ok := answer.(*Frame); ok && f != nil {
			f.Free()
		}
		return nil, toStatus(err)
	}
	return answer, nil
}

// stream guards every streaming method.
func (s *Server) stream(impl any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx, c := s.begin(ss.Context())
	defer c.end()
	if err := s.admit(ctx, info.FullMethod); err != nil {
		return err
	}
	defer s.recovered(ctx, info.FullMethod, &err)
	return toStatus(handler(impl, &serverStream{ServerStream: ss, ctx: ctx}))
}

// admit decides whether the peer may call the method, and answers with this node's cluster.
func (s *Server) admit(ctx context.Context, method string) error {
	p, ok := PeerOf(ctx)
	if !ok {
		return refused(codeRole, "no peer")
	}
	own := s.identity.cfg.Cluster()
	if err := grpc.SetHeader(ctx, metadata.Pairs(clusterKey, clusterText(own))); err != nil {
		return err
	}
	roles := s.methods[method]
	md, _ := metadata.FromIncomingContext(ctx)
	theirs, err := clusterOf(md)
	if err != nil {
		return refused(codeCluster, "%v", err)
	}
	if theirs != own && (roles&Forming == 0 || !theirs.IsZero() && !own.IsZero()) {
		why := fmt.Sprintf("peer %s belongs to %s, this is %s", p.Node, clusterName(theirs), clusterName(own))
		s.identity.refusals.note(p.Address, why)
		return refused(codeCluster, "%s", why)
	}
	if roles&p.Role == 0 {
		why := fmt.Sprintf("%s is not for a node in role %q", method, p.Role)
		s.identity.refusals.note(p.Address, why)
		return refused(codeRole, "%s", why)
	}
	return nil
}

func clusterText(c id.Cluster) string {
	if c.IsZero() {
		return ""
	}
	return c.String()
}

func clusterName(c id.Cluster) string {
	if c.IsZero() {
		return "no cluster yet"
	}
	return "cluster " + c.String()
}

// clusterOf is the cluster in metadata; zero if there is none.
func clusterOf(md metadata.MD) (id.Cluster, error) {
	all := md[clusterKey]
	if len(all) == 0 || len(all) == 1 && all[0] == "" {
		return id.Cluster{}, nil
	}
	c, err := id.Parse[id.Cluster](all[0])
	if err != nil || len(all) > 1 {
		return id.Cluster{}, fmt.Errorf("rpc: the peer's cluster ID is none")
	}
	return c, nil
}

// recovered turns a panic of a handler into an error: one bad request does not end a node.
func (s *Server) recovered(ctx context.Context, method string, err *error) {
	if r := recover(); r != nil {
		s.identity.cfg.Logger.LogAttrs(ctx, slog.LevelError, "panic in a call; report this line",
			slog.String("method", method), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		*err = status.Errorf(codes.Unknown, "%s: internal error; see the peer's log", method)
	}
}

// serverStream is a stream whose context knows its call, and whose Frames are used up when sent.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *serverStream) Context() context.Context { return s.ctx }

// SendMsg implements grpc.ServerStream.
func (s *serverStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	release(m)
	return err
}

// release frees what is left of a Frame that was not sent.
func release(m any) {
	if f, ok := m.(*Frame); ok {
		f.Free()
	}
}
