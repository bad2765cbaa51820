package cluster

import (
	"context"
	"testing"
	"time"

	"holdfast/cluster/gossip"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// TestANodeAtTheAddressOfAnotherDoesNotAnswerForIt: a node that was wiped is a new one at the old address. What
// is said there is not the old one's word, for it would have the new one's drives.
func TestANodeAtTheAddressOfAnotherDoesNotAnswerForIt(t *testing.T) {
	record := func(n gossip.Node) *metapb.Node {
		return &metapb.Node{Id: n.ID[:], PeerAddress: n.PeerAddress, Storage: true}
	}
	self, wiped := aNode("self", "z"), aNode("self before", "z")
	wiped.PeerAddress = self.PeerAddress
	other, old, away := aNode("other", "z"), aNode("other before", "z"), aNode("away", "z")
	old.PeerAddress = other.PeerAddress
	ask := func(context.Context, string) ([]node.Status, error) { return nil, nil }
	s := &state{
		d:       &Directory{cfg: DirectoryConfig{Self: self, Ask: ask, Now: time.Now}},
		layout:  &metapb.ClusterLayout{Nodes: []*metapb.Node{record(self), record(wiped), record(other), record(old), record(away)}},
		members: []gossip.Member{{Node: other, Alive: true}},
	}
	all := s.targets()
	if _, ok := all[other.ID]; !ok || len(all) != 2 {
		t.Errorf("asked are %v", all)
	}
	if _, ok := all[away.ID]; !ok {
		t.Error("a node that gossip has lost is not asked any more")
	}
}
