package rpc_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
)

// TestConnectionsAreKeptWhileUsedAndClosedWhenNot, and made again.
func TestConnectionsAreKeptWhileUsedAndClosedWhenNot(t *testing.T) {
	var ahead atomic.Int64
	a, _ := serve(t, nil)
	b := rpctest.New(t, func(c *rpc.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	proxy, other := rpctest.NewProxy(t, a.Address), rpctest.NewProxy(t, a.Address)
	ask := func(p *rpctest.Proxy) {
		t.Helper()
		if _, err := say(t, b, &rpctest.Node{Address: p.Address}, greet, "x"); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		ask(proxy)
	}
	if proxy.Accepted() != 1 {
		t.Errorf("%d connections for five calls", proxy.Accepted())
	}
	ahead.Store(int64(9 * time.Minute))
	ask(other)
	if proxy.Open() != 1 {
		t.Error("a connection was closed before its time")
	}
	ahead.Store(int64(15 * time.Minute))
	ask(other)
	waitFor(t, "the idle connection to be closed", func() bool { return proxy.Open() == 0 })
	if other.Accepted() != 1 {
		t.Error("a connection in use was closed")
	}
	ask(proxy)
}

// TestBulkHasConnectionsOfItsOwn, so many and no more.
func TestBulkHasConnectionsOfItsOwn(t *testing.T) {
	a, _ := serve(t, nil)
	proxy := rpctest.NewProxy(t, a.Address)
	for n := range 10 {
		f, err := rpc.Call[rpc.Frame](short(t), a.Pool.Bulk(proxy.Address, uint32(n)), echo, &rpc.Frame{})
		if err != nil {
			t.Fatal(err)
		}
		f.Free()
	}
	if proxy.Accepted() != 2 {
		t.Errorf("%d connections", proxy.Accepted())
	}
	if _, err := rpc.Call[rpc.Frame](short(t), a.Pool.Conn(proxy.Address), echo, &rpc.Frame{}); err != nil || proxy.Accepted() != 3 {
		t.Errorf("%d connections, %v", proxy.Accepted(), err)
	}
}

// TestARoleMayChangeAmongCalls: none of them fails for it.
func TestARoleMayChangeAmongCalls(t *testing.T) {
	a, _ := serve(t, nil)
	b := rpctest.New(t, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				if _, err := say(t, b, a, greet, "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 10 {
		if err := b.Identity.SetRole([]rpc.Role{rpc.Front, rpc.Storage}[n%2]); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if err := b.Identity.SetRole(rpc.Members); err == nil {
		t.Error("two roles at once")
	}
}

func TestIPv6AndNamesAreAddresses(t *testing.T) {
	a := rpctest.New(t, nil)
	for _, address := range []string{"[::1]:1", "localhost:1"} {
		if _, err := say(t, a, &rpctest.Node{Address: address}, greet, "x"); err == nil || !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "cannot assign") && !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	var cfg rpc.Config
	n := rpctest.New(t, func(c *rpc.Config) { cfg = *c })
	raw := make([]byte, 4)
	for i := range raw {
		raw[i] = 1 + byte(i)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		text := fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, &cfg) + fmt.Sprintf(verb, n.Identity)
		for _, b64 := range []string{"AQIDBAUG", fmt.Sprintf("%x", raw), "1 2 3 4 5"} {
			if strings.Contains(text, b64) {
				t.Errorf("%s prints the secret: %s", verb, text)
			}
		}
	}
}
