package wire

import (
	"holdfast/internal/id"
)

// Node is a process of the cluster, as far as this package cares.
type Node struct {
	ID      id.Node
	Address string // host:port of its gRPC
	// Alive is a hint: of two nodes that may lead a group, the one that is alive is asked first.
	Alive bool
}

// Peers says where drives are. The directory of the cluster implements it. Its methods are called
// for every batch of messages and must be cheap.
type Peers interface {
	// NodeOf is the address of the node that has a drive.
	NodeOf(drive id.Drive) (address string, ok bool)
	// Nodes are the other nodes that have drives, in no order. The slice is not changed.
	Nodes() []Node
	// Changed is closed when what the others return changes.
	Changed() <-chan struct{}
}
