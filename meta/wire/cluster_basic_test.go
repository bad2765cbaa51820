package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/proto/metapb"
)

func TestFrontReachesGroupsOnOtherNodes(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 4})
	front := c.nodes[3]
	for g := range uint32(5) {
		front.mustPut(g, "a", fmt.Sprint("value", g))
	}
	for _, n := range c.nodes {
		for g := range uint32(5) {
			n.wants(g, "a", fmt.Sprint("value", g))
		}
		if answers, err := n.client.AskAll(t.Context(), &metapb.Query{Key: "a"}); err != nil || len(answers) != 4 || answers[3].GetMessage() != "value4" {
			t.Errorf("node %d asks all: %v, %v", n.i, answers, err)
		}
	}
	if _, err := front.client.Ask(t.Context(), 9, &metapb.Query{}); err == nil {
		t.Error("a group that does not exist answers")
	}
}

func TestLargeCommandsAndAnswersFitThrough(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
	front := c.nodes[3]
	large := strings.Repeat("v", 4<<20-200)
	front.mustPut(1, "large", large)
	if got, err := front.get(1, "large"); err != nil || got != large {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := front.get(1, "*5000000"); err != nil || len(got) != 5000000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := front.get(1, "*9000000"); err == nil {
		t.Error("an answer beyond the largest frame got through")
	}
	front.wants(1, "large", large)
}
