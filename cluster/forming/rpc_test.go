package forming

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
	"holdfast/internal/vfs"
)

// TestFormingOverTheNetwork: with real connections and certificates. A node with another secret takes
// no part, and one that belongs to a cluster tells of it.
func TestFormingOverTheNetwork(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	mem := vfs.NewMem()
	var addresses []string
	var formers []*Former
	start := func(n int, edit func(*rpc.Config), change func(*Config)) *Former {
		peer := rpctest.New(t, func(c *rpc.Config) {
			c.Role, c.Cluster = rpc.Forming, func() id.Cluster { return id.Cluster{} }
			if edit != nil {
				edit(c)
			}
		})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		dir := fmt.Sprint("/node", n)
		cfg := Config{Self: Self{ID: peer.Identity.Node(), Name: fmt.Sprint("n", n), PeerAddress: address, GossipAddress: "g" + address, Paths: []string{dir}},
			Expect: 3, Store: Files{mem, []string{dir}}, Design: design, Caller: NewCaller(peer.Pool), Join: addresses}
		if change != nil {
			change(&cfg)
		}
		f, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Register(peer.Server); err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- peer.Server.Serve(l) }()
		t.Cleanup(func() {
			peer.Stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
		addresses = append(addresses, address)
		return f
	}
	for n := range 3 {
		formers = append(formers, start(n, nil, nil))
	}
	stranger := start(3, func(c *rpc.Config) { c.Secret = rpctest.Secret(t, 2) }, nil)
	results, failed := make(chan Result, 3), make(chan error, 3)
	for _, f := range formers {
		go func() {
			r, err := f.Run(ctx)
			if err != nil {
				failed <- err
				return
			}
			results <- r
		}()
	}
	short, stop := context.WithTimeout(ctx, 3*time.Second)
	if _, err := stranger.Run(short); err == nil {
		t.Error("a node with another secret was let in")
	}
	stop()
	if text := stranger.Waiting(); !strings.Contains(text, "secret") {
		t.Error(text)
	}
	var cluster id.Cluster
	for range 3 {
		select {
		case r := <-results:
			if r.Plan == nil || len(r.Plan.Nodes) != 3 || !cluster.IsZero() && r.Cluster != cluster {
				t.Fatalf("%+v", r)
			}
			cluster = r.Cluster
		case err := <-failed:
			t.Fatal(err)
		}
	}
	member := start(4, func(c *rpc.Config) { c.Role, c.Cluster = rpc.Storage, func() id.Cluster { return cluster } }, func(c *Config) { c.Cluster = cluster })
	late := start(5, nil, func(c *Config) { c.Join = []string{member.cfg.Self.PeerAddress} })
	if r, err := late.Run(ctx); err != nil || r.Cluster != cluster || r.Plan != nil {
		t.Fatalf("%+v %v", r, err)
	}
	if seeds := late.Seeds(ctx); len(seeds) != 1 || seeds[0] != member.cfg.Self.GossipAddress {
		t.Fatal(seeds)
	}
}
