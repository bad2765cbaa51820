package listen_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"holdfast/internal/listen"
)

// selfSigned makes a certificate for 127.0.0.1 and a pool that trusts it.
func selfSigned(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// counted records the lengths of the writes to a connection, which may be made to fail.
type counted struct {
	net.Conn
	mu     sync.Mutex
	writes []int
	fail   error
}

func (c *counted) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, len(b))
	err := c.fail
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *counted) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// take returns the writes since the last call.
func (c *counted) take() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.writes
	c.writes = nil
	return w
}

func (c *counted) failWith(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// counting is a listener whose connections count; errs are what Accept returns first.
type counting struct {
	net.Listener
	conns chan *counted
	errs  chan error
}

func (l *counting) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
	}
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	k := &counted{Conn: c}
	l.conns <- k
	return k, nil
}

// fixture is a Listener on loopback.
type fixture struct {
	*listen.Listener
	inner *counting
	roots *x509.CertPool
	addr  string
}

func setUp(t testing.TB, cfg listen.Config) *fixture {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := selfSigned(t)
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	f := &fixture{inner: &counting{inner, make(chan *counted, 1000), make(chan error, 10)}, roots: roots, addr: inner.Addr().String()}
	if f.Listener, err = listen.New(f.inner, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// serve runs an http.Server on the fixture.
func (f *fixture) serve(t testing.TB, h http.HandlerFunc) *http.Server {
	t.Helper()
	srv := &http.Server{Handler: h, ConnState: f.ConnState, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = srv.Serve(f) }()
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func (f *fixture) client(t testing.TB, change func(*tls.Config)) *http.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: f.roots}
	if change != nil {
		change(cfg)
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func (f *fixture) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// pair connects a TLS client to what Accept returns.
func (f *fixture) pair(t testing.TB) (client, server *tls.Conn, under *counted) {
	t.Helper()
	client = tls.Client(f.dial(t), &tls.Config{RootCAs: f.roots, ServerName: "127.0.0.1"})
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	c, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server, ok := c.(*tls.Conn)
	if !ok {
		t.Fatalf("Accept gave a %T", c)
	}
	t.Cleanup(func() { _ = server.Close() })
	if err := errors.Join(server.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	under = <-f.inner.conns
	under.take()
	return client, server, under
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}
