package replica_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/meta/client"
)

// TestAHostThatResignsCostsNoElection: its groups are led elsewhere before it stops.
func TestAHostThatResignsCostsNoElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 3, 5, 5, 4)
		c, err := client.New(client.Config{Host: everywhere{s}, Timeout: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		write := func() (slowest time.Duration) {
			for g := range uint32(5) {
				start := time.Now()
				if _, err := c.Apply(t.Context(), g, put("k", "v")); err != nil {
					t.Fatal(err)
				}
				slowest = max(slowest, time.Since(start))
			}
			return slowest
		}
		write()
		time.Sleep(2 * time.Second)
		for i := range s.hosts {
			h, led := s.host(i), 0
			for g := range uint32(5) {
				if h.Leads(g) {
					led++
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			h.Resign(ctx)
			if err := ctx.Err(); err != nil {
				t.Errorf("host %d did not hand %d groups over", i, led)
			}
			cancel()
			s.crash(i)
			if took := write(); took > 300*time.Millisecond {
				t.Errorf("host %d led %d groups, and a write took %v after it resigned and stopped", i, led, took)
			}
			s.start(i)
			time.Sleep(2 * time.Second)
		}
		s.settle()
	})
}
