package replica_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/client"
	"holdfast/meta/replica"
)

// Tests of groups whose members are on drives of several processes.

// leads is the host that leads a group, -1 if none does; two are an error.
func (s *sim) leads(group uint32) int {
	lead, term := -1, uint64(0)
	for i := range s.hosts {
		if h := s.host(i); h != nil && h.Leads(group) {
			if t := h.Status(s.t.Context()).Groups[group].Term; t > term { // an old one may not know yet
				lead, term = i, t
			}
		}
	}
	return lead
}

// waitLeads waits until some host leads.
func (s *sim) waitLeads(group uint32) int {
	for range 30000 {
		if i := s.leads(group); i >= 0 {
			return i
		}
		time.Sleep(time.Millisecond)
	}
	s.t.Fatalf("nobody leads group %d", group)
	return -1
}

// wait polls until ok; it is fake time that passes.
func (s *sim) wait(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func (s *sim) client() *client.Client {
	c, err := client.New(client.Config{Host: everywhere{s}, Timeout: 20 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *sim) put(group uint32, n int) {
	s.t.Helper()
	c := s.client()
	for i := range n {
		if _, err := c.Apply(s.t.Context(), group, put(fmt.Sprint(i), "v")); err != nil {
			s.t.Fatalf("group %d: %v", group, err)
		}
	}
}

// missing is what all hosts miss, each of the groups that it leads.
func (s *sim) missing() (all []replica.MissingReplica) {
	for i := range s.hosts {
		if h := s.host(i); h != nil {
			all = append(all, h.Missing(s.t.Context())...)
		}
	}
	return all
}

// moveAnywhere calls MoveReplica at whoever leads, as the owner of a move does.
func (s *sim) moveAnywhere(group uint32, from, to id.Drive) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for {
		err := s.host(s.waitLeads(group)).MoveReplica(ctx, group, from, to)
		if err == nil {
			return
		}
		if !kind.Is(err, kind.NotLeader) {
			s.t.Fatalf("move group %d: %v", group, err)
		}
	}
}

func TestHostsOfAClusterAgreeOnTheirGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimOf(t, 1, 3, 2, 5, 4)
		for i := range s.hosts {
			mustBeReady(t, s.host(i))
		}
		hinted := map[id.Drive]bool{}
		for g := range uint32(5) {
			at := s.waitLeads(g)
			s.put(g, 30)
			for i := range s.hosts {
				h := s.host(i)
				drive, ok := h.LeaderHint(g)
				if !ok || s.at(drive) != at || h.Leads(g) != (i == at) {
					t.Errorf("group %d is led from host %d, but host %d says drive %s, %v", g, at, i, drive, ok)
				}
				hinted[drive] = true
				if _, err := h.Propose(t.Context(), g, encode(put("k", "v"))); (err == nil) != (i == at) || err != nil && !kind.Is(err, kind.NotLeader) {
					t.Errorf("group %d: host %d answers %v, led from %d", g, i, err, at)
				}
			}
			s.waitEqual(g)
		}
		if len(hinted) < 3 {
			t.Errorf("all groups are led from %d drives", len(hinted))
		}
		// A healthy member elsewhere is not missing, at any moment, over a slow network.
		s.mu.Lock()
		s.delay = 80 * time.Millisecond
		s.mu.Unlock()
		for range 1000 {
			if m := s.missing(); len(m) > 0 {
				t.Fatalf("missing: %+v", m)
			}
			time.Sleep(7 * time.Millisecond)
		}
		s.close()
	})
}

func TestKilledHostIsMissedAndCatchesUpWhenItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimOf(t, 2, 3, 2, 5, 4)
		for g := range uint32(5) {
			s.put(g, 5)
		}
		s.crash(1)
		for g := range uint32(5) {
			s.put(g, 50) // more than the log keeps
		}
		gone := []id.Drive{s.drives[2].ID, s.drives[3].ID}
		s.wait("the drives of the killed host are missed", 5*time.Second, func() bool {
			seen := map[id.Drive]bool{}
			for _, m := range s.missing() {
				if !slices.Contains(gone, m.Drive) || !strings.Contains(m.Why, "not heard of") {
					t.Fatalf("missing: %+v", m)
				}
				seen[m.Drive] = true
			}
			return len(seen) == 2
		})
		s.start(1)
		s.wait("nothing is missed", 10*time.Second, func() bool { return len(s.missing()) == 0 })
		for g := range uint32(5) {
			s.waitEqual(g)
		}
		s.close()
	})
}

func TestReplicasMoveBetweenHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 3, 4, 3, 1)
		s.put(1, 60) // more than the log keeps: it takes a snapshot
		for round := range 6 {
			members := s.host(s.waitLeads(1)).Status(t.Context()).Groups[1].Members
			from := members[round%3].Drive // the leader's too
			var to id.Drive
			for _, d := range s.drives {
				if !slices.ContainsFunc(members, func(m replica.MemberStatus) bool { return m.Drive == d.ID }) {
					to = d.ID
				}
			}
			s.moveAnywhere(1, from, to)
			s.put(1, 3)
			s.waitEqual(1)
			for i := range s.hosts {
				if troubles := s.host(i).Troubles(t.Context()); len(troubles) > 0 {
					t.Errorf("after a move: %+v", troubles)
				}
			}
		}
		s.close()
	})
}

// TestReplicaLostInAnotherProcessIsMissedAtOnce, not only when nobody hears of it.
func TestReplicaLostInAnotherProcessIsMissedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 4, 3, 3, 1)
		s.leaders.seen.Clear()
		s.put(1, 10)
		victim := (s.waitLeads(1) + 1) % 3
		s.crash(victim)
		s.drives[victim].Disk.Damaged = true
		s.cfg.Logger = testLogger(t) // the watch takes lost replicas for errors
		s.start(victim)
		s.wait("the lost replica is missed", 2*time.Second, func() bool {
			return slices.ContainsFunc(s.missing(), func(m replica.MissingReplica) bool {
				return m.Group == 1 && m.Drive == s.drives[victim].ID && strings.Contains(m.Why, "lost")
			})
		})
		for g := range uint32(2) {
			s.moveAnywhere(g, s.drives[victim].ID, s.drives[victim].ID)
			s.waitEqual(g)
		}
		if m := s.missing(); len(m) > 0 {
			t.Errorf("missing: %+v", m)
		}
		s.close()
	})
}

func TestRoomOnDrivesOfOtherProcessesCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 5, 3, 3, 1)
		s.close()
		var full atomic.Pointer[[]id.Drive]
		full.Store(&[]id.Drive{})
		s.cfg.Full = func(d id.Drive) bool { return slices.Contains(*full.Load(), d) }
		for i := range s.hosts {
			s.start(i)
		}
		for n, want := range []bool{false, false, true, false} {
			lead := s.waitLeads(1)
			others := []id.Drive{s.drives[(lead+1)%3].ID, s.drives[(lead+2)%3].ID}[:n%3]
			full.Store(&others)
			time.Sleep(3 * time.Second)
			if now := s.waitLeads(1); now != lead {
				t.Fatalf("the leader moved from host %d to %d for no reason", lead, now)
			}
			if got := s.host(lead).Full(1); got != want {
				t.Errorf("%d drives elsewhere are full: group full %v", len(others), got)
			}
		}
		s.close()
	})
}

func TestSuspectedLeaderIsReplacedEarlyOnlyIfItIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 6, 5, 5, 3)
		for i := range s.hosts {
			s.crash(i)
		}
		s.cfg.ElectionTicks = 200 // 20 s and more
		for i := range s.hosts {
			s.start(i)
		}
		for g := range uint32(4) {
			s.waitLeads(g)
			s.put(g, 3)
		}
		suspect := func(at int) {
			for i := range s.hosts {
				if h := s.host(i); h != nil {
					h.Suspect([]id.Drive{s.drives[at].ID})
				}
			}
		}
		lead := s.waitLeads(1)
		before := s.host(lead).Status(t.Context()).Groups[1].Term
		for range 20 { // a rumour
			suspect(lead)
			time.Sleep(330 * time.Millisecond)
		}
		if after := s.host(s.waitLeads(1)).Status(t.Context()).Groups[1].Term; after != before {
			t.Errorf("a rumour about a leader that is well took its group from term %d to %d", before, after)
		}
		s.crash(lead)
		suspect(lead)
		s.wait("another leads", 2500*time.Millisecond, func() bool { return s.leads(1) >= 0 })
		s.put(1, 1)
		s.close()
	})
}

// TestDrivesAreSparedOneAfterTheOther, whichever hosts ask and lead.
func TestDrivesAreSparedOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 7, 4, 3, 3)
		for g := range uint32(4) {
			s.put(g, 3)
			lead := s.waitLeads(g)
			var members []id.Drive
			for _, m := range s.host(lead).Status(t.Context()).Groups[g].Members {
				members = append(members, m.Drive)
			}
			for _, d := range s.drives {
				h := s.host(s.at(d.ID))
				err := h.Spare(t.Context(), g, d.ID)
				switch first := d.ID == firstOf(members); {
				case !slices.Contains(members, d.ID) && err != nil:
					t.Errorf("group %d: a drive without part in it is not spared: %v", g, err)
				case first && err != nil:
					t.Errorf("group %d is whole, but: %v", g, err)
				case !first && slices.Contains(members, d.ID) && !kind.Is(err, kind.Conflict):
					t.Errorf("group %d spared two drives of three: %v", g, err)
				}
			}
		}
		time.Sleep(6 * time.Second)
		last := s.drives[3].ID
		if err := s.host(3).Spare(t.Context(), 1, last); err != nil {
			t.Errorf("later: %v", err)
		}
		s.close()
	})
}

// firstOf is the lowest of drives: the first that the test asks about.
func firstOf(drives []id.Drive) id.Drive {
	return slices.MinFunc(drives, func(a, b id.Drive) int { return int(a[15]) - int(b[15]) })
}

// TestGroupLeavesAJointConfigurationWhoseLeaderWasKilled without any proposal to push it.
func TestGroupLeavesAJointConfigurationWhoseLeaderWasKilled(t *testing.T) {
	killed := 0
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, 20+seed, 5, 3, 1)
			s.put(1, 5)
			time.Sleep(3 * time.Second)
			lead := s.waitLeads(1)
			members := s.host(lead).Status(t.Context()).Groups[1].Members
			var from, to id.Drive
			for _, d := range s.drives {
				if !slices.ContainsFunc(members, func(m replica.MemberStatus) bool { return m.Drive == d.ID }) {
					to = d.ID
				}
			}
			for _, m := range members {
				if s.at(m.Drive) != lead {
					from = m.Drive
				}
			}
			s.mu.Lock()
			s.delay = 20 * time.Millisecond
			s.mu.Unlock()
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _ = s.host(lead).MoveReplica(ctx, 1, from, to) }()
			s.wait("the group is in a joint configuration", 20*time.Second, func() bool {
				return s.host(lead).Status(t.Context()).Groups[1].Joint
			})
			cancel()
			s.crash(lead)
			killed++
			s.wait("the group is out of it", 15*time.Second, func() bool {
				i := s.leads(1)
				return i >= 0 && !s.host(i).Status(t.Context()).Groups[1].Joint
			})
			s.settle()
			s.close()
		})
	}
	t.Logf("%d leaders killed between entering and leaving", killed)
}

// TestMemberThatLeftVotesUntilTheOthersKnow: the leader, and the one that leaves, are the only ones who
// know that the group is out of the joint configuration, when the leader is killed for good.
func TestMemberThatLeftVotesUntilTheOthersKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 40, 4, 3, 1)
		s.close()
		s.cfg.ElectionTicks = 50 // the leader thinks for longer that it leads
		for i := range s.hosts {
			s.start(i)
		}
		s.put(1, 5)
		time.Sleep(40 * time.Second)
		lead := s.waitLeads(1)
		h := s.host(lead)
		members := h.Status(t.Context()).Groups[1].Members
		var from, to id.Drive
		for _, d := range s.drives {
			if !slices.ContainsFunc(members, func(m replica.MemberStatus) bool { return m.Drive == d.ID }) {
				to = d.ID
			} else if s.at(d.ID) != lead {
				from = d.ID
			}
		}
		s.mu.Lock()
		s.delay = 10 * time.Millisecond
		s.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = h.MoveReplica(ctx, 1, from, to) }()
		joint := false
		for left := false; !left; time.Sleep(time.Millisecond) {
			st := h.Status(t.Context()).Groups[1]
			joint = joint || st.Joint
			left = joint && !st.Joint
		}
		s.mu.Lock()
		for i := range s.hosts {
			s.cut[[2]int{lead, i}] = i != s.at(from)
		}
		s.mu.Unlock()
		time.Sleep(3 * time.Second) // a leader looks every second whom it may dismiss
		cancel()
		s.crash(lead)
		s.wait("the others have a leader", 40*time.Second, func() bool {
			i := s.leads(1)
			return i >= 0 && !s.host(i).Status(t.Context()).Groups[1].Joint
		})
		s.put(1, 1)
		s.settle()
		s.close()
	})
}

// TestLeavingAJointConfigurationSurvivesAHandOverThatFails: raft drops its own proposal to leave while
// it hands over, and has no reason to make another when nothing else happens in the group.
func TestLeavingAJointConfigurationSurvivesAHandOverThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 30, 4, 3, 1)
		s.put(1, 5)
		time.Sleep(15 * time.Second) // leaders are where they belong
		lead := s.waitLeads(1)
		h := s.host(lead)
		var others []id.Drive
		var in id.Drive
		members := h.Status(t.Context()).Groups[1].Members
		for _, d := range s.drives {
			switch {
			case !slices.ContainsFunc(members, func(m replica.MemberStatus) bool { return m.Drive == d.ID }):
				in = d.ID
			case s.at(d.ID) != lead:
				others = append(others, d.ID)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = h.MoveReplica(ctx, 1, others[0], in) }()
		s.wait("a learner", 10*time.Second, func() bool {
			for _, m := range h.Status(t.Context()).Groups[1].Members {
				if !m.Voter && m.Match > 0 {
					return true
				}
			}
			return false
		})
		cancel()
		s.mu.Lock()
		s.cut[[2]int{lead, s.at(others[1])}] = true // it does not hear that it is to lead
		s.delay = 10 * time.Millisecond
		s.mu.Unlock()
		if !h.SwapThenTransfer(1, in, others[0], others[1]) {
			t.Fatal("the leader has changed")
		}
		s.wait("joint", 5*time.Second, func() bool { return h.Status(t.Context()).Groups[1].Joint })
		if why := fmt.Sprint(h.Troubles(t.Context())); !strings.Contains(why, "between two configurations") {
			t.Errorf("it is not seen: %s", why)
		}
		s.mu.Lock()
		s.cut[[2]int{s.at(others[1]), lead}] = true // it stays quiet
		s.mu.Unlock()
		s.wait("the group is out of it", 10*time.Second, func() bool {
			st := h.Status(t.Context()).Groups[1]
			return !st.Leader.IsZero() && !st.Joint
		})
		s.settle()
		s.close()
	})
}

func TestLearnerThatNobodyNeedsIsSeenAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 31, 4, 3, 1)
		s.put(1, 5)
		h := s.host(s.waitLeads(1))
		members := h.Status(t.Context()).Groups[1].Members
		var in, out id.Drive
		for _, d := range s.drives {
			if !slices.ContainsFunc(members, func(m replica.MemberStatus) bool { return m.Drive == d.ID }) {
				in = d.ID
			} else {
				out = d.ID
			}
		}
		s.crash(s.at(in))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := h.MoveReplica(ctx, 1, out, in); err == nil {
			t.Error("a move to a drive that is not there succeeded")
		}
		if why := fmt.Sprint(h.Troubles(t.Context())); !strings.Contains(why, "learner") {
			t.Errorf("it is not seen: %s", why)
		}
		s.wait("it is gone", 4*time.Minute, func() bool {
			return !strings.Contains(fmt.Sprint(s.host(s.waitLeads(1)).Troubles(t.Context())), "learner")
		})
		s.settle()
		s.close()
	})
}
