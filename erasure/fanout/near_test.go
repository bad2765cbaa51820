package fanout

import (
	"bytes"
	"testing"

	"holdfast/internal/id"
	"holdfast/node"
)

// TestNearParityIsReadInsteadOfFarData: a drive of this machine is asked before one of another, as far
// as whole stripes are read; and if it fails, the other is.
func TestNearParityIsReadInsteadOfFarData(t *testing.T) {
	near := map[id.Drive]bool{}
	r := newRig(t, 6, func(c *Config) { c.Near = func(d id.Drive) bool { return near[d] } })
	data := randomBytes(3*4*tiny-50, 1)
	ref := r.put(r.small(scheme42, len(data)), data)
	near[ref.Drives[1]], near[ref.Drives[4]] = true, true
	check := func(off, n int64, want [6]int) {
		t.Helper()
		before := r.reads()
		got, err := r.get(ref, off, n)
		if err != nil || !bytes.Equal(got, data[off:off+n]) {
			t.Fatalf("range %d+%d: wrong bytes or %v", off, n, err)
		}
		for i, n := range r.reads() {
			if n-before[i] != want[i] {
				t.Errorf("range %d+%d: %d reads of shard %d, want %d", off, n, n-before[i], i, want[i])
			}
		}
	}
	check(0, int64(len(data)), [6]int{3, 3, 3, 0, 3, 0})
	check(0, 4*tiny-1, [6]int{1, 1, 1, 1})
	if err := r.drive(ref.Drives[4]).Delete(t.Context(), []node.Shard{shardOf(ref, 4)}); err != nil {
		t.Fatal(err)
	}
	check(0, 4*tiny, [6]int{1, 1, 1, 1, 1, 0})
}
