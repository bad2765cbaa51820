package rpc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
)

// stranger is a certificate that names a node, under no authority at all.
func stranger(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Holdfast"}, CommonName: "Holdfast peers"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{{Scheme: "holdfast", Host: id.Node{5}.String(), Path: "/storage"}},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestAServerRefusesWhoDoesNotCheckIt: the server does not count on the client's own check.
func TestAServerRefusesWhoDoesNotCheckIt(t *testing.T) {
	a, _ := serve(t, nil)
	for name, cfg := range map[string]*tls.Config{
		"no certificate":           {InsecureSkipVerify: true, NextProtos: []string{"h2"}},
		"a certificate of its own": {InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{stranger(t)}},
		"TLS 1.2":                  {InsecureSkipVerify: true, NextProtos: []string{"h2"}, MaxVersion: tls.VersionTLS12},
	} {
		c, err := tls.Dial("tcp", a.Address, cfg)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			_, err = io.ReadAll(c) // with TLS 1.3 a client learns of its refusal when it reads
			c.Close()
		}
		if err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	waitFor(t, "the log", func() bool { return strings.Contains(a.Log.String(), "another cluster secret") })
}

func TestClocksThatDifferAreNamed(t *testing.T) {
	a, _ := serve(t, nil)
	late := rpctest.New(t, func(c *rpc.Config) { c.Now = func() time.Time { return time.Now().Add(72 * time.Hour) } })
	_, err := say(t, late, a, hello, "x")
	if !kind.Is(err, kind.Unavailable) || !strings.Contains(err.Error(), "clocks") || errors.Is(err, rpc.ErrSecret) {
		t.Errorf("got %v", err)
	}
}

// TestAHungPeerHoldsNobody: one that answers nothing, one that never finishes a handshake, and one that
// was stopped between two calls.
func TestAHungPeerHoldsNobody(t *testing.T) {
	a, _ := serve(t, nil)
	proxy := rpctest.NewProxy(t, a.Address)
	ask := func(address, method string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		_, err := rpc.Call[wrapperspb.StringValue](ctx, a.Pool.Conn(address), method, wrapperspb.String("x"))
		return err
	}
	began := time.Now()
	if err := ask(a.Address, hang); !kind.Is(err, kind.Timeout) || errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("a handler that hangs: %v", err)
	}
	if err := ask(rpctest.Silent(t), greet); !kind.Is(err, kind.Timeout) || !errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("a silent listener: %v", err)
	}
	if _, err := rpc.Call[wrapperspb.StringValue](short(t), a.Pool.Conn(proxy.Address), greet, wrapperspb.String("x")); err != nil {
		t.Fatal(err)
	}
	proxy.Hold(true)
	if err := ask(proxy.Address, greet); !kind.Is(err, kind.Timeout) || errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("a peer that was stopped: %v", err)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("three calls of 0.3 s took %v", took)
	}
	proxy.Hold(false)
	if _, err := rpc.Call[wrapperspb.StringValue](short(t), a.Pool.Conn(proxy.Address), greet, wrapperspb.String("x")); err != nil {
		t.Errorf("after it went on: %v", err)
	}
}

// TestNobodyWaitsWithoutEnd: a call without a deadline has one all the same, against who accepts and is silent.
func TestNobodyWaitsWithoutEnd(t *testing.T) {
	a := rpctest.New(t, nil)
	_, err := rpc.Call[wrapperspb.StringValue](context.Background(), a.Pool.Conn(rpctest.Silent(t)), greet, wrapperspb.String("x"))
	if !errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("got %v", err)
	}
	_, err = rpc.Call[wrapperspb.StringValue](context.Background(), a.Pool.Conn("127.0.0.1:1"), greet, wrapperspb.String("x"))
	if !errors.Is(err, rpc.ErrNotSent) || !kind.Is(err, kind.Unavailable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a port that nobody listens on: %v", err)
	}
}

// TestAHungHandlerHoldsNoCallWithoutDeadline takes CallTimeout.
func TestAHungHandlerHoldsNoCallWithoutDeadline(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	t.Parallel()
	a, _ := serve(t, nil)
	proxy := rpctest.NewProxy(t, a.Address)
	call := func() error {
		_, err := rpc.Call[wrapperspb.StringValue](context.Background(), a.Pool.Conn(proxy.Address), greet, wrapperspb.String("x"))
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	proxy.Hold(true) // so that the server's own limit is of no help
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		if !kind.Is(err, kind.Timeout) { // a keepalive that fails, later, would be Unavailable
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the call has no end")
	}
}

func TestAPeerThatComesBackIsFoundAgain(t *testing.T) {
	a, _ := serve(t, nil)
	proxy := rpctest.NewProxy(t, a.Address)
	conn := a.Pool.Conn(proxy.Address)
	for range 3 {
		waitFor(t, "an answer", func() bool {
			_, err := rpc.Call[wrapperspb.StringValue](short(t), conn, greet, wrapperspb.String("x"))
			return err == nil
		})
		proxy.Break()
	}
}

// TestACallThatWasCutIsNotCalledUnsent: whoever retries must know that it may have happened.
func TestACallThatWasCutIsNotCalledUnsent(t *testing.T) {
	a, _ := serve(t, nil)
	proxy := rpctest.NewProxy(t, a.Address)
	conn := a.Pool.Conn(proxy.Address)
	if _, err := rpc.Call[wrapperspb.StringValue](short(t), conn, greet, wrapperspb.String("x")); err != nil {
		t.Fatal(err)
	}
	before, done := proxy.Moved(), make(chan error, 1)
	go func() {
		_, err := rpc.Call[wrapperspb.StringValue](short(t), conn, hang, wrapperspb.String(strings.Repeat("x", 10_000)))
		done <- err
	}()
	waitFor(t, "the call to arrive", func() bool { return proxy.Moved() > before+10_000 })
	proxy.Break()
	if err := <-done; !kind.Is(err, kind.Unavailable) || errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("got %v", err)
	}
}

func TestACanceledCallSaysSo(t *testing.T) {
	a, _ := serve(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := rpc.Call[wrapperspb.StringValue](ctx, a.Pool.Conn(a.Address), hang, wrapperspb.String("x")); !kind.Is(err, kind.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	a, _ := serve(t, nil)
	conn := a.Pool.Conn(a.Address)
	_, err := rpc.Call[rpc.Frame](short(t), conn, echo, &rpc.Frame{Payload: rpc.Bytes(make([]byte, rpc.MaxMessage))})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("over ", rpc.MaxMessage)) {
		t.Errorf("a frame: %v", err)
	}
	if _, err = rpc.Call[rpc.Frame](short(t), conn, echo, &rpc.Frame{Header: make([]byte, rpc.MaxFrameHeader+1)}); err == nil || !strings.Contains(err.Error(), "header") {
		t.Errorf("a header: %v", err)
	}
	if _, err = say(t, a, a, greet, strings.Repeat("x", rpc.MaxMessage)); err == nil || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("a protobuf message: %v", err)
	}
	if _, err = say(t, a, a, greet, strings.Repeat("x", rpc.MaxMessage-20)); err == nil || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("an answer that is too large: %v", err)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	a := rpctest.New(t, nil)
	a.Renew(t, rpc.ServerConfig{MaxStreams: 4})
	e := &example{hold: make(chan struct{})}
	if err := a.Server.Handle(desc(), e, roles()); err != nil {
		t.Fatal(err)
	}
	a.Serve(t)
	if _, err := say(t, a, a, greet, "x"); err != nil { // the limit is known once the peer has said it
		t.Fatal(err)
	}
	var all sync.WaitGroup
	entered := make(chan struct{}, 8)
	for range 4 {
		all.Go(func() {
			s, err := rpc.OpenStream(short(t), a.Pool.Conn(a.Address), copies)
			if err == nil {
				err = s.SendMsg(&rpc.Frame{})
			}
			if err == nil {
				err = s.RecvMsg(&rpc.Frame{})
			}
			entered <- struct{}{}
			<-e.hold
			if err == nil {
				err = errors.Join(s.CloseSend(), s.RecvMsg(&rpc.Frame{}))
			}
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
	for range 4 {
		<-entered
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := rpc.Call[wrapperspb.StringValue](ctx, a.Pool.Conn(a.Address), greet, wrapperspb.String("x"))
	if !kind.Is(err, kind.Timeout) || !errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("a fifth call: %v", err)
	}
	close(e.hold)
	all.Wait()
	if _, err := say(t, a, a, greet, "x"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	a := rpctest.New(t, nil)
	a.Renew(t, rpc.ServerConfig{MaxConns: 2})
	if err := a.Server.Handle(desc(), &example{}, roles()); err != nil {
		t.Fatal(err)
	}
	a.Serve(t)
	var idle []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", a.Address)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	third, err := net.Dial("tcp", a.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	_ = third.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := third.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a third connection: %v", err)
	}
	for _, c := range idle {
		_ = c.SetDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection within the bound: %v", err)
		}
		c.Close()
	}
	waitFor(t, "room", func() bool { _, err := say(t, a, a, greet, "x"); return err == nil })
}

// TestAStalledStreamStopsNoOther: streams whose handlers do not read fill their own windows alone.
func TestAStalledStreamStopsNoOther(t *testing.T) {
	a := rpctest.New(t, nil)
	hold := make(chan struct{})
	stalled := &grpc.ServiceDesc{ServiceName: "test.Stalled", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		rpc.Stream("Stall", func(_ chan struct{}, s grpc.ServerStream) error {
			select {
			case <-hold:
			case <-s.Context().Done():
			}
			return nil
		}),
	}}
	if err := errors.Join(a.Server.Handle(stalled, hold, map[string]rpc.Roles{"Stall": rpc.Storage}), a.Server.Handle(desc(), &example{}, roles())); err != nil {
		t.Fatal(err)
	}
	a.Serve(t)
	conn := a.Pool.Conn(a.Address)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var sent sync.WaitGroup
	for range 24 { // 1 MiB each: more than the connection's window
		s, err := rpc.OpenStream(ctx, conn, "/test.Stalled/Stall")
		if err != nil {
			t.Fatal(err)
		}
		sent.Add(1)
		all.Go(func() {
			for i := range 8 {
				if i == 5 {
					sent.Done()
				}
				if s.SendMsg(&rpc.Frame{Payload: rpc.Bytes(make([]byte, 256<<10))}) != nil {
					return
				}
			}
		})
	}
	sent.Wait()
	for range 10 {
		if _, err := say(t, a, a, greet, "x"); err != nil {
			t.Error(err)
		}
	}
	cancel()
	all.Wait()
}

// TestNothingIsReadOnTheWire looks for a payload in what passes, and finds it where there is no TLS.
func TestNothingIsReadOnTheWire(t *testing.T) {
	canary := bytes.Repeat([]byte("canary of the plain text/"), 200)
	a, _ := serve(t, nil)
	proxy := rpctest.NewProxy(t, a.Address)
	f, err := rpc.Call[rpc.Frame](short(t), a.Pool.Bulk(proxy.Address, 0), echo, &rpc.Frame{Header: canary[:100], Payload: rpc.Bytes(canary)})
	if err != nil || f.Len() != len(canary) {
		t.Fatal(err)
	}
	if seen := proxy.Seen(); len(seen) < 2*len(canary) || bytes.Contains(seen, canary[:20]) || bytes.Contains(seen, []byte("test.Example")) {
		t.Errorf("%d bytes passed, and could be read", len(seen))
	}

	plain := grpc.NewServer()
	plain.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Example", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Greet", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var q wrapperspb.BytesValue
			return &q, decode(&q)
		},
	}}}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go plain.Serve(l)
	defer plain.Stop()
	control := rpctest.NewProxy(t, l.Addr().String())
	conn, err := grpc.NewClient("passthrough:///"+control.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := rpc.Call[wrapperspb.BytesValue](short(t), conn, greet, wrapperspb.Bytes(canary)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(control.Seen(), canary[:20]) {
		t.Error("the proxy does not see what is plain: this test proves nothing")
	}
}

// counted is a pool that knows what is out.
type counted struct {
	*rpc.Buffers
	mu  sync.Mutex
	out int
}

func (c *counted) payload(n int) mem.BufferSlice {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out++
	return mem.BufferSlice{mem.NewBuffer(c.Get(n), c)}
}

func (c *counted) Put(b *[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out--
	c.Buffers.Put(b)
}

func (c *counted) held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out
}

// TestAFrameIsFreedSentOrNot: a pooled payload comes back whatever becomes of the call.
func TestAFrameIsFreedSentOrNot(t *testing.T) {
	a, _ := serve(t, nil)
	pool := &counted{Buffers: rpc.NewBuffers()}
	frame := func(n int) *rpc.Frame { return &rpc.Frame{Payload: pool.payload(n)} }
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, do := range map[string]func(){
		"sent": func() {
			if f, err := rpc.Call[rpc.Frame](short(t), a.Pool.Conn(a.Address), echo, frame(100_000)); err == nil {
				f.Free()
			} else {
				t.Error(err)
			}
		},
		"canceled":  func() { _, _ = rpc.Call[rpc.Frame](canceled, a.Pool.Conn(a.Address), echo, frame(100_000)) },
		"too large": func() { _, _ = rpc.Call[rpc.Frame](short(t), a.Pool.Conn(a.Address), echo, frame(rpc.MaxMessage)) },
		"nobody":    func() { _, _ = rpc.Call[rpc.Frame](short(t), a.Pool.Conn("127.0.0.1:1"), echo, frame(100_000)) },
		"closed": func() {
			b := rpctest.New(t, nil)
			b.Pool.Close()
			_, err := rpc.Call[rpc.Frame](short(t), b.Pool.Conn(a.Address), echo, frame(100_000))
			if !errors.Is(err, rpc.ErrNotSent) {
				t.Errorf("a closed pool: %v", err)
			}
		},
		"a stream that is over": func() {
			s, err := rpc.OpenStream(short(t), a.Pool.Conn(a.Address), copies)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.CloseSend()
			_ = s.SendMsg(frame(100_000))
		},
	} {
		do()
		waitFor(t, name, func() bool { return pool.held() == 0 })
	}
}

func TestStopWaitsForCallsButNotForEndlessOnes(t *testing.T) {
	for _, endless := range []bool{false, true} {
		a := rpctest.New(t, nil)
		begun, end := make(chan struct{}), make(chan struct{})
		d := &grpc.ServiceDesc{ServiceName: "test.Last", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
			rpc.Stream("Last", func(_ chan struct{}, s grpc.ServerStream) error {
				if endless {
					rpc.Unawaited(s.Context())
				}
				close(begun)
				select {
				case <-end:
					return s.SendMsg(&rpc.Frame{})
				case <-s.Context().Done():
					return s.Context().Err()
				}
			}),
		}}
		if err := a.Server.Handle(d, end, map[string]rpc.Roles{"Last": rpc.Storage}); err != nil {
			t.Fatal(err)
		}
		a.Serve(t)
		s, err := rpc.OpenStream(short(t), a.Pool.Conn(a.Address), "/test.Last/Last")
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		stopped := make(chan struct{})
		go func() { a.Server.Stop(context.Background()); close(stopped) }()
		if endless {
			select {
			case <-stopped:
			case <-time.After(20 * time.Second):
				t.Fatal("Stop waits for a call without end")
			}
			if err := s.RecvMsg(&rpc.Frame{}); err == nil || err == io.EOF {
				t.Errorf("a stream that was broken off: %v", err)
			}
			continue
		}
		select {
		case <-stopped:
			t.Error("Stop did not wait")
		case <-time.After(600 * time.Millisecond): // longer than Stop waits for last answers to leave
		}
		close(end)
		if err := s.RecvMsg(&rpc.Frame{}); err != nil {
			t.Errorf("the call that Stop waited for: %v", err)
		}
		_ = s.RecvMsg(&rpc.Frame{})
		<-stopped
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	a, _ := serve(t, nil)
	proxy := rpctest.NewProxy(t, a.Address)
	var all sync.WaitGroup
	for n := range 12 {
		all.Go(func() {
			for i := range 20 {
				size := (n*7919 + i*104729) % 400_000
				conn := a.Pool.Bulk(proxy.Address, uint32(n))
				data := bytes.Repeat([]byte{byte(n), byte(i)}, size/2)
				f, err := rpc.Call[rpc.Frame](short(t), conn, echo, &rpc.Frame{Payload: rpc.Bytes(data)})
				if err != nil {
					if !kind.Is(err, kind.Unavailable) {
						t.Error(err)
					}
					continue
				}
				got := make([]byte, f.Len())
				f.CopyTo(got)
				f.Free()
				if !bytes.Equal(got, data) {
					t.Error("another's bytes")
				}
				if n == 0 && i%5 == 4 {
					proxy.Break()
				}
			}
		})
	}
	all.Wait()
}
