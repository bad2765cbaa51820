package replica_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/rebalance"
	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/meta/replica"
	"holdfast/node/client"
	"holdfast/node/nodetest"
	"holdfast/proto/metapb"
)

// elastic is a sim whose hosts move replicas as nodes do: each those of the groups that it leads.
type elastic struct {
	*sim
	routes      *client.Drives
	rebalancers []*rebalance.Rebalancer

	view sync.Mutex
	now  *cluster.View
}

// noShards is metadata without any data, so that only replicas move.
type noShards struct{ groups uint32 }

func (n noShards) Groups() uint32 { return n.groups }
func (noShards) Apply(context.Context, uint32, *metapb.Command) (*metapb.Result, error) {
	return &metapb.Result{}, nil
}
func (noShards) Ask(context.Context, uint32, *metapb.Query) (*metapb.Answer, error) {
	return &metapb.Answer{}, nil
}
func (noShards) Rebuild(context.Context, fanout.Ref, []int, []id.Drive) error { return nil }

func (e *elastic) View() *cluster.View {
	e.view.Lock()
	defer e.view.Unlock()
	return e.now
}

// join puts the drive of a host into the layout.
func (e *elastic) join(host int) {
	d := nodetest.NewDrive(e.drives[host].ID)
	e.routes.Add(d)
	e.view.Lock()
	defer e.view.Unlock()
	v := *e.now
	n := id.Node{byte(host + 1)}
	v.Version++
	v.Nodes = append(slices.Clone(v.Nodes), cluster.NodeView{ID: n, Storage: true, Alive: true})
	v.Drives = append(slices.Clone(v.Drives), cluster.DriveView{ID: e.drives[host].ID, Node: n, Alive: true, CapacityBytes: 1 << 40, Status: d.Status()})
	e.now = &v
}

// status is what all hosts say together.
func (e *elastic) status(ctx context.Context) []replica.GroupStatus {
	all := make([]replica.GroupStatus, e.cfg.Groups+1)
	for i := range e.hosts {
		for g, st := range e.host(i).Status(ctx).Groups {
			if !st.Leader.IsZero() && st.Term >= all[g].Term {
				all[g] = st
			}
		}
	}
	return all
}

func newElastic(t *testing.T, seed uint64, hosts, begin, factor int, groups uint32) *elastic {
	e := &elastic{routes: client.NewDrives(), now: &cluster.View{Version: 1, Settings: &metapb.Settings{}}}
	e.sim = newSimWith(t, seed, hosts, 1, factor, groups, func(s *sim) { s.cfg.Beginning = beginning(factor, s.drives[:begin]) })
	for i := range begin {
		e.join(i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range hosts {
		b, err := rebalance.New(rebalance.Config{
			Metadata: noShards{groups}, Shards: noShards{}, Drives: e.routes, Layout: e, Groups: e.host(i),
			Members: func(ctx context.Context) map[uint32][]id.Drive { return upkeep.MembersOf(e.status(ctx)) }, Logger: testLogger(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		e.rebalancers = append(e.rebalancers, b)
		all.Go(func() { b.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); all.Wait() })
	return e
}

// level reports whether all who lead have nothing left to move, and no move is half done.
func (e *elastic) level() bool {
	for i, b := range e.rebalancers {
		if p := b.Progress(); !p.Surveyed || p.LeftReplicas > 0 || len(e.host(i).Troubles(e.t.Context())) > 0 {
			return false
		}
	}
	return true
}

// shake hands each group over in the middle of its first move, and returns how many groups.
func (e *elastic) shake(shaken map[uint32]bool) {
	for g, st := range e.status(e.t.Context()) {
		learner, begun := upkeep.Learner(&st)
		if !begun || shaken[uint32(g)] || st.Joint {
			continue
		}
		shaken[uint32(g)] = true
		for _, d := range upkeep.Voters(&st) {
			if d != st.Leader && d != learner {
				e.host(e.at(st.Leader)).TransferTo(uint32(g), d)
				break
			}
		}
	}
}

// TestANodeThatJoinsHasItsReplicasSoonAlthoughLeadersChange: the next leader goes on with a move that is
// half done; nobody waits until a learner of a leader that is gone is removed.
func TestANodeThatJoinsHasItsReplicasSoonAlthoughLeadersChange(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			e := newElastic(t, 60+seed, 5, 4, 3, 16)
			for g := range uint32(17) {
				e.put(g, 30) // more than the log keeps
			}
			e.wait("all is level", time.Minute, e.level)
			shaken, begin := map[uint32]bool{}, time.Now()
			e.drives[4].Disk.SyncTime = func() time.Duration { return 100 * time.Millisecond }
			e.join(4)
			e.wait("all is level again", 5*time.Minute, func() bool {
				e.shake(shaken)
				return len(shaken) > 0 && e.level()
			})
			took, arrived := time.Since(begin), 0
			for _, st := range e.status(t.Context()) {
				if slices.Contains(upkeep.Voters(&st), e.drives[4].ID) {
					arrived++
				}
			}
			t.Logf("%d groups were handed over in the middle; %d replicas arrived; level after %v", len(shaken), arrived, took)
			if len(shaken) < 4 || arrived < 17*3/5-2 {
				t.Errorf("%d groups were handed over, %d replicas arrived", len(shaken), arrived)
			}
			if took > 25*time.Second { // a learner that nobody needs stays for 30 s
				t.Errorf("it took %v", took)
			}
			e.close()
		})
	}
}
