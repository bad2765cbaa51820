package census

import (
	"context"

	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// countReplicas compares the replicas of each group, and counts them.
func (c *census) countReplicas(ctx context.Context) error {
	want := 0
	groups := c.host.Status(ctx).Groups
	for _, g := range groups {
		want = max(want, voters(g))
	}
	c.report.Groups, c.report.Factor = len(groups), want
	for _, g := range groups {
		c.countGroup(ctx, g, want)
	}
	return ctx.Err()
}

func voters(g replica.GroupStatus) (n int) {
	for _, m := range g.Members {
		if m.Voter {
			n++
		}
	}
	return n
}

func (c *census) countGroup(ctx context.Context, g replica.GroupStatus, want int) {
	if n := voters(g); n < want || g.Joint {
		c.report.find("replicas", "group %d has %d voting members of %d, between two configurations: %v", g.Group, n, want, g.Joint)
	}
	type content struct{ index, sum uint64 }
	var first content
	drives := map[id.Drive]bool{}
	for _, m := range g.Members {
		if drives[m.Drive] {
			c.report.find("replicas", "group %d has two replicas on drive %s", g.Group, m.Drive)
		}
		drives[m.Drive] = true
		index, sum, err := c.host.Hash(ctx, g.Group, m.Drive)
		switch {
		case err != nil:
			c.report.find("replicas", "group %d, replica %d on drive %s: %v", g.Group, m.RaftID, m.Drive, err)
			continue
		case !m.Voter:
			c.report.find("replicas", "group %d, replica %d on drive %s has no vote", g.Group, m.RaftID, m.Drive)
		case first == content{}:
			first = content{index, sum}
		case first.index != index:
			c.report.find("replicas", "group %d: the replica on drive %s stands at %d, another at %d", g.Group, m.Drive, index, first.index)
		case first.sum != sum:
			c.report.find("DIVERGED", "group %d: the replica on drive %s has the hash %016x at %d, another %016x", g.Group, m.Drive, sum, index, first.sum)
		}
		c.report.Replicas++
	}
	for _, r := range g.Replicas {
		if !drives[r.Drive] {
			c.report.LeftReplicas++ // left behind; its drive drops it when it hears of that
		}
	}
}
