package main

import "testing"

func TestMemoryLimitStaysAboveWhatIsInUse(t *testing.T) {
	for live, want := range map[uint64]int64{0: 512 << 20, 300 << 20: 512 << 20, 600 << 20: 900 << 20, ^uint64(0): 3 << 39} {
		if got := memoryLimit(live); got != want {
			t.Errorf("%d bytes are in use: the limit is %d, want %d", live, got, want)
		}
	}
}
