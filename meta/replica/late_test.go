package replica_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/meta/client"
)

// TestWritesWakeOnlyAMajority: of five replicas two get entries in batches, and have them soon; a
// prompt one that falls silent holds up no write for longer than it takes to see that.
func TestWritesWakeOnlyAMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1, 5, 5, 1)
		c, err := client.New(client.Config{Host: everywhere{s}, Timeout: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		write := func(n int) (slowest time.Duration) {
			for i := range n {
				start := time.Now()
				if _, err := c.Apply(t.Context(), 1, put(fmt.Sprint(i), "v")); err != nil {
					t.Fatal(err)
				}
				slowest = max(slowest, time.Since(start))
			}
			return slowest
		}
		write(5)
		time.Sleep(3 * time.Second) // every follower is known to be there
		clear(s.takes)
		const writes = 60
		if took := write(writes); took > 50*time.Millisecond {
			t.Errorf("a write took %v", took)
		}
		s.waitEqual(1)
		sorted := slices.Sorted(slices.Values(s.takes))
		if sorted[0] != 0 || sorted[2] > writes/5 || sorted[3] < writes*9/10 {
			t.Errorf("the replicas were sent %v batches: the leader none, two few, two one for every write", sorted)
		}

		leader, prompt := slices.Index(s.takes, sorted[0]), slices.Index(s.takes, sorted[4])
		s.mu.Lock()
		s.cut[[2]int{leader, prompt}], s.cut[[2]int{prompt, leader}] = true, true
		s.mu.Unlock()
		if took := write(20); took > time.Second {
			t.Errorf("a write took %v when a prompt follower fell silent", took)
		}
		if took := write(20); took > 50*time.Millisecond {
			t.Errorf("a write took %v after that was seen", took)
		}
		s.settle()
	})
}
