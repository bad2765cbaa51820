package operate

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"holdfast/cluster"
	"holdfast/cluster/rebalance"
	"holdfast/cluster/repair"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
)

// town is a cluster whose nodes talk over loopback.
type town struct {
	*world
	operators []*Operator
	workers   []*worker
	hosts     []*rpctest.Node
	added     []string
}

// newTown makes nodes of two drives each, and one front at the end.
func newTown(t *testing.T, nodes int) *town {
	perNode := make([]int, nodes+1)
	for i := range nodes {
		perNode[i] = 2
	}
	v := &town{world: newWorld(t, erasure.Scheme{K: 2, M: 2}, perNode)}
	for n := range nodes + 1 {
		host, k := rpctest.New(t, nil), &worker{}
		layout := &standpoint{v.world, nodeID(n)}
		o := v.operator(func(c *Config) {
			c.Node, c.Layout = nodeID(n), layout
			c.Dial = func(address string) grpc.ClientConnInterface { return host.Pool.Conn(address) }
			c.Healed = func() int64 { return 1 }
			if c.Rebalance = nil; n < nodes {
				c.Repair, c.Rebalance = k, k
				c.AddDrive = func(_ context.Context, path string) (id.Drive, error) {
					if strings.Contains(path, "bad") {
						return id.Drive{}, kind.New(kind.InvalidArgument, "%s holds a drive of another cluster", path)
					}
					v.added = append(v.added, path)
					return v.addDrive(n, len(v.added)+5, ""), nil
				}
			}
		})
		svc := &Service{}
		if err := svc.Register(host.Server); err != nil {
			t.Fatal(err)
		}
		svc.Attach(o)
		host.Serve(t)
		v.peers[nodeID(n)] = host.Address
		v.operators, v.workers, v.hosts = append(v.operators, o), append(v.workers, k), append(v.hosts, host)
	}
	return v
}

func TestAnyNodeAnswersForAll(t *testing.T) {
	v := newTown(t, 3)
	for n, k := range v.workers[:3] {
		k.stats = repair.Stats{Queued: int64(1 + n), Rebuilt: 10}
		k.progress = rebalance.Progress{Surveyed: true, MovedBytes: 100, LeftBytes: 50, BytesPerSecond: 10, Limit: 1 << 20,
			Drives: map[id.Drive]rebalance.Left{driveID(0, 1): {Shards: 5, Bytes: 50}}}
	}
	if _, err := v.operators[1].DrainDrive(t.Context(), driveID(0, 1).String()); err != nil {
		t.Fatal(err)
	}
	for n, o := range v.operators {
		s := o.Status(t.Context())
		if s.Repair.Queued != 6 || s.Repair.Rebuilt != 30 || s.Rebalance.MovedBytes != 300 || s.Rebalance.BytesPerSecond != 30 || s.Rebalance.EtaSeconds != 5 || len(s.Scrub.Nodes) != 3 {
			t.Errorf("node %d: %+v %+v", n, s.Repair, s.Rebalance)
		}
		for _, d := range s.Drives {
			if d.State == StateDraining && (d.ShardsLeft == nil || *d.ShardsLeft != 15) {
				t.Errorf("node %d: %+v", n, d)
			}
		}
		for _, node := range s.Nodes {
			if node.Storage && (!node.Answered || node.Version != "test") {
				t.Errorf("node %d: %+v", n, node)
			}
		}
	}
}

// standpoint is the world as one node sees it.
type standpoint struct {
	w    *world
	node id.Node
}

// Nudge implements Layout.
func (s *standpoint) Nudge() {}

// WaitLayout implements Layout.
func (s *standpoint) WaitLayout(context.Context, uint64) error { return nil }

// View implements Layout.
func (s *standpoint) View() *cluster.View {
	v := s.w.View()
	for i := range v.Nodes {
		v.Nodes[i].Local = v.Nodes[i].ID == s.node
	}
	for i := range v.Drives {
		v.Drives[i].Local = v.Drives[i].Node == s.node
	}
	return v
}

func TestANodeThatDoesNotAnswerIsNamed(t *testing.T) {
	v := newTown(t, 3)
	v.hosts[2].Stop()
	s := v.operators[0].Status(t.Context())
	if s.Redundancy.Full || !strings.Contains(strings.Join(s.Trouble, "\n"), "node2 did not answer") {
		t.Errorf("full %v, %v", s.Redundancy.Full, s.Trouble)
	}
	if v.operators[0].Status(t.Context()).Rebalance.Surveyed {
		t.Error("what is left is said to be known")
	}
}

func TestAScrubIsStartedOnAllNodes(t *testing.T) {
	v := newTown(t, 3)
	got, err := v.operators[3].StartScrub(t.Context()) // the front
	if err != nil || len(got.Nodes) != 3 || len(got.Failed) > 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	for n, k := range v.workers[:3] {
		if k.scrubs != 1 {
			t.Errorf("node %d: %d scrubs", n, k.scrubs)
		}
	}
	if s := v.operators[1].Status(t.Context()).Scrub; !s.Running || s.Total != 600 {
		t.Errorf("%+v", s)
	}
	v.hosts[2].Stop()
	if got, err = v.operators[0].StartScrub(t.Context()); err != nil || len(got.Nodes) != 2 || len(got.Failed) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := v.operators[0].KickRebalance(t.Context()); err != nil || v.workers[1].kicks != 1 {
		t.Errorf("%d kicks, %v", v.workers[1].kicks, err)
	}
}

func TestADriveIsAddedToTheNodeThatHasIt(t *testing.T) {
	v := newTown(t, 3)
	c, err := v.operators[0].AddDrive(t.Context(), "node2", "/mnt/new/")
	if err != nil || !c.Changed || c.What != "drive" || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "--data /mnt/new") {
		t.Fatalf("%+v, %v", c, err)
	}
	if len(v.added) != 1 || v.added[0] != "/mnt/new" {
		t.Fatal(v.added)
	}
	again, err := v.operators[1].AddDrive(t.Context(), "node1", "/mnt/a")
	if err != nil || again.Changed || again.ID != driveID(1, 0).String() {
		t.Errorf("a drive that is in use: %+v, %v", again, err)
	}
	_, err = v.operators[0].AddDrive(t.Context(), "node2", "/mnt/bad")
	refusedFor(t, err, CodeInvalid)
	if !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("the reason did not come through: %v", err)
	}
	_, err = v.operators[0].AddDrive(t.Context(), "node3", "/mnt/x") // a front
	refusedFor(t, err, CodeUnsupported)
	_, err = v.operators[0].AddDrive(t.Context(), "node1", "mnt/x")
	refusedFor(t, err, CodeInvalid)
	_, err = v.operators[0].AddDrive(t.Context(), "node7", "/mnt/x")
	refusedFor(t, err, CodeUnknownNode)
}

func TestWhoIsNotOfTheClusterIsNotAnswered(t *testing.T) {
	v := newTown(t, 1)
	for name, edit := range map[string]func(*rpc.Config){
		"forming":         func(c *rpc.Config) { c.Role, c.Cluster = rpc.Forming, func() id.Cluster { return id.Cluster{} } },
		"another cluster": func(c *rpc.Config) { c.Cluster = func() id.Cluster { return id.Cluster{2} } },
	} {
		stranger := rpctest.New(t, edit)
		for _, m := range []string{methodProgress, methodScrub, methodKick, methodAddDrive} {
			_, err := rpc.Call[wrapperspb.BytesValue](t.Context(), stranger.Pool.Conn(v.hosts[0].Address), "/"+service+"/"+m, wrapperspb.Bytes([]byte("{}")))
			if err == nil {
				t.Errorf("%s: %s was answered", name, m)
			}
		}
	}
	if v.workers[0].scrubs+v.workers[0].kicks > 0 {
		t.Error("a stranger started something")
	}
}

func TestANodeThatStartsIsNotTakenForWhole(t *testing.T) {
	v := newTown(t, 2)
	late := rpctest.New(t, nil)
	if err := (&Service{}).Register(late.Server); err != nil {
		t.Fatal(err)
	}
	late.Serve(t)
	v.peers[nodeID(1)] = late.Address
	if s := v.operators[0].Status(t.Context()); s.Redundancy.Full || len(s.Trouble) != 1 {
		t.Errorf("full %v, %v", s.Redundancy.Full, s.Trouble)
	}
}

func TestANonsenseQuestionIsRefused(t *testing.T) {
	v := newTown(t, 1)
	_, err := rpc.Call[wrapperspb.BytesValue](t.Context(), v.hosts[1].Pool.Conn(v.hosts[0].Address), "/"+service+"/"+methodAddDrive, wrapperspb.Bytes([]byte("x")))
	if !kind.Is(err, kind.InvalidArgument) {
		t.Error(err)
	}
	_, err = rpc.Call[wrapperspb.BytesValue](t.Context(), v.hosts[1].Pool.Conn(v.hosts[0].Address), "/"+service+"/"+methodAddDrive, wrapperspb.Bytes([]byte(`{"path":"relative"}`)))
	if !kind.Is(err, kind.InvalidArgument) {
		t.Error(err)
	}
}
