package wire_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

func TestThousandQueriesShareFramesAndOneSearch(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 8})
	front := c.nodes[3]
	for g := range uint32(9) {
		front.mustPut(g, "a", "value")
	}
	before := front.router.Stats()
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if got, err := front.get(uint32(i%9), "a"); err != nil || got != "value" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	after := front.router.Stats()
	if n := after.Requests - before.Requests; n < 1000 || n > 1100 {
		t.Errorf("%d requests for 1000 queries", n)
	}
	if n := after.Frames - before.Frames; n > 500 {
		t.Errorf("%d frames for 1000 queries", n)
	}
	if after.Searches != before.Searches {
		t.Errorf("%d searches although all leaders were known", after.Searches-before.Searches)
	}
	t.Logf("%d frames, %d searches", after.Frames-before.Frames, after.Searches)
}

func TestQueryOfAllGroupsCostsOneRequestANode(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 16})
	front := c.nodes[3]
	for g := range uint32(17) {
		front.mustPut(g, "a", fmt.Sprint("value", g))
	}
	for _, n := range c.nodes {
		if _, err := n.client.AskAll(t.Context(), &metapb.Query{Key: "a"}); err != nil {
			t.Fatal(err)
		}
		most := uint64(3)
		if n.drive != nil {
			most = 2
		}
		before := n.router.Stats()
		answers, err := n.client.AskAll(t.Context(), &metapb.Query{Key: "a"})
		if err != nil || answers[15].GetMessage() != "value16" {
			t.Fatal(err)
		}
		if sent := n.router.Stats().Requests - before.Requests; sent > most {
			t.Errorf("node %d sent %d requests for all groups", n.i, sent)
		}
	}
}

func TestQueryOfAllGroupsOutlivesALeader(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 6})
	front := c.nodes[3]
	for g := range uint32(7) {
		front.mustPut(g, "a", fmt.Sprint("value", g))
	}
	c.nodes[c.leaderOf(2)].stop()
	within(t, "ask all", func() error {
		answers, err := front.client.AskAll(t.Context(), &metapb.Query{Key: "a"})
		for i, a := range answers {
			if want := fmt.Sprint("value", i+1); a.GetMessage() != want {
				t.Errorf("group %d: %q", i+1, a.GetMessage())
			}
		}
		return err
	})
}

func TestFullGroupsAreKnownAtFronts(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 2})
	front := c.nodes[3]
	front.mustPut(1, "a", "value")
	for _, n := range c.nodes[:3] {
		n.full.Store(true)
	}
	front.wants(1, "a", "value") // whatever is asked tells it
	if err := front.put(1, "a", "more"); !kind.Is(err, kind.Full) {
		t.Errorf("a command that makes a full group grow: %v", err)
	}
	for _, n := range c.nodes[:3] {
		n.full.Store(false)
	}
	front.wants(1, "a", "value")
	front.mustPut(1, "a", "more")
}

func TestSlowAnswersAreWaitedForAndAskedOnce(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
	front := c.nodes[3]
	front.mustPut(1, "a", "b")
	before := front.router.Stats()
	if got, err := front.get(1, "~2500ms"); err != nil || got != "2500ms" {
		t.Errorf("%q, %v", got, err)
	}
	if n := front.router.Stats().Requests - before.Requests; n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestCallersWhoseTimeIsUpAreAnswered(t *testing.T) {
	c := newCluster(t, setup{storage: 3, fronts: 1, factor: 3, groups: 1})
	front := c.nodes[3]
	front.mustPut(1, "a", "b")
	old := c.leaderOf(1)
	for i := range 3 { // nobody can lead
		if i != old {
			c.nodes[i].stop()
		}
	}
	start := time.Now()
	err := front.put(1, "a", "c")
	if took := time.Since(start); err == nil || took > 20*time.Second || !kind.Is(err, kind.Unavailable) && !kind.Is(err, kind.Timeout) {
		t.Errorf("without a quorum: %v after %v", err, took)
	}
	front.router.Close()
	if _, err := front.router.Propose(t.Context(), 1, encode(put("a", "d"))); err == nil {
		t.Error("a closed router proposes")
	}
	if _, err := front.router.Propose(t.Context(), 1, make([]byte, replica.MaxCommand+1)); err == nil || kind.Is(err, kind.NotLeader) {
		t.Errorf("a command that is too large: %v", err)
	}
}
