// Package rpctest makes nodes that talk over loopback, for tests of services.
package rpctest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net"
	"sync"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/internal/secret"
)

// Node is a process among peers.
type Node struct {
	Identity *rpc.Identity
	Pool     *rpc.Pool
	Server   *rpc.Server
	Address  string // once it serves
	Log      *Log
	serving  sync.WaitGroup
}

// Secret is a cluster secret, another one for each n.
func Secret(t testing.TB, n byte) secret.Cluster {
	t.Helper()
	raw := make([]byte, secret.Size)
	for i := range raw {
		raw[i] = n + byte(i)
	}
	s, err := secret.Parse(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// New makes a storage node of cluster {1} and secret 1, with what edit changes, which may be nil. It ends with the test.
func New(t testing.TB, edit func(*rpc.Config)) *Node {
	t.Helper()
	node, err := id.Random[id.Node](rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{Log: &Log{}}
	cfg := rpc.Config{
		Secret: Secret(t, 1), Node: node, Role: rpc.Storage, Cluster: func() id.Cluster { return id.Cluster{1} },
		Rand: rand.Reader, Logger: slog.New(slog.NewTextHandler(n.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if edit != nil {
		edit(&cfg)
	}
	if n.Identity, err = rpc.NewIdentity(cfg); err != nil {
		t.Fatal(err)
	}
	if n.Pool, err = rpc.NewPool(n.Identity, rpc.PoolConfig{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Pool.Close)
	n.Renew(t, rpc.ServerConfig{})
	return n
}

// Renew gives the node a fresh server with the given limits, in place of one that does not serve.
func (n *Node) Renew(t testing.TB, cfg rpc.ServerConfig) {
	t.Helper()
	var err error
	if n.Server, err = rpc.NewServer(n.Identity, cfg); err != nil {
		t.Fatal(err)
	}
}

// Serve listens on loopback. Services are registered before.
func (n *Node) Serve(t testing.TB) *Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.Address = l.Addr().String()
	n.serving.Go(func() {
		if err := n.Server.Serve(l); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(n.Stop)
	return n
}

// Stop breaks off all calls.
func (n *Node) Stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.Server.Stop(ctx)
	n.serving.Wait()
}

// Log keeps what was logged.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
