package wire_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a link between two nodes of which either direction can be made to lose everything, without
// anybody being told.
type proxy struct {
	address  string
	listener net.Listener
	target   atomic.Pointer[string]
	mute     [2]atomic.Bool // towards the target, and back

	mu    sync.Mutex
	conns map[net.Conn]bool
	over  bool
	work  sync.WaitGroup
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), listener: l, conns: map[net.Conn]bool{}}
	p.target.Store(&target)
	p.work.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", *p.target.Load())
		if err != nil || !p.keep(in, out) {
			in.Close()
			continue
		}
		p.work.Go(func() { p.copy(out, in, 0) })
		p.work.Go(func() { p.copy(in, out, 1) })
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.over {
			c.Close()
		}
		p.conns[c] = true
	}
	return !p.over
}

func (p *proxy) copy(to, from net.Conn, direction int) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if p.mute[direction].Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// reset breaks all connections: what was lost of one cannot be made up for.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.listener.Close()
	p.reset()
	p.work.Wait()
}
