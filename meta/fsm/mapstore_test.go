package fsm

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestMapStoreIsOrdered holds MapStore against a map that is sorted for each look.
func TestMapStoreIsOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, want := NewMapStore(), map[string]string{}
		for range rapid.SampledFrom([]int{10, 1500}).Draw(t, "filler") {
			k := []byte{byte(len(want)), byte(len(want) >> 8), 'f'}
			want[string(k)] = "x"
			_ = s.Set(k, []byte("x"))
		}
		for range rapid.IntRange(0, 60).Draw(t, "operations") {
			k := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'f', 0xff}), 1, 3).Draw(t, "key")
			if rapid.Bool().Draw(t, "delete") {
				delete(want, string(k))
				_ = s.Delete(k)
			} else {
				want[string(k)] = "y"
				_ = s.Set(k, []byte("y"))
			}
		}
		prefix := string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xff}), 0, 1).Draw(t, "prefix"))
		from := prefix + string(rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "from"))
		var keys []string
		for k := range want {
			if k >= from && k[:min(len(k), len(prefix))] == prefix {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		it := s.Iterate([]byte(prefix))
		for it.Seek([]byte(from)); it.Valid(); it.Next() {
			v, _ := it.Value()
			if len(keys) == 0 || string(it.Key()) != keys[0] || string(v) != want[keys[0]] {
				t.Fatalf("found %q %q, expected %q", it.Key(), v, keys)
			}
			keys = keys[1:]
		}
		if len(keys) != 0 || s.Len() != len(want) {
			t.Fatalf("%d keys were not found, %d records, expected %d", len(keys), s.Len(), len(want))
		}
	})
}
