package replica_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Int("seeds", 8, "simulations to run")
	seed0 = flag.Uint64("seed", 1, "the first seed")
)

// isolate cuts a host off from all others.
func (s *sim) isolate(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for j := range s.hosts {
		s.cut[[2]int{i, j}], s.cut[[2]int{j, i}] = true, true
	}
}

// fault does something bad, or ends it.
func (s *sim) fault() {
	n := len(s.hosts)
	i := s.intN(n)
	switch s.intN(12) {
	case 0: // one host alone
		s.isolate(i)
	case 1: // one way only
		in := s.intN(2) == 0
		s.mu.Lock()
		for j := range n {
			if in {
				s.cut[[2]int{j, i}] = true
			} else {
				s.cut[[2]int{i, j}] = true
			}
		}
		s.mu.Unlock()
	case 2: // two halves
		s.mu.Lock()
		for a := range n {
			for b := range n {
				s.cut[[2]int{a, b}] = (a+i)%n*2 < n != ((b+i)%n*2 < n)
			}
		}
		s.mu.Unlock()
	case 3:
		s.mu.Lock()
		s.loss = 0.2
		s.mu.Unlock()
	case 4:
		s.mu.Lock()
		s.delay = 300 * time.Millisecond
		s.mu.Unlock()
	case 5: // power cut of one
		s.crash(i)
		time.Sleep(s.upTo(3 * time.Second))
		if s.host(i) == nil {
			s.start(i)
		}
	case 6: // power cut of all
		for j := range n {
			s.crash(j)
		}
		time.Sleep(s.upTo(time.Second))
		for j := range n {
			s.start(j)
		}
	default:
		s.mu.Lock()
		s.cut, s.loss, s.delay = map[[2]int]bool{}, 0, 0
		s.mu.Unlock()
	}
}

// run lets workers loose for a while under faults.
func (s *sim) run(d time.Duration, workers int, fault func()) *history {
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	h := &history{}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { s.worker(ctx, w, h) })
	}
	for ctx.Err() == nil {
		time.Sleep(s.upTo(1500 * time.Millisecond))
		fault()
	}
	s.settle()
	wg.Wait()
	return h
}

// TestNoFaultLosesAnAcknowledgedWriteOrForksAGroup runs clusters under power cuts, partitions, loss,
// delay and duplication, with logs that are cut and followers that need snapshots.
func TestNoFaultLosesAnAcknowledgedWriteOrForksAGroup(t *testing.T) {
	for n := range *seeds {
		seed := *seed0 + uint64(n)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, seed, 3+2*int(seed%2), 3+2*int(seed%2), 2)
				h := s.run(20*time.Second, 5, s.fault)
				h.check(t)
				s.close()
				t.Logf("%d operations, %d of unknown outcome", len(h.ops), h.unknown)
				if len(h.ops) < 100 {
					t.Errorf("only %d operations succeeded: nothing was tested", len(h.ops))
				}
			})
		})
	}
}

// move gives the place of a random replica to a drive that has none, or tries to.
func (s *sim) move() {
	ctx, cancel := context.WithTimeout(s.t.Context(), 4*time.Second)
	defer cancel()
	group := uint32(s.intN(int(s.cfg.Groups) + 1))
	for i := range s.hosts {
		h := s.host(i)
		if h == nil {
			continue
		}
		st := h.Status(ctx)
		if len(st.Groups) == 0 || st.Groups[group].Leader.IsZero() {
			continue
		}
		members := st.Groups[group].Members
		from := members[s.intN(len(members))].Drive
		to := s.drives[s.intN(len(s.drives))].ID
		if err := h.MoveReplica(ctx, group, from, to); err == nil {
			s.mu.Lock()
			s.moved++
			s.mu.Unlock()
		}
		return
	}
}

// TestMovesUnderFaultsKeepTheGroup moves replicas about among five drives, three at a time, while
// everything else goes wrong too.
func TestMovesUnderFaultsKeepTheGroup(t *testing.T) {
	for n := range *seeds {
		seed := *seed0 + uint64(n)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, seed, 5, 3, 1)
				h := s.run(20*time.Second, 4, func() {
					if s.intN(2) == 0 {
						s.fault()
					} else {
						s.move()
					}
				})
				h.check(t)
				t.Logf("%d operations, %d of unknown outcome, %d moves", len(h.ops), h.unknown, s.moved)
				s.close()
			})
		})
	}
}
