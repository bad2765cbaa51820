package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
)

// Pool has the connections to peers: made when first used, kept while used, made anew when they break.
// Safe for concurrent use.
type Pool struct {
	identity *Identity
	cfg      PoolConfig
	codec    encoding.CodecV2
	buffers  mem.BufferPool

	mu     sync.Mutex
	links  map[linkKey]*link
	swept  time.Time
	closed bool
}

// linkKey names one connection of the pool.
type linkKey struct {
	address string
	lane    int // 0 for Conn, from 1 on for Bulk
}

// link is one connection, as gRPC keeps it.
type link struct {
	conn    *grpc.ClientConn
	changes uint64 // of the identity when it was made
	failure atomic.Pointer[error]

	calls int // under way; guarded by the pool's mutex, as is last
	last  time.Time
}

// NewPool makes an empty pool.
func NewPool(identity *Identity, cfg PoolConfig) (*Pool, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Pool{identity: identity, cfg: cfg, codec: codec, buffers: NewBuffers(), links: map[linkKey]*link{}, swept: identity.cfg.Now()}, nil
}

// Conn is the way to the peer that listens at address (host:port). It may be kept for ever, costs
// nothing until it is used, and finds the peer again after either side was away.
func (p *Pool) Conn(address string) grpc.ClientConnInterface {
	return &conn{pool: p, key: linkKey{address: address}}
}

// Bulk is as Conn, over connections of its own: what moves bytes never stands in front of what decides
// things. Calls with the same spread share one.
func (p *Pool) Bulk(address string, spread uint32) grpc.ClientConnInterface {
	return &conn{pool: p, key: linkKey{address: address, lane: 1 + int(spread%uint32(p.cfg.BulkConns))}}
}

// Close breaks off all calls. Later ones fail.
func (p *Pool) Close() {
	p.mu.Lock()
	links := p.links
	p.links, p.closed = nil, true
	p.mu.Unlock()
	for _, l := range links {
		l.conn.Close()
	}
}

var errClosed = errors.New("rpc: the pool is closed")

// take finds or makes the link of a key, for one call; done ends it.
func (p *Pool) take(key linkKey) (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	now := p.identity.cfg.Now()
	p.sweep(now)
	l := p.links[key]
	if l != nil && l.changes != p.identity.changes.Load() {
		p.drop(key, l)
		l = nil
	}
	if l == nil {
		var err error
		if l, err = p.dial(key.address); err != nil {
			return nil, err
		}
		p.links[key] = l
	}
	l.calls++
	l.last = now
	return l, nil
}

// done ends a call of take.
func (p *Pool) done(l *link) {
	p.mu.Lock()
	l.calls--
	last := l.calls == 0 && l.last.IsZero()
	if !l.last.IsZero() {
		l.last = p.identity.cfg.Now()
	}
	p.mu.Unlock()
	if last {
		l.conn.Close()
	}
}

// drop forgets a link; it is closed when its last call ends.
func (p *Pool) drop(key linkKey, l *link) {
	delete(p.links, key)
	l.last = time.Time{}
	if l.calls == 0 {
		go l.conn.Close()
	}
}

// sweep drops links without calls, now and then.
func (p *Pool) sweep(now time.Time) {
	if now.Sub(p.swept) < p.cfg.Idle/4 {
		return
	}
	p.swept = now
	for key, l := range p.links {
		if l.calls == 0 && now.Sub(l.last) >= p.cfg.Idle {
			p.drop(key, l)
		}
	}
}

func (p *Pool) dial(address string) (*link, error) {
	l := &link{changes: p.identity.changes.Load()}
	failed := func(err error) {
		if err == nil {
			l.failure.Store(nil)
		} else {
			l.failure.Store(&err)
		}
	}
	dialer := net.Dialer{Timeout: handshakeTimeout}
	var err error
	l.conn, err = grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(&creds{identity: p.identity, failed: failed}),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				failed(err)
			}
			return c, err
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(p.codec), grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		experimental.WithBufferPool(p.buffers),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: handshakeTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout, PermitWithoutStream: true}),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithWriteBufferSize(ioBuffer),
		grpc.WithReadBufferSize(ioBuffer),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithIdleTimeout(p.cfg.Idle),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithAuthority("holdfast"),
	)
	if err != nil {
		return nil, fmt.Errorf("rpc: peer %s: %w", address, err)
	}
	return l, nil
}
