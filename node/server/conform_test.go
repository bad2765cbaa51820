package server_test

import (
	"context"
	"crypto/rand"
	"testing"

	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
	"holdfast/node"
	"holdfast/node/drive"
	"holdfast/node/nodetest"
)

func TestADriveOfAnotherNodeConforms(t *testing.T) {
	nodetest.Conform(t, func() node.Drive { return newPair(t, nil).remote })
}

func TestADriveOnDiskOfAnotherNodeConforms(t *testing.T) {
	nodetest.Conform(t, func() node.Drive {
		cfg := drive.Config{Path: t.TempDir(), Create: true, ReserveBytes: 1}
		if _, err := rand.Read(cfg.Cluster[:]); err != nil {
			t.Fatal(err)
		}
		d, err := drive.Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		lender, front := lend(t, nil, d), rpctest.New(t, func(c *rpc.Config) { c.Role = rpc.Front })
		r := remote(t, front, lender.Address, id.Drive(d.ID()), nil)
		poll(t, front, r)
		return r
	})
}
