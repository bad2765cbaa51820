package object

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// naive lists a sorted set of keys the slow way.
func naive(keys []string, prefix, delimiter string) []string {
	var out []string
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			k = k[:len(prefix)+i+len(delimiter)]
		}
		if len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return out
}

func TestPagesOverAllGroupsEqualTheNaiveListing(t *testing.T) {
	s := newStore(t)
	var keys []string
	for range 400 {
		k := fmt.Sprintf("%c/%c%c/%d", 'a'+s.rand.IntN(3), 'a'+s.rand.IntN(4), 'a'+s.rand.IntN(4), s.rand.IntN(30))
		if s.rand.IntN(4) == 0 {
			k = strings.ReplaceAll(k, "/", "")
		}
		keys = append(keys, k)
		s.put(k, []byte("x"), nil)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, prefix := range []string{"", "a", "a/", "b/ab", "zz"} {
		for _, delimiter := range []string{"", "/", "b"} {
			for _, limit := range []int{1, 2, 7, 50, 1000} {
				want := naive(keys, prefix, delimiter)
				var got []string
				r := ListRequest{Bucket: "b", Prefix: prefix, Delimiter: delimiter, Limit: limit}
				for {
					page, err := s.List(t.Context(), r)
					must(t, err)
					for _, e := range page.Entries {
						got = append(got, e.Key)
						r.After, r.AfterPrefix = e.Key, e.CommonPrefix
					}
					if len(page.Entries) > limit || (page.More && len(page.Entries) != limit) {
						t.Fatalf("a page of %d entries (more: %t) for a limit of %d", len(page.Entries), page.More, limit)
					}
					if page.More == (len(got) >= len(want)) {
						t.Fatalf("prefix %q delimiter %q limit %d: after %d of %d entries, more is %t", prefix, delimiter, limit, len(got), len(want), page.More)
					}
					if !page.More {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("prefix %q delimiter %q limit %d: got %q, want %q", prefix, delimiter, limit, got, want)
				}
			}
		}
	}
}
