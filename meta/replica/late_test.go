package replica_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/meta/client"
)

// TestWritesWakeOnlyAMajority: of five replicas one gets entries in batches, and has them soon; when two
// prompt ones fall silent that holds up no write for longer than it takes to see it.
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
		if sorted[0] != 0 || sorted[1] > writes/5 || sorted[2] < writes*9/10 {
			t.Errorf("the replicas were sent %v batches: the leader none, one few, three one for every write", sorted)
		}

		leader, late, silent := slices.Index(s.takes, sorted[0]), slices.Index(s.takes, sorted[1]), 0
		for prompt := range s.takes {
			if prompt == leader || prompt == late || silent == 2 {
				continue
			}
			silent++
			s.mu.Lock()
			s.cut[[2]int{leader, prompt}], s.cut[[2]int{prompt, leader}] = true, true
			s.mu.Unlock()
			limit := 50 * time.Millisecond
			if silent == 2 {
				limit = time.Second
			}
			if took := write(20); took > limit {
				t.Errorf("a write took %v when %d prompt followers fell silent", took, silent)
			}
		}
		if took := write(20); took > 50*time.Millisecond {
			t.Errorf("a write took %v after that was seen", took)
		}
		s.settle()
	})
}
