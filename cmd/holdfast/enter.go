package main

import (
	"context"
	"errors"

	"holdfast/erasure"
	"holdfast/internal/rpc"
)

// birth is how this node came into its cluster.
type birth struct {
	origin
	scheme   erasure.Scheme                 // of a cluster that is formed now
	seeds    func(context.Context) []string // where others gossip
	register func(*rpc.Server) error        // answers nodes that look for the cluster
}

// enter finds the cluster, or forms it with the others, however long that takes.
func (s *server) enter(context.Context) (*birth, error) {
	return nil, errors.New("--join and --expect: clusters of several nodes are not built yet")
}
