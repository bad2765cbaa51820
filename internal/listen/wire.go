package listen

import (
	"net"
	"sync"
)

// wire is an accepted connection whose first byte may have been read ahead.
type wire struct {
	net.Conn
	first   byte
	ahead   bool
	closed  sync.Once
	release func() // gives the place among MaxConns back
}

func (w *wire) Read(p []byte) (int, error) {
	if w.ahead && len(p) > 0 {
		p[0], w.ahead = w.first, false
		return 1, nil
	}
	return w.Conn.Read(p)
}

func (w *wire) Close() error {
	w.closed.Do(w.release)
	return w.Conn.Close()
}

// CloseWrite lets http.Server end an answer although the request's body was not read: without it the
// client could lose the answer to a reset.
func (w *wire) CloseWrite() error {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
