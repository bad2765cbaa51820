package placement

import (
	"strings"
	"testing"

	"holdfast/internal/id"
)

// TestStatusSaysWhenOneDomainCannotBeLost: and is silent when it can.
func TestStatusSaysWhenOneDomainCannotBeLost(t *testing.T) {
	name := func(n id.Node) string { return string('a' + rune(n[1]) - 1) }
	uneven := append(cluster(1, 3, 1), cluster(2, 1, 6)[6:]...) // one node of three in a zone, one of six drives
	mixed := cluster(2, 2, 2)
	for i := range mixed[4:] {
		mixed[4+i].Zone = ""
	}
	for what, c := range map[string]struct {
		drives       []Candidate
		k, m, factor int
		want         []string // parts of the sentences, in order
	}{
		"one node":               {cluster(1, 1, 6), 4, 2, 5, nil},
		"four nodes":             {cluster(1, 4, 1), 2, 2, 3, nil},
		"four zones":             {cluster(4, 1, 2), 5, 3, 7, nil},
		"three zones":            {cluster(3, 2, 1), 4, 2, 5, nil},
		"two zones":              {cluster(2, 3, 1), 4, 2, 5, []string{"3 of 6 shards are in zone", "3 of 5 metadata replicas are in zone"}},
		"three nodes, two each":  {cluster(1, 3, 2), 4, 2, 5, []string{"2 of 6 shards are on node a: without it data can be read but not written"}},
		"two nodes":              {cluster(1, 2, 3), 4, 2, 5, []string{"3 of 6 shards are on node a, and 2 may", "3 of 5 metadata replicas are on node a"}},
		"fewer drives than that": {cluster(1, 5, 1), 4, 2, 5, []string{"5 drives take shards, and data has 6: 1 of them"}},
		"a large zone":           {uneven, 4, 2, 5, []string{`3 of 6 shards are in zone "zone`, "in zone", "3 of 6 shards are on node"}},
		"zones of some":          {mixed, 5, 3, 7, []string{"4 drives are in no zone", "4 of 8 shards are in zone", "replicas are in zone"}},
	} {
		got := Shortcomings(c.drives, c.k, c.m, c.factor, name)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", what, got)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", what, got[i], c.want[i])
			}
		}
	}
}

// TestSpreadIsWhatChooseDoes: the fullest domain of any data ID is what SpreadOf says.
func TestSpreadIsWhatChooseDoes(t *testing.T) {
	for _, drives := range [][]Candidate{cluster(3, 2, 2), cluster(1, 4, 3), append(cluster(1, 4, 1), cluster(2, 1, 5)[5:]...)} {
		for n := 1; n <= len(drives)+1; n++ {
			s := SpreadOf(drives, n)
			for i := range 50 {
				zones, nodes, placed := map[string]int{}, map[id.Node]int{}, 0
				chosen, _ := Choose(drives, dataID(i), n)
				for _, d := range chosen {
					if d.IsZero() {
						continue
					}
					placed++
					for _, c := range drives {
						if c.ID == d {
							zones[c.Zone]++
							nodes[c.Node]++
						}
					}
				}
				if most(zones) != s.InZone || placed != s.Placed || most(nodes) != s.OnNode {
					t.Fatalf("%d shards on %d drives: zones %v, nodes %v, want %+v", n, len(drives), zones, nodes, s)
				}
			}
		}
	}
}

func most[K comparable](m map[K]int) (n int) {
	for _, v := range m {
		n = max(n, v)
	}
	return n
}
