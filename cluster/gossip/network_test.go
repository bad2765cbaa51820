package gossip

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// network joins transports in memory, and cuts them from each other.
type network struct {
	mu    sync.Mutex
	at    map[string]*port
	cut   map[[2]string]bool // from, to: packets and dials are dropped
	pipes map[*pipe]bool
}

func newNetwork() *network {
	return &network{at: map[string]*port{}, cut: map[[2]string]bool{}, pipes: map[*pipe]bool{}}
}

// port is one transport. Its queue has room, as a socket has.
type port struct {
	net     *network
	address string
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (n *network) open(host string) *port {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{net: n, address: host + ":9002", packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn, 16)}
	n.at[p.address] = p
	return p
}

// block cuts the way from one host to another.
func (n *network) block(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from + ":9002", to + ":9002"}] = cut
	for p := range n.pipes {
		if n.cut[[2]string{p.from, p.to}] || n.cut[[2]string{p.to, p.from}] {
			delete(n.pipes, p)
			p.Conn.Close()
		}
	}
}

// part cuts two groups of hosts from each other.
func (n *network) part(a, b []string, cut bool) {
	for _, x := range a {
		for _, y := range b {
			n.block(x, y, cut)
			n.block(y, x, cut)
		}
	}
}

// silence cuts a host from all, as if its process had stopped.
func (n *network) silence(host string, cut bool) {
	n.mu.Lock()
	var others []string
	for a := range n.at {
		if h, _, _ := net.SplitHostPort(a); h != host {
			others = append(others, h)
		}
	}
	n.mu.Unlock()
	n.part([]string{host}, others, cut)
}

func (n *network) way(from, to string) (*port, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.at[to]
	return p, ok && !n.cut[[2]string{from, to}]
}

type where string

func (a where) Network() string { return "memory" }
func (a where) String() string  { return string(a) }

func (p *port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	host, _, err := net.SplitHostPort(p.address)
	return net.ParseIP(host), 9002, err
}

func (p *port) WriteTo(b []byte, to string) (time.Time, error) {
	now := time.Now()
	if dest, ok := p.net.way(p.address, to); ok {
		select {
		case dest.packets <- &memberlist.Packet{Buf: append([]byte(nil), b...), From: where(p.address), Timestamp: now}:
		default:
		}
	}
	return now, nil
}

func (p *port) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *port) StreamCh() <-chan net.Conn           { return p.streams }

// pipe is one end of a stream.
type pipe struct {
	net.Conn
	from, to string
}

func (p *pipe) RemoteAddr() net.Addr { return where(p.to) }
func (p *pipe) LocalAddr() net.Addr  { return where(p.from) }

func (p *port) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	dest, ok := p.net.way(p.address, to)
	if _, back := p.net.way(to, p.address); !ok || !back {
		time.Sleep(timeout)
		return nil, fmt.Errorf("dial %s: %w", to, errors.New("timeout"))
	}
	x, y := net.Pipe()
	a, b := &pipe{x, p.address, to}, &pipe{y, to, p.address}
	p.net.mu.Lock()
	p.net.pipes[a] = true
	p.net.mu.Unlock()
	select {
	case dest.streams <- b:
		return a, nil
	default:
		return nil, errors.New("connection refused")
	}
}

// Shutdown closes the port: nothing reaches it any more.
func (p *port) Shutdown() error {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.net.at[p.address] == p {
		delete(p.net.at, p.address)
	}
	return nil
}

// tap keeps what goes out.
type tap struct {
	*port
	seen *logs
}

func (t *tap) WriteTo(b []byte, to string) (time.Time, error) {
	_, _ = t.seen.Write(b)
	return t.port.WriteTo(b, to)
}
