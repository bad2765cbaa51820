package rpc

import (
	"crypto/tls"
	"net"
	"sync"
)

// gathered is a TLS connection of which one Write is one write to the socket. crypto/tls writes each record of
// 16 KiB by itself, which costs a tenth of the CPU that the traffic between nodes takes.
type gathered struct {
	*tls.Conn
	raw *gather
}

// gather is the connection under TLS.
type gather struct {
	net.Conn
	mu   sync.Mutex // crypto/tls writes what it has to say itself, as new keys, beside Write
	held bool
	buf  []byte
}

// gatherLimit bounds what is gathered: gRPC writes ioBuffer bytes at most, and a record adds 22.
const gatherLimit = 2 * ioBuffer

// Write encrypts p into records and writes them together.
func (g *gathered) Write(p []byte) (int, error) {
	g.raw.hold()
	n, err := g.Conn.Write(p)
	if ferr := g.raw.flush(); err == nil && ferr != nil {
		return 0, ferr
	}
	return n, err
}

func (g *gather) hold() {
	g.mu.Lock()
	g.held = true
	g.mu.Unlock()
}

// flush writes what was gathered. The buffer is kept while the connection lives.
func (g *gather) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	return g.write()
}

func (g *gather) write() error {
	if len(g.buf) == 0 {
		return nil
	}
	_, err := g.Conn.Write(g.buf)
	g.buf = g.buf[:0]
	return err
}

// Write implements net.Conn for crypto/tls.
func (g *gather) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held && len(g.buf)+len(p) <= gatherLimit {
		g.buf = append(g.buf, p...)
		return len(p), nil
	}
	if err := g.write(); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}
