package server_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
	"holdfast/node/server"
)

// lend makes a node that lends drives.
func lend(t testing.TB, edit func(*server.Config), drives ...node.Drive) *rpctest.Node {
	t.Helper()
	n := rpctest.New(t, nil)
	cfg := server.Config{Node: n.Identity.Node(), Drives: client.NewDrives(drives...)}
	if edit != nil {
		edit(&cfg)
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(n.Server); err != nil {
		t.Fatal(err)
	}
	return n.Serve(t)
}

// remote makes the way from one node to a drive behind an address.
func remote(t testing.TB, from *rpctest.Node, address string, drive id.Drive, edit func(*client.Config)) *client.Remote {
	t.Helper()
	cfg := client.Config{Pool: from.Pool, Address: address, Drive: drive}
	if edit != nil {
		edit(&cfg)
	}
	r, err := client.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pair is a drive in memory and the way to it from another node.
type pair struct {
	drive  *nodetest.Drive
	lender *rpctest.Node
	front  *rpctest.Node
	remote *client.Remote
}

func newPair(t testing.TB, edit func(*client.Config)) *pair {
	t.Helper()
	p := &pair{drive: nodetest.NewDrive(id.Drive{7})}
	p.lender = lend(t, nil, p.drive)
	p.front = rpctest.New(t, func(c *rpc.Config) { c.Role = rpc.Front })
	p.remote = remote(t, p.front, p.lender.Address, id.Drive{7}, edit)
	poll(t, p.front, p.remote)
	return p
}

// poll fetches the drive's status once.
func poll(t testing.TB, from *rpctest.Node, r *client.Remote) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := client.Statuses(ctx, from.Pool.Conn(r.Address()))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == r.Status().ID {
			r.SetStatus(s)
		}
	}
}

const blockLen = 4 * (64<<10 + 16)

// specOf is shard n, of so many full blocks.
func specOf(n byte, blocks int) node.Spec {
	return node.Spec{Shard: node.Shard{Data: id.Data{0, 0, 0, 1, n}, Index: n % 6}, K: 4, M: 2, BlockLen: blockLen, Length: uint64(blocks) * blockLen}
}

func content(seed byte) []byte {
	b := node.AllocBlock(blockLen)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// write writes a shard and says how each call went.
func write(ctx context.Context, d node.Drive, spec node.Spec) error {
	w, err := d.Create(ctx, spec)
	if err != nil {
		return err
	}
	defer w.Abort()
	for n := range spec.Blocks() {
		if err := w.WriteBlock(ctx, content(byte(n))[:spec.BlockSize(n)]); err != nil {
			return err
		}
	}
	return w.Commit(ctx)
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
