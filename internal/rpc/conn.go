package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"holdfast/internal/kind"
)

// conn is what callers keep: an address, and a link of the pool at each call.
type conn struct {
	pool *Pool
	key  linkKey
}

// Invoke implements grpc.ClientConnInterface.
func (c *conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	defer release(args)
	l, err := c.pool.take(c.key)
	if err != nil {
		return kind.Wrap(kind.Unavailable, fmt.Errorf("%w, %w", ErrNotSent, err), "rpc: %s at %s", method, c.key.address)
	}
	defer c.pool.done(l)
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, CallTimeout)
		defer cancel()
	}
	var (
		header metadata.MD
		to     peer.Peer
	)
	opts = append(opts, grpc.Header(&header), grpc.Peer(&to))
	if err := l.conn.Invoke(c.outgoing(ctx), method, args, reply, opts...); err != nil {
		release(reply)
		return c.fault(l, err, method, to.Addr != nil)
	}
	if err := c.checkCluster(header); err != nil {
		release(reply)
		return err
	}
	return nil
}

// outgoing adds what every call says of this node.
func (c *conn) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, clusterKey, clusterText(c.pool.identity.cfg.Cluster()))
}

// checkCluster refuses the answer of a node of another cluster. Its server should have refused the call.
func (c *conn) checkCluster(header metadata.MD) error {
	theirs, err := clusterOf(header)
	if err != nil {
		return kind.Wrap(kind.Unavailable, ErrCluster, "rpc: peer %s: %v", c.key.address, err)
	}
	own := c.pool.identity.cfg.Cluster()
	if theirs != own && !theirs.IsZero() && !own.IsZero() {
		why := fmt.Sprintf("it belongs to %s, this is %s", clusterName(theirs), clusterName(own))
		c.pool.identity.refusals.note(c.key.address, why)
		return kind.Wrap(kind.Unavailable, ErrCluster, "rpc: peer %s: %s", c.key.address, why)
	}
	return nil
}

// fault is the error of a call, as callers see it.
func (c *conn) fault(l *link, err error, method string, sent bool) error {
	if code := status.Code(err); !sent && (code == codes.Unavailable || code == codes.DeadlineExceeded) {
		if cause := l.failure.Load(); cause != nil { // why there is no connection, rather than that there is none
			k := kind.Unavailable
			if code == codes.DeadlineExceeded {
				k = kind.Timeout
			}
			return kind.Wrap(k, fmt.Errorf("%w, %w", ErrNotSent, *cause), "rpc: %s at %s", method, c.key.address)
		}
	}
	text := status.Convert(err).Message()
	err = fromStatus(err, method, c.key.address, sent)
	if errors.Is(err, ErrRefused) {
		c.pool.identity.refusals.note(c.key.address, "it refused this node: "+text)
	}
	return err
}

// NewStream implements grpc.ClientConnInterface. The stream ends with ctx, which should have an end.
func (c *conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	l, err := c.pool.take(c.key)
	if err != nil {
		return nil, kind.Wrap(kind.Unavailable, fmt.Errorf("%w, %w", ErrNotSent, err), "rpc: %s at %s", method, c.key.address)
	}
	s := &clientStream{conn: c, link: l, method: method}
	opts = append(opts, grpc.OnFinish(func(error) { s.ended() }))
	s.ClientStream, err = l.conn.NewStream(c.outgoing(ctx), desc, method, opts...)
	if err != nil {
		s.ended()
		return nil, c.fault(l, err, method, false)
	}
	return s, nil
}

// clientStream gives a stream's errors their kinds, and counts as a call of its link until it ends.
type clientStream struct {
	grpc.ClientStream
	conn   *conn
	link   *link
	method string

	once    sync.Once
	checked bool // the answered cluster; RecvMsg is called by one goroutine
}

func (s *clientStream) ended() { s.once.Do(func() { s.conn.pool.done(s.link) }) }

// SendMsg implements grpc.ClientStream. io.EOF says that the stream is over, and RecvMsg why.
func (s *clientStream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	release(m)
	if err == nil || err == io.EOF {
		return err
	}
	return s.conn.fault(s.link, err, s.method, true)
}

// RecvMsg implements grpc.ClientStream. io.EOF is the end that the handler meant.
func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil && err != io.EOF {
		return s.conn.fault(s.link, err, s.method, true)
	}
	if !s.checked {
		s.checked = true
		header, _ := s.Header()
		if bad := s.conn.checkCluster(header); bad != nil {
			release(m)
			return bad
		}
	}
	return err
}
