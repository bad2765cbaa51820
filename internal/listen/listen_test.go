package listen_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/listen"
)

func TestOnePortServesTLSAndPlainHTTP(t *testing.T) {
	f := setUp(t, listen.Config{})
	f.serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		version := 0
		if r.TLS != nil {
			version = int(r.TLS.Version)
		}
		_, _ = fmt.Fprintf(w, "%s tls %x %s", r.Proto, version, body)
	})
	c := f.client(t, nil)
	for range 2 { // the second by the same connections
		for url, want := range map[string]string{
			"https://": "HTTP/1.1 tls 304 body", // although the client offers HTTP/2
			"http://":  "HTTP/1.1 tls 0 body",
		} {
			res, err := c.Post(url+f.addr, "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || string(got) != want {
				t.Errorf("%s: %q, %v, want %q", url, got, err, want)
			}
		}
	}
	if open, silent, shed := f.Counts(); open != 2 || silent != 0 || shed != (listen.Shed{}) {
		t.Errorf("counts: %d %d %v", open, silent, shed)
	}
}

func TestTLSBefore12IsRefused(t *testing.T) {
	f := setUp(t, listen.Config{})
	f.serve(t, func(http.ResponseWriter, *http.Request) {})
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c := f.client(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, version })
		res, err := c.Get("https://" + f.addr)
		if (err == nil) != ok {
			t.Errorf("version %x: %v", version, err)
		}
		if err == nil {
			_ = res.Body.Close()
		}
	}
}

func TestNewLeavesTheCallersTLSConfigAlone(t *testing.T) {
	cert, _ := selfSigned(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}
	setUp(t, listen.Config{TLS: cfg})
	if cfg.NextProtos[0] != "h2" || cfg.DynamicRecordSizingDisabled || cfg.MinVersion != 0 {
		t.Error("changed")
	}
}

func TestWithoutTLSAHandshakeIsClosedAndPlainIsServed(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen.New(inner, listen.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Listener: l, addr: inner.Addr().String()}
	t.Cleanup(func() { _ = f.Close() })
	f.serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "plain") })
	c := f.client(t, nil)
	if _, err := c.Get("https://" + f.addr); err == nil {
		t.Error("a handshake got through")
	}
	raw := f.dial(t)
	if _, err := raw.Write([]byte("\x16\x03\x01\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(raw); len(got) > 0 {
		t.Errorf("a handshake was taken for HTTP: %q", got)
	}
	res, err := c.Get("http://" + f.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

func TestPlainRequestMayArriveByteByByte(t *testing.T) {
	f := setUp(t, listen.Config{})
	f.serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	c := f.dial(t)
	for _, b := range []byte("GET /slowly HTTP/1.0\r\n\r\n") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.HasSuffix(got, []byte("/slowly")) {
		t.Fatalf("%q, %v", got, err)
	}
}

// Clients that connect and say nothing must not keep others waiting, and are closed in time.
func TestSilentClientsNeitherBlockNorStay(t *testing.T) {
	f := setUp(t, listen.Config{PeekTimeout: time.Second})
	f.serve(t, func(http.ResponseWriter, *http.Request) {})
	silent := make([]net.Conn, 20)
	for n := range silent {
		silent[n] = f.dial(t)
	}
	for _, url := range []string{"http://", "https://"} {
		res, err := f.client(t, nil).Get(url + f.addr)
		if err != nil {
			t.Fatalf("beside silent clients: %v", err)
		}
		_ = res.Body.Close()
	}
	for _, c := range silent {
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("a silent client: %d, %v", n, err)
		}
	}
	eventually(t, "all silent connections counted", func() bool {
		_, silent, shed := f.Counts()
		return silent == 0 && shed.Silent == 20
	})
}

// A deadline of the peek must not stay on the connection.
func TestPeekTimeoutEndsWithTheFirstByte(t *testing.T) {
	const peek = 300 * time.Millisecond
	f := setUp(t, listen.Config{PeekTimeout: peek})
	c := f.dial(t)
	if _, err := c.Write([]byte("G")); err != nil {
		t.Fatal(err)
	}
	server, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(3 * peek) // the deadline would be over
	if _, err := c.Write([]byte("ET")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "GET" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestOneSilentConnectionTooManyClosesTheOldest(t *testing.T) {
	var log syncBuffer
	f := setUp(t, listen.Config{MaxPending: 3, PeekTimeout: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	f.serve(t, func(http.ResponseWriter, *http.Request) {})
	var silent []net.Conn
	for n := range 6 {
		silent = append(silent, f.dial(t))
		eventually(t, "accepted", func() bool { _, s, _ := f.Counts(); return s == min(n+1, 3) && len(f.inner.conns) == n+1 })
	}
	for n, c := range silent[:3] {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("silent connection %d: %v", n, err)
		}
	}
	// The younger three still wait; one of them now speaks.
	if _, err := silent[4].Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(silent[4]); err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.0 200")) {
		t.Fatalf("%q, %v", got, err)
	}
	if strings.Count(log.String(), "too many silent connections") != 1 {
		t.Errorf("log: %s", log.String())
	}
}

func TestConnectionsBeyondTheBoundAreClosedUntilOneEnds(t *testing.T) {
	f := setUp(t, listen.Config{MaxConns: 2})
	f.serve(t, func(http.ResponseWriter, *http.Request) {})
	a, b := f.dial(t), f.dial(t)
	eventually(t, "two open", func() bool { open, _, _ := f.Counts(); return open == 2 })
	if _, err := f.dial(t).Read(make([]byte, 1)); err == nil {
		t.Error("a third connection was served")
	}
	if _, _, shed := f.Counts(); shed.Full != 1 {
		t.Errorf("shed: %v", shed)
	}
	_, _ = a.Close(), b.Close()
	eventually(t, "places free", func() bool { open, _, _ := f.Counts(); return open == 0 })
	c, d := f.dial(t), f.dial(t)
	_, _ = c.Write([]byte("G")) // never answered: the request does not end
	_, _ = d.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	if _, err := io.ReadAll(d); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one place taken", func() bool { open, silent, _ := f.Counts(); return open == 1 && silent == 0 })
	_ = c.Close()
	eventually(t, "places free", func() bool { open, _, _ := f.Counts(); return open == 0 })
	for range 5 { // a served connection gives its place back too, TLS or not
		for _, url := range []string{"http://", "https://"} {
			c := f.client(t, nil)
			res, err := c.Get(url + f.addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			c.CloseIdleConnections()
			eventually(t, "place free", func() bool { open, _, _ := f.Counts(); return open == 0 })
		}
	}
}

func TestCloseEndsAcceptAndWhatWasNotHandedOut(t *testing.T) {
	f := setUp(t, listen.Config{PeekTimeout: time.Hour})
	silent, spoken := f.dial(t), f.dial(t)
	if _, err := spoken.Write([]byte("GET")); err != nil { // sorted, and nobody accepts it
		t.Fatal(err)
	}
	eventually(t, "one silent", func() bool { open, s, _ := f.Counts(); return open == 2 && s == 1 })
	if err := f.Close(); err != nil { // waits for all goroutines
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"silent": silent, "spoken": spoken} {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 {
		if c, err := f.Accept(); c != nil || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	}
	if open, _, _ := f.Counts(); open != 0 {
		t.Errorf("%d connections are still counted", open)
	}
	_ = f.Close()
}

func TestShutdownOfTheServerIsClean(t *testing.T) {
	f := setUp(t, listen.Config{})
	started, finish := make(chan struct{}), make(chan struct{})
	srv := f.serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	got := make(chan string)
	go func() {
		res, err := f.client(t, nil).Get("https://" + f.addr)
		if err != nil {
			got <- err.Error()
			return
		}
		b, _ := io.ReadAll(res.Body)
		got <- string(b)
	}()
	<-started
	down := make(chan error)
	go func() { down <- srv.Shutdown(context.Background()) }()
	close(finish)
	if s, err := <-got, <-down; s != "done" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
}

type passing struct{ error }

func (passing) Temporary() bool { return true }

func TestAcceptErrorsThatPassArePassedOver(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{inner, make(chan *counted, 10), make(chan error, 10)}
	for range 3 {
		c.errs <- &net.OpError{Op: "accept", Err: passing{syscall.EMFILE}}
	}
	l, err := listen.New(c, listen.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Listener: l, addr: inner.Addr().String()}
	if _, err := f.dial(t).Write([]byte("G")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); err != nil {
		t.Fatalf("after errors that pass: %v", err)
	}
	broken := errors.New("broken")
	c.errs <- broken
	f.dial(t) // lets the Accept under way return, so that the next one fails
	if _, err := l.Accept(); !errors.Is(err, broken) {
		t.Fatalf("after one that does not: %v", err)
	}
	_ = l.Close()
}

// A server that answers before it read the whole body half-closes, so that the answer is not lost to
// a reset.
func TestPlainConnectionsCanBeHalfClosed(t *testing.T) {
	f := setUp(t, listen.Config{})
	c := f.dial(t)
	if _, err := c.Write([]byte("P")); err != nil {
		t.Fatal(err)
	}
	server, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	half, ok := server.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.Fatal("no CloseWrite")
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the client's side: %v", err)
	}
	if _, err := c.Write([]byte("UT")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "PUT" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestLargeBodiesArriveWholeBothWays(t *testing.T) {
	f := setUp(t, listen.Config{HoldTime: 100 * time.Microsecond}) // the timer gets in between often
	f.serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		for n, step := 0, 1; n < len(b); n, step = n+step, step*3%70_001+1 {
			step = min(step, len(b)-n)
			_, _ = w.Write(b[n : n+step])
		}
	})
	body := make([]byte, 3<<20+17)
	for n := range body {
		body[n] = byte(n * n >> 7)
	}
	want := sha256.Sum256(body)
	var wait sync.WaitGroup
	for _, url := range []string{"http://", "https://"} {
		for range 3 {
			wait.Go(func() {
				res, err := f.client(t, nil).Post(url+f.addr, "", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || sha256.Sum256(got) != want {
					t.Errorf("%s: %d bytes, %v", url, len(got), err)
				}
			})
		}
	}
	wait.Wait()
}

func TestClosingTwiceGivesOnePlaceBack(t *testing.T) {
	f := setUp(t, listen.Config{})
	for range 2 {
		if _, err := f.dial(t).Write([]byte("G")); err != nil {
			t.Fatal(err)
		}
	}
	one, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Accept(); err != nil {
		t.Fatal(err)
	}
	_, _ = one.Close(), one.Close()
	if open, _, _ := f.Counts(); open != 1 {
		t.Errorf("%d open, want 1", open)
	}
}

func TestNegativeBoundsAreRefused(t *testing.T) {
	for _, cfg := range []listen.Config{{PeekTimeout: -1}, {MaxPending: -1}, {MaxConns: -1}, {HoldTime: -1}} {
		if _, err := listen.New(nil, cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
