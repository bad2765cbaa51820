package replica_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
)

// TestADriveThatLeavesLeadsNothing: so that those who stay move its replicas away.
func TestADriveThatLeavesLeadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leaving atomic.Pointer[id.Drive]
		s := newSimWith(t, 5, 5, 1, 5, 8, func(s *sim) {
			s.cfg.Leaves = func(d id.Drive) bool { l := leaving.Load(); return l != nil && *l == d }
		})
		led := func(i int) (n int) {
			for g := range uint32(9) {
				if s.host(i).Leads(g) {
					n++
				}
			}
			return n
		}
		time.Sleep(90 * time.Second)
		busy := 0
		for i := range s.hosts {
			if led(i) > led(busy) {
				busy = i
			}
		}
		if led(busy) == 0 {
			t.Fatal("nobody leads")
		}
		leaving.Store(&s.drives[busy].ID)
		time.Sleep(5 * time.Second)
		if n := led(busy); n != 0 {
			t.Errorf("it still leads %d groups", n)
		}
		time.Sleep(30 * time.Second)
		if n := led(busy); n != 0 {
			t.Errorf("it leads %d groups again", n)
		}
		leaving.Store(nil)
		time.Sleep(2 * time.Minute)
		if led(busy) == 0 {
			t.Error("it stays, and leads nothing")
		}
		s.settle()
	})
}
