package wire

import (
	"google.golang.org/grpc"

	"holdfast/internal/id"
)

type nopDialer struct{}

func (nopDialer) Conn(string) grpc.ClientConnInterface { return nil }

type nopPeers struct{}

func (nopPeers) NodeOf(id.Drive) (string, bool) { return "", false }
func (nopPeers) Nodes() []Node                  { return nil }
func (nopPeers) Changed() <-chan struct{}       { return nil }
