package rpctest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy stands between two peers: it records what passes, and does to it what networks do.
type Proxy struct {
	Address string

	mu    sync.Mutex
	flow  sync.Cond
	seen  bytes.Buffer
	moved int64
	taken int // connections so far
	open  int // directions that pass
	conns []net.Conn
	held  bool
	over  bool
}

// NewProxy listens on loopback and passes everything on to the address.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: l.Addr().String()}
	p.flow.L = &p.mu
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			if !p.keep(near, far) {
				return
			}
			all.Go(func() { p.pass(near, far) })
			all.Go(func() { p.pass(far, near) })
		}
	})
	t.Cleanup(func() {
		p.mu.Lock()
		p.over, p.held = true, false
		p.flow.Broadcast()
		p.mu.Unlock()
		l.Close()
		p.Break()
		all.Wait()
	})
	return p
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	p.taken++
	p.open += 2
	if p.over {
		for _, c := range conns {
			c.Close()
		}
	}
	return !p.over
}

func (p *Proxy) pass(from, to net.Conn) {
	defer func() {
		from.Close()
		to.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open--
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.held {
			p.flow.Wait()
		}
		p.seen.Write(buf[:n])
		p.moved += int64(n)
		p.mu.Unlock()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// Hold stops all traffic, and keeps the connections: a peer that was stopped, a network that drops packets.
func (p *Proxy) Hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	p.flow.Broadcast()
}

// Break closes all connections. New ones are taken.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// Seen is all that passed, both ways.
func (p *Proxy) Seen() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.seen.Bytes())
}

// Accepted is how many connections there have been.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// Open is how many connections there are.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return (p.open + 1) / 2
}

// Moved is how many bytes passed.
func (p *Proxy) Moved() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moved
}

// Silent listens on loopback, accepts, and never says a word. It returns its address.
func Silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		all   sync.WaitGroup
		conns []net.Conn
	)
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String()
}
