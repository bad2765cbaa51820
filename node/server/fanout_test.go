package server_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"holdfast/erasure"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/rpc/rpctest"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
)

// TestDataIsWrittenAndReadThroughOtherNodes: 4+2 over six nodes, one of which goes away in between, and one
// that is full when a write begins.
func TestDataIsWrittenAndReadThroughOtherNodes(t *testing.T) {
	front := rpctest.New(t, nil)
	var (
		lenders []*rpctest.Node
		drives  []*nodetest.Drive
		router  = client.NewDrives()
		names   []id.Drive
	)
	for n := range 7 {
		d := nodetest.NewDrive(id.Drive{byte(n + 1)})
		lender := lend(t, nil, d)
		r := remote(t, front, lender.Address, id.Drive{byte(n + 1)}, nil)
		poll(t, front, r)
		router.Add(r)
		drives, lenders, names = append(drives, d), append(lenders, lender), append(names, id.Drive{byte(n + 1)})
	}
	f, err := fanout.New(fanout.Config{Drives: router})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	drives[1].SetOut(true) // its node says so when asked; the spare takes its shard
	data := make([]byte, 5_000_001)
	rand.NewChaCha8([32]byte{1}).Read(data)
	spec := fanout.PutSpec{Data: id.Data{0, 0, 0, 1, 1}, Scheme: erasure.Scheme{K: 4, M: 2}, Length: int64(len(data)), Drives: names[:6], Spares: names[6:], Margin: 1}
	placed, err := f.Put(context.Background(), spec, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if placed[1] != names[6] {
		t.Errorf("shard 1 is on %s, and not on the spare", placed[1])
	}
	for i, name := range placed {
		if name.IsZero() {
			t.Errorf("shard %d was not placed", i)
		}
	}
	if shards, _ := drives[6].Census(); len(shards) != 1 || shards[0] != (node.Shard{Data: spec.Data, Index: 1}) {
		t.Errorf("the spare has %v", shards)
	}
	lenders[0].Stop()
	lenders[3].Stop()
	var got bytes.Buffer
	ref := fanout.Ref{Data: spec.Data, Layout: erasure.Layout{Scheme: spec.Scheme, BlockLen: erasure.BlockLen(4), Length: spec.Length}, Drives: placed}
	if err := f.Get(context.Background(), ref, 0, spec.Length, func(b []byte) error { got.Write(b); return nil }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), data) {
		t.Error("other bytes came back")
	}
}
