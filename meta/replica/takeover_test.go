package replica_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
)

// midway is a group of three in the middle of a move, seen by its leader.
type midway struct {
	*sim
	lead     int
	from, to id.Drive
	ended    chan error
}

// beginMove moves a replica that does not lead to the one drive that has none, over a slow network.
func beginMove(t *testing.T, seed uint64) *midway {
	s := newSim(t, seed, 4, 3, 1)
	s.put(1, 60) // more than the log keeps: it takes a snapshot
	time.Sleep(3 * time.Second)
	m := &midway{sim: s, lead: s.waitLeads(1), ended: make(chan error, 1)}
	members := m.members()
	for _, d := range s.drives {
		switch {
		case !slices.ContainsFunc(members, func(m replica.MemberStatus) bool { return m.Drive == d.ID }):
			m.to = d.ID
		case s.at(d.ID) != m.lead:
			m.from = d.ID
		}
	}
	s.mu.Lock()
	s.delay = 10 * time.Millisecond
	s.mu.Unlock()
	for _, d := range s.of(s.at(m.to)) {
		d.Disk.SyncTime = func() time.Duration { return 50 * time.Millisecond }
	}
	go func() { m.ended <- s.host(m.lead).MoveReplica(t.Context(), 1, m.from, m.to) }()
	return m
}

func (m *midway) members() []replica.MemberStatus {
	return m.host(m.waitLeads(1)).Status(m.t.Context()).Groups[1].Members
}

// learner waits until the leader knows one of which is holds, and returns its raft ID.
func (m *midway) learner(what string, is func(replica.MemberStatus) bool) (raftID uint64) {
	m.t.Helper()
	m.wait(what, 20*time.Second, func() bool {
		for _, member := range m.host(m.lead).Status(m.t.Context()).Groups[1].Members {
			if member.Drive == m.to && is(member) {
				raftID = member.RaftID
				return true
			}
		}
		return false
	})
	return raftID
}

// third is the drive that is neither the old leader's, nor part of the move.
func (m *midway) third() id.Drive {
	for _, d := range m.drives {
		if m.at(d.ID) != m.lead && d.ID != m.from && d.ID != m.to {
			return d.ID
		}
	}
	return id.Drive{}
}

// handOver makes another drive lead.
func (m *midway) handOver(to id.Drive) {
	m.t.Helper()
	m.wait("another leads", 20*time.Second, func() bool {
		now := m.waitLeads(1)
		if now != m.at(to) {
			m.host(now).TransferTo(1, to)
		}
		return now == m.at(to)
	})
}

// TestAMoveIsTakenOverByTheNextLeader wherever it stands: with the learner that is there, and without
// waiting for anything.
func TestAMoveIsTakenOverByTheNextLeader(t *testing.T) {
	stages := map[string]func(replica.MemberStatus) bool{
		"a learner that has nothing":     func(m replica.MemberStatus) bool { return !m.Voter },
		"a learner that has its state":   func(m replica.MemberStatus) bool { return !m.Voter && m.Match > 1 },
		"the new replica, which votes":   func(m replica.MemberStatus) bool { return m.Voter },
		"a learner whose host was away":  func(m replica.MemberStatus) bool { return !m.Voter && m.Match > 1 },
		"a learner, and the old one led": func(m replica.MemberStatus) bool { return !m.Voter && m.Match > 1 },
	}
	for what, is := range stages {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := beginMove(t, 50)
				learner := m.learner(what, is)
				switch what {
				case "a learner whose host was away":
					m.crash(m.at(m.to))
					m.start(m.at(m.to))
				case "a learner, and the old one led":
					m.handOver(m.from)
				}
				m.handOver(m.third())
				if err := <-m.ended; !kind.Is(err, kind.NotLeader) {
					t.Fatalf("the move at the old leader ended with %v", err)
				}
				begin := time.Now()
				m.moveAnywhere(1, m.from, m.to)
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("the next leader took %v to go on", took)
				}
				for _, member := range m.members() {
					if member.Drive == m.from || member.Drive == m.to && (member.RaftID != learner || !member.Voter) {
						t.Errorf("the learner was replica %d; in the end: %+v", learner, m.members())
					}
				}
				m.settle()
				m.close()
			})
		})
	}
}

// TestAMoveThatIsAbandonedLeavesNoLearner: the next leader need not wait until it is sure that nobody will go on
// with it; and a move that is under way is left alone.
func TestAMoveThatIsAbandonedLeavesNoLearner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := beginMove(t, 51)
		m.learner("a learner", func(m replica.MemberStatus) bool { return !m.Voter })
		if err := m.host(m.lead).AbandonMove(t.Context(), 1); !kind.Is(err, kind.Conflict) {
			t.Errorf("a move under way was abandoned by somebody else: %v", err)
		}
		m.handOver(m.third())
		begin := time.Now()
		if err := m.host(m.waitLeads(1)).AbandonMove(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 3*time.Second || len(m.members()) != 3 {
			t.Errorf("after %v: %+v", took, m.members())
		}
		m.settle()
		m.close()
	})
}
