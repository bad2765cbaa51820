package meta

import (
	"fmt"
	"testing"

	"holdfast/internal/id"
)

// TestTheGroupOfAKeyNeverChanges: it is part of the format.
func TestTheGroupOfAKeyNeverChanges(t *testing.T) {
	for key, want := range map[string]uint32{"a": 12, "dir/object": 5, "ключ": 2, "\x00\xff": 1} {
		if got := GroupOf(DefaultGroups, id.Bucket{1, 2, 3}, key); got != want {
			t.Errorf("%q: group %d, was %d", key, got, want)
		}
	}
}

func TestKeysSpreadOverAllGroupsButTheSystems(t *testing.T) {
	const keys = 16_000
	seen := make([]int, DefaultGroups+1)
	for n := range keys {
		g := GroupOf(DefaultGroups, id.Bucket{byte(n)}, fmt.Sprint("key/", n))
		if g == SystemGroup || g > DefaultGroups {
			t.Fatalf("group %d", g)
		}
		seen[g]++
	}
	for g, n := range seen[1:] {
		if n < keys/16*8/10 || n > keys/16*12/10 {
			t.Errorf("group %d has %d of %d keys", g+1, n, keys)
		}
	}
}
