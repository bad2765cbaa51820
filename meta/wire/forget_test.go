package wire

import (
	"sync/atomic"
	"testing"

	"holdfast/internal/id"
)

// someNodes is a directory that changes once.
type someNodes struct {
	nopPeers
	nodes   []Node
	changed chan struct{}
	asked   atomic.Bool
}

func (s *someNodes) Nodes() []Node { return s.nodes }

func (s *someNodes) Changed() <-chan struct{} {
	if s.asked.Swap(true) {
		return nil
	}
	return s.changed
}

// quietHost has no replicas.
type quietHost struct{ Host }

func (quietHost) Groups() uint32                     { return 3 }
func (quietHost) Changed() <-chan struct{}           { return nil }
func (quietHost) LeaderHint(uint32) (id.Drive, bool) { return id.Drive{}, false }
func (quietHost) Leads(uint32) bool                  { return false }
func (quietHost) Led(uint32) (uint64, uint64)        { return 0, 0 }

func TestLeadersOnNodesThatAreNotAliveAreForgotten(t *testing.T) {
	peers := &someNodes{
		nodes:   []Node{{Address: "a", Alive: true}, {Address: "b", Alive: false}},
		changed: make(chan struct{}),
	}
	r, err := NewRouter(Config{Dialer: nopDialer{}, Peers: peers}, quietHost{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for g, address := range []string{"a", "b", "gone"} {
		r.seats[g].leader.Store(&leader{address: address, sure: true})
		r.caller(address)
	}
	changed := r.Changed()
	close(peers.changed)
	<-changed
	if r.seats[0].leader.Load() == nil || r.seats[1].leader.Load() != nil || r.seats[2].leader.Load() != nil {
		t.Error("wrong leaders were forgotten")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.callers) != 2 || r.callers["gone"] != nil {
		t.Errorf("callers of %d nodes are kept", len(r.callers))
	}
}

func TestWhatANodeSaysOfItselfCountsMoreThanWhatOthersHeard(t *testing.T) {
	r, err := NewRouter(Config{Dialer: nopDialer{}, Peers: drivesAt{}}, quietHost{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := func(g int) string {
		if l := r.seats[g].leader.Load(); l != nil {
			return l.address
		}
		return ""
	}
	heard := func(drive byte) hint { return hint{known: hintHeard, drive: id.Drive{drive}} }
	leads := func(drive byte, term uint64) hint {
		return hint{known: hintLeads, drive: id.Drive{drive}, led: post{term, 10 * term}}
	}
	r.takeHints("a", []hint{heard('b'), leads('a', 3), {}})
	if at(0) != "b" || at(1) != "a" || at(2) != "" {
		t.Errorf("%q %q %q", at(0), at(1), at(2))
	}
	r.takeHints("c", []hint{leads('c', 3), heard('b'), heard('a')})
	if at(0) != "c" || at(1) != "a" || at(2) != "a" {
		t.Errorf("%q %q %q", at(0), at(1), at(2))
	}
	r.takeHints("d", []hint{leads('d', 2), leads('d', 4), {}}) // of two that say so, the later leads
	if at(0) != "c" || at(1) != "d" || r.seats[1].committed.Load() != 40 {
		t.Errorf("%q %q, committed %d", at(0), at(1), r.seats[1].committed.Load())
	}
	r.takeHints("d", []hint{heard('b'), {}, {}}) // it does not lead any more
	if at(0) != "c" || at(1) != "" {
		t.Errorf("%q %q %q", at(0), at(1), at(2))
	}
}

// drivesAt has each drive at a node whose address is the first byte of its ID.
type drivesAt struct{ nopPeers }

func (drivesAt) NodeOf(drive id.Drive) (string, bool) { return string(drive[:1]), true }
