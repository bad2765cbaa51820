package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
)

const (
	greet  = "/test.Example/Greet"
	hello  = "/test.Example/Hello"
	echo   = "/test.Example/Echo"
	copies = "/test.Example/Copy"
	hang   = "/test.Example/Hang"
)

// example is a service.
type example struct{ hold chan struct{} }

func (e *example) greet(ctx context.Context, q *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	p, ok := rpc.PeerOf(ctx)
	if _, bounded := ctx.Deadline(); !ok || !bounded {
		return nil, errors.New("no peer or no deadline")
	}
	switch q.Value {
	case "":
		return nil, fmt.Errorf("example: %w", kind.New(kind.InvalidArgument, "no name"))
	case "panic":
		panic("at the disco")
	}
	return wrapperspb.String("hello " + q.Value + " from " + p.Node.String() + " " + p.Role.String()), nil
}

func (e *example) echo(_ context.Context, q *rpc.Frame) (*rpc.Frame, error) {
	b := make([]byte, q.Len())
	q.CopyTo(b)
	return &rpc.Frame{Header: q.Header, Payload: rpc.Bytes(b)}, nil
}

func (e *example) copy(s grpc.ServerStream) error {
	for {
		var f rpc.Frame
		err := s.RecvMsg(&f)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if string(f.Header) == "panic" {
			panic("stream")
		}
		if err := s.SendMsg(&f); err != nil {
			return err
		}
	}
}

func (e *example) hang(ctx context.Context, q *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	select {
	case <-e.hold:
	case <-ctx.Done():
	}
	return q, ctx.Err()
}

func desc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "test.Example",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			rpc.Unary("Greet", (*example).greet), rpc.Unary("Hello", (*example).greet), rpc.Unary("Echo", (*example).echo), rpc.Unary("Hang", (*example).hang),
		},
		Streams: []grpc.StreamDesc{rpc.Stream("Copy", (*example).copy)},
	}
}

func roles() map[string]rpc.Roles {
	return map[string]rpc.Roles{"Greet": rpc.Members, "Hello": rpc.Anyone, "Echo": rpc.Storage, "Hang": rpc.Members, "Copy": rpc.Storage}
}

// serve makes a node with the service.
func serve(t testing.TB, edit func(*rpc.Config)) (*rpctest.Node, *example) {
	t.Helper()
	n, e := rpctest.New(t, edit), &example{hold: make(chan struct{})}
	if err := n.Server.Handle(desc(), e, roles()); err != nil {
		t.Fatal(err)
	}
	return n.Serve(t), e
}

func short(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func say(t testing.TB, from, to *rpctest.Node, method, name string) (string, error) {
	a, err := rpc.Call[wrapperspb.StringValue](short(t), from.Pool.Conn(to.Address), method, wrapperspb.String(name))
	return a.GetValue(), err
}

func TestPeersOfOneClusterTalk(t *testing.T) {
	a, _ := serve(t, nil)
	b := rpctest.New(t, func(c *rpc.Config) { c.Role = rpc.Front })
	if got, err := say(t, b, a, greet, "ada"); err != nil || got != "hello ada from "+b.Identity.Node().String()+" front" {
		t.Errorf("%q, %v", got, err)
	}
	// A call without a deadline is given one.
	if _, err := rpc.Call[wrapperspb.StringValue](context.Background(), b.Pool.Conn(a.Address), greet, wrapperspb.String("x")); err != nil {
		t.Error(err)
	}
}

func TestKindsCrossTheWire(t *testing.T) {
	a, _ := serve(t, nil)
	_, err := say(t, a, a, greet, "")
	if !kind.Is(err, kind.InvalidArgument) || !strings.Contains(err.Error(), "example: no name") || errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("%v of kind %d", err, kind.Of(err))
	}
}

func TestFramesCrossTheWire(t *testing.T) {
	a, _ := serve(t, nil)
	ctx := short(t)
	for _, size := range []int{0, 1, 1000, 16 << 10, 262_208, 2 << 20, rpc.MaxMessage - 6} {
		data := bytes.Repeat([]byte("holdfast"), size/8+1)[:size]
		f, err := rpc.Call[rpc.Frame](ctx, a.Pool.Conn(a.Address), echo, &rpc.Frame{Header: []byte("head"), Payload: rpc.Bytes(data)})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size+1)
		if n := f.CopyTo(got); n != size || !bytes.Equal(got[:n], data) || string(f.Header) != "head" {
			t.Errorf("%d bytes came back as %d", size, n)
		}
		f.Free()
	}
	s, err := rpc.OpenStream(ctx, a.Pool.Bulk(a.Address, 1), copies)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := s.SendMsg(&rpc.Frame{Header: []byte{byte(i)}, Payload: rpc.Bytes(bytes.Repeat([]byte{byte(i)}, 100_000))}); err != nil {
			t.Fatal(err)
		}
		var f rpc.Frame
		if err := s.RecvMsg(&f); err != nil || len(f.Header) != 1 || f.Header[0] != byte(i) || f.Len() != 100_000 {
			t.Fatalf("frame %d: %v, %d bytes", i, err, f.Len())
		}
		f.Free()
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(&rpc.Frame{}); err != io.EOF {
		t.Errorf("the end of the stream is %v", err)
	}
}

func TestAnotherSecretIsRefusedOnBothSides(t *testing.T) {
	a, _ := serve(t, nil)
	b := rpctest.New(t, func(c *rpc.Config) { c.Secret = rpctest.Secret(t, 9) })
	_, err := say(t, b, a, hello, "ada")
	if !errors.Is(err, rpc.ErrSecret) || !errors.Is(err, rpc.ErrNotSent) || !kind.Is(err, kind.Unavailable) || !strings.Contains(err.Error(), "another cluster secret") {
		t.Errorf("got %v", err)
	}
	for name, n := range map[string]*rpctest.Node{"server": a, "client": b} {
		waitFor(t, name+"'s log", func() bool { return strings.Contains(n.Log.String(), "another cluster secret") })
	}
}

func TestAnotherClusterIsRefusedOnBothSides(t *testing.T) {
	a, _ := serve(t, nil)
	b := rpctest.New(t, func(c *rpc.Config) { c.Cluster = func() id.Cluster { return id.Cluster{2} } })
	for range 3 {
		_, err := say(t, b, a, hello, "ada")
		if !errors.Is(err, rpc.ErrCluster) || !kind.Is(err, kind.Unavailable) || !strings.Contains(err.Error(), "belongs to cluster 02") {
			t.Errorf("got %v", err)
		}
	}
	for name, n := range map[string]*rpctest.Node{"server": a, "client": b} {
		if log := n.Log.String(); strings.Count(log, "belongs to cluster") != 1 {
			t.Errorf("the %s's log: %s", name, log)
		}
	}
}

func TestAMethodIsForItsRolesAlone(t *testing.T) {
	a, _ := serve(t, nil)
	front := rpctest.New(t, func(c *rpc.Config) { c.Role = rpc.Front })
	if _, err := rpc.Call[rpc.Frame](short(t), front.Pool.Conn(a.Address), echo, &rpc.Frame{}); !errors.Is(err, rpc.ErrRole) || !strings.Contains(a.Log.String(), "not for a node in role") {
		t.Errorf("got %v", err)
	}
	forming := rpctest.New(t, func(c *rpc.Config) { c.Role, c.Cluster = rpc.Forming, func() id.Cluster { return id.Cluster{} } })
	if _, err := say(t, forming, a, greet, "x"); !errors.Is(err, rpc.ErrRefused) {
		t.Errorf("a node without a cluster: %v", err)
	}
	if got, err := say(t, forming, a, hello, "x"); err != nil || !strings.HasSuffix(got, " forming") {
		t.Errorf("a node without a cluster says hello: %q, %v", got, err)
	}
	if err := forming.Identity.SetRole(rpc.Storage); err != nil {
		t.Fatal(err)
	}
	if got, err := say(t, forming, a, hello, "x"); err != nil || !strings.HasSuffix(got, " storage") {
		t.Errorf("the role after it changed: %q, %v", got, err)
	}
	n := rpctest.New(t, nil)
	missing := roles()
	delete(missing, "Copy")
	if err := n.Server.Handle(desc(), &example{}, missing); err == nil {
		t.Error("a method without roles was registered")
	}
}

func TestAPanicIsOneCallsError(t *testing.T) {
	a, _ := serve(t, nil)
	if _, err := say(t, a, a, greet, "panic"); !kind.Is(err, kind.Unknown) || strings.Contains(err.Error(), "disco") || !strings.Contains(a.Log.String(), "disco") {
		t.Errorf("got %v", err)
	}
	s, err := rpc.OpenStream(short(t), a.Pool.Conn(a.Address), copies)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(&rpc.Frame{Header: []byte("panic")}); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(&rpc.Frame{}); err == nil || err == io.EOF {
		t.Errorf("got %v", err)
	}
	if _, err := say(t, a, a, greet, "x"); err != nil {
		t.Error(err)
	}
}

// waitFor asks until it is so.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
