package listen

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	handshakeByte = 0x16 // the content type of a TLS handshake

	// Pauses after an error of Accept that passes, such as too many open files.
	minPause = 5 * time.Millisecond
	maxPause = time.Second

	warnEvery = time.Minute
)

// Listener hands out the connections of another listener as TLS or plain ones.
type Listener struct {
	cfg   Config
	inner net.Listener
	corks sync.Pool

	ready   chan net.Conn
	done    chan struct{} // closed by Close, or when inner fails for good
	stop    sync.Once
	workers sync.WaitGroup

	mu      sync.Mutex
	pending *list.List // of *wire that nothing was read from, the oldest first
	open    int
	shed    Shed
	warned  time.Time
	err     error // what Accept returns once done
}

// Shed counts connections that a bound closed.
type Shed struct {
	Silent int64 // silent beyond PeekTimeout, or the oldest of too many
	Full   int64 // beyond MaxConns
}

// New begins to accept from inner, which the Listener owns from then on.
func New(inner net.Listener, cfg Config) (*Listener, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Listener{cfg: cfg, inner: inner, ready: make(chan net.Conn), done: make(chan struct{}), pending: list.New()}
	l.corks.New = func() any { return new([corkSize]byte) }
	l.workers.Go(l.run)
	return l, nil
}

// Accept returns the next connection whose kind is known: a *tls.Conn before its handshake, or a plain
// one.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return nil, l.err
	}
}

// Addr is the address of the inner listener.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close stops accepting and closes the connections that were not handed out. It waits until the last
// of them is gone.
func (l *Listener) Close() error {
	err := l.end(net.ErrClosed)
	l.workers.Wait()
	return err
}

// end makes Accept return err from now on.
func (l *Listener) end(cause error) (err error) {
	l.stop.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.err = cause
		close(l.done)
		err = l.inner.Close()
		for e := l.pending.Front(); e != nil; e = e.Next() {
			_ = e.Value.(*wire).Conn.Close() // its goroutine does the rest
		}
	})
	return err
}

// ConnState is for http.Server: a connection that turns idle sends what it holds.
func (l *Listener) ConnState(c net.Conn, state http.ConnState) {
	if state != http.StateIdle {
		return
	}
	if t, ok := c.(*tls.Conn); ok {
		if k, ok := t.NetConn().(*cork); ok {
			k.Flush()
		}
	}
}

// Counts returns the open and the silent connections of now, and those shed so far.
func (l *Listener) Counts() (open, silent int, shed Shed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.pending.Len(), l.shed
}

func (l *Listener) run() {
	pause := time.Duration(0)
	for {
		c, err := l.inner.Accept()
		if err == nil {
			pause = 0
			l.admit(c)
			continue
		}
		if !passes(err) {
			_ = l.end(fmt.Errorf("listen: accept: %w", err))
			return
		}
		pause = min(max(2*pause, minPause), maxPause)
		l.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "cannot accept connections for now", slog.Any("error", err))
		select {
		case <-time.After(pause):
		case <-l.done:
			return
		}
	}
}

// passes reports whether a later Accept may work. Temporary is deprecated for want of a definition,
// but for Accept it has one: net says it of too many open files and aborted connections.
func passes(err error) bool {
	var t interface{ Temporary() bool }
	return !errors.Is(err, net.ErrClosed) && errors.As(err, &t) && t.Temporary()
}

// admit makes room for a new connection and has it sorted.
func (l *Listener) admit(c net.Conn) {
	w := &wire{Conn: c, release: l.release}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil { // Close was between Accept and here
		_ = c.Close()
		return
	}
	if l.open >= l.cfg.MaxConns {
		l.shed.Full++
		l.warn("too many connections", l.cfg.MaxConns)
		_ = c.Close()
		return
	}
	if l.pending.Len() >= l.cfg.MaxPending {
		oldest := l.pending.Remove(l.pending.Front()).(*wire)
		l.warn("too many silent connections", l.cfg.MaxPending)
		_ = oldest.Conn.Close() // its goroutine does the rest
	}
	l.open++
	e := l.pending.PushBack(w)
	l.workers.Go(func() { l.sort(w, e) })
}

func (l *Listener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// warn logs that a bound was reached; the caller holds mu.
func (l *Listener) warn(what string, bound int) {
	if now := time.Now(); now.Sub(l.warned) >= warnEvery {
		l.warned = now
		l.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, what, slog.Int("bound", bound))
	}
}

// sort waits for the first byte and hands the connection out.
func (l *Listener) sort(w *wire, e *list.Element) {
	c := l.classify(w, e)
	if c == nil {
		_ = w.Close()
		return
	}
	select {
	case l.ready <- c:
	case <-l.done:
		_ = w.Close()
	}
}

func (l *Listener) classify(w *wire, e *list.Element) net.Conn {
	var first [1]byte
	err := w.SetReadDeadline(time.Now().Add(l.cfg.PeekTimeout))
	if err == nil {
		_, err = w.Conn.Read(first[:])
	}
	l.mu.Lock()
	l.pending.Remove(e) // nothing happens if it was the oldest of too many
	if err != nil {
		l.shed.Silent++
	}
	l.mu.Unlock()
	if err != nil || w.SetReadDeadline(time.Time{}) != nil {
		return nil
	}
	w.first, w.ahead = first[0], true
	switch {
	case first[0] != handshakeByte:
		return w
	case l.cfg.TLS == nil:
		return nil
	}
	return tls.Server(&cork{wire: w, pool: &l.corks, wait: l.cfg.HoldTime}, l.cfg.TLS)
}
