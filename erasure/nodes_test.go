package erasure

import (
	"fmt"
	"slices"
	"testing"
)

func repeat(nodes, drives int) []int { return slices.Repeat([]int{drives}, nodes) }

func TestDefaultSchemeOfNodes(t *testing.T) {
	for _, c := range []struct {
		drives []int
		want   string
	}{
		{nil, ""}, {[]int{1}, "1+0"}, {[]int{2}, ""}, {[]int{1, 1}, ""}, {[]int{6}, "4+2"}, {[]int{2, 2}, "2+2"}, {[]int{16}, "12+4"},
		{repeat(3, 1), "1+2"}, {repeat(3, 2), "4+2"}, {repeat(3, 4), "8+4"},
		{repeat(4, 1), "2+2"}, {repeat(4, 2), "5+3"}, {repeat(4, 3), "8+4"}, {repeat(4, 4), "11+5"}, {repeat(4, 24), "11+5"},
		{repeat(5, 1), "3+2"}, {repeat(5, 4), "11+4"}, {repeat(6, 1), "4+2"}, {repeat(8, 2), "13+3"}, {repeat(16, 1), "14+2"}, {repeat(40, 12), "14+2"},
		{[]int{8, 1, 1, 1}, "2+2"}, {[]int{2, 2, 2, 1}, "4+3"}, {[]int{2, 0, 2, 2, 2}, "5+3"}, {[]int{0, 0, 1}, "1+0"},
	} {
		got, err := DefaultFor(c.drives)
		if c.want == "" {
			if err == nil {
				t.Errorf("%v: got %s", c.drives, got)
			}
			continue
		}
		if err != nil || got.String() != c.want {
			t.Errorf("%v: got %s, %v, want %s", c.drives, got, err, c.want)
		}
	}
}

// TestWithFourNodesAnyOneMayBeLost: of the shards of any data k+1 are left, which is what a write needs,
// and of the replicas of any group a majority, for every cluster of four to seven nodes with up to
// five drives each.
func TestWithFourNodesAnyOneMayBeLost(t *testing.T) {
	clusters := 0
	for nodes := 4; nodes <= 7; nodes++ {
		for drives := range ascending(nodes, 5) {
			clusters++
			scheme, err := DefaultFor(drives)
			if err != nil {
				t.Fatalf("%v: %v", drives, err)
			}
			n := scheme.Shards()
			if left := n - dealt(drives, n); left < scheme.K+1 {
				t.Errorf("%v, %s: a node lost leaves %d shards, a write needs %d", drives, scheme, left, scheme.K+1)
			}
			factor := replicationFactor(drives, scheme.M)
			if left := factor - dealt(drives, factor); left <= factor/2 {
				t.Errorf("%v, %s: a node lost leaves %d of %d replicas", drives, scheme, left, factor)
			}
		}
	}
	if clusters < 100 {
		t.Errorf("only %d clusters", clusters)
	}
}

// TestWithThreeNodesReadsGoOnWithoutOne: and metadata too, unless one node has more drives than the
// others together, which get more replicas than a majority can spare.
func TestWithThreeNodesReadsGoOnWithoutOne(t *testing.T) {
	for drives := range ascending(3, 8) {
		scheme, err := DefaultFor(drives)
		if err != nil {
			t.Fatalf("%v: %v", drives, err)
		}
		n, factor := scheme.Shards(), replicationFactor(drives, scheme.M)
		if left := n - dealt(drives, n); left < scheme.K {
			t.Errorf("%v, %s: a node lost leaves %d shards", drives, scheme, left)
		}
		if left := factor - dealt(drives, factor); left <= factor/2 && drives[2] <= drives[0]+drives[1] {
			t.Errorf("%v, %s: a node lost leaves %d of %d replicas", drives, scheme, left, factor)
		}
	}
}

// ascending yields all ascending lists of so many numbers from 1 to most: the order does not matter.
func ascending(length, most int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		list := slices.Repeat([]int{1}, length)
		for {
			if !yield(slices.Clone(list)) {
				return
			}
			i := length - 1
			for i >= 0 && list[i] == most {
				i--
			}
			if i < 0 {
				return
			}
			v := list[i] + 1
			for ; i < length; i++ {
				list[i] = v
			}
		}
	}
}

// dealt is what the fullest node gets when n are dealt evenly, each to another drive.
func dealt(drives []int, n int) (most int) {
	got := make([]int, len(drives))
	for range n {
		best := -1
		for i := range drives {
			if got[i] < drives[i] && (best < 0 || got[i] < got[best]) {
				best = i
			}
		}
		if best < 0 {
			panic(fmt.Sprintf("%d on %v", n, drives))
		}
		got[best]++
		most = max(most, got[best])
	}
	return most
}

// replicationFactor is replica.ReplicationFactor, which lies above this package.
func replicationFactor(drives []int, m int) int {
	odd := 0
	for _, d := range drives {
		odd += d
	}
	if odd%2 == 0 {
		odd--
	}
	return min(odd, max(3, 2*m+1))
}
