// Package metatest has a metadata service without Raft, for tests of what stands above it: the
// real state machines, one after the other.
package metatest

import (
	"context"
	"sync"

	"holdfast/internal/kind"
	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// Groups is a set of state machines in memory. Safe for concurrent use.
type Groups struct {
	mu     sync.Mutex
	stores []*fsm.MapStore
	index  uint64
	fail   func(cmd *metapb.Command) error
	silent error
}

// New makes the system group and n object groups.
func New(n int) *Groups {
	g := &Groups{}
	for range n + 1 {
		g.stores = append(g.stores, fsm.NewMapStore())
	}
	return g
}

// Fail has fn look at every command first: its error is answered in place of the group's result.
func (g *Groups) Fail(fn func(cmd *metapb.Command) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = fn
}

// Silence has every query answered with an error; nil ends that.
func (g *Groups) Silence(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent = err
}

// Groups is the number of object groups.
func (g *Groups) Groups() uint32 { return uint32(len(g.stores) - 1) }

// Apply applies a command; a refusal comes as an error with its kind.
func (g *Groups) Apply(_ context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		if err := g.fail(cmd); err != nil {
			return nil, err
		}
	}
	g.index++
	res, err := fsm.Apply(g.stores[group], group, g.index, cmd)
	if err == nil && res.Kind != 0 {
		err = kind.New(kind.Kind(res.Kind), "%s", res.Message)
	}
	return res, err
}

// Ask answers a query.
func (g *Groups) Ask(_ context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.silent != nil {
		return nil, g.silent
	}
	a, err := fsm.Answer(g.stores[group], group, q)
	if err == nil && a.Kind != 0 {
		err = kind.New(kind.Kind(a.Kind), "%s", a.Message)
	}
	return a, err
}
