package forming

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/proto/formpb"
)

// checkOne fails unless the hosts came to one cluster, by one plan of those in it.
func checkOne(t *testing.T, planned int, hosts ...*host) *Plan {
	t.Helper()
	var plan *Plan
	members := 0
	for _, h := range hosts {
		for _, r := range h.results { // of every start
			if r.Cluster != hosts[0].result.Cluster {
				t.Fatalf("%s is in cluster %s, %s in %s", h.address, r.Cluster, hosts[0].address, hosts[0].result.Cluster)
			}
			if r.Plan == nil {
				continue
			}
			if plan == nil {
				plan = r.Plan
			}
			if !reflect.DeepEqual(plan, r.Plan) {
				t.Fatalf("two plans: %+v and %+v", plan, r.Plan)
			}
		}
		if h.result.Plan != nil {
			members++
		}
	}
	if plan == nil || members != planned || len(plan.Nodes) != planned {
		t.Fatalf("%d nodes formed the cluster, expected %d: %+v", members, planned, plan)
	}
	return plan
}

// four makes hosts 1 to 4, which all know host 1 alone.
func four(p *place) []*host {
	var all []*host
	for n := 1; n <= 4; n++ {
		all = append(all, p.machine(n, nil, 1))
	}
	return all
}

func TestFourNodesFormOneCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		hosts := four(p)
		for _, h := range hosts[:3] {
			h.boot()
		}
		time.Sleep(time.Hour)
		for _, h := range hosts[:3] {
			if h.formed() {
				t.Fatal("three nodes of four formed a cluster")
			}
			if text := h.text(); !strings.Contains(text, "waiting for 1 more storage nodes of 4; here: node1 (host1:9001), node2 (host2:9001), node3 (host3:9001)") || strings.Count(text, "\n") > 361 {
				t.Fatalf("%d lines: %.300s", strings.Count(text, "\n"), text)
			}
		}
		hosts[3].boot()
		p.within(10*time.Second, "they form a cluster", p.all(hosts...))
		plan := checkOne(t, 4, hosts...)
		if plan.Scheme != (erasure.Scheme{K: 5, M: 3}) || plan.Groups != 16 || plan.Coordinator != (id.Node{1}) || plan.Created.IsZero() {
			t.Errorf("%+v", plan)
		}
		seen := map[id.Drive]bool{}
		for i, n := range plan.Nodes {
			if n.ID != (id.Node{byte(i + 1)}) || n.PeerAddress != at(i+1) || n.Zone != "z" || len(n.Drives) != 2 || n.Drives[1].Path != "/b" {
				t.Errorf("%+v", n)
			}
			for _, d := range n.Drives {
				if d.ID.IsZero() || seen[d.ID] {
					t.Errorf("drive ID %s", d.ID)
				}
				seen[d.ID] = true
			}
		}
		p.stopAll()
	})
}

// TestCrashAtEveryWrite crashes each node at each of its writes, before and after the write is
// durable, and starts it again soon or late: there is one cluster, by one plan.
func TestCrashAtEveryWrite(t *testing.T) {
	for who := range 4 {
		for write := 1; write <= 3; write++ {
			for _, after := range []bool{false, true} {
				for _, away := range []time.Duration{time.Second, time.Minute} {
					t.Run(fmt.Sprintf("node %d write %d after %v away %s", who+1, write, after, away), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { crashOne(t, who, write, after, away) })
					})
				}
			}
		}
	}
}

func crashOne(t *testing.T, who, write int, after bool, away time.Duration) {
	p := newPlace(t)
	hosts := four(p)
	victim := hosts[who]
	victim.disk.crashAt, victim.disk.after = write, after
	p.bootAll()
	crashed := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return victim.former == nil
	}
	p.within(10*time.Minute, "it crashes or forms", func() bool { return crashed() || p.all(hosts...)() })
	if crashed() {
		<-victim.done
		time.Sleep(away)
		victim.boot()
	}
	p.within(10*time.Minute, "they form a cluster", p.all(hosts...))
	checkOne(t, 4, hosts...)
	// What was decided is said again until it is settled, and never after.
	for _, h := range hosts {
		h.down()
		h.boot()
	}
	p.within(time.Minute, "they know it", p.all(hosts...))
	plan := checkOne(t, 4, hosts...)
	for _, h := range hosts {
		if err := h.former.Settle(plan.Cluster); errors.Is(err, errCrashed) {
			<-h.done
			h.change = func(c *Config) { c.Cluster = plan.Cluster } // as its formatted drives say
			h.boot()
			p.within(time.Minute, "it knows it", h.formed)
			if again := h.result.Plan != nil; again == after || again && !reflect.DeepEqual(h.result.Plan, plan) {
				t.Fatalf("after a crash in Settle: %+v", h.result)
			}
			err = h.former.Settle(plan.Cluster)
			if err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		h.down()
		if h.disk.saved.Phase != formpb.Phase_MEMBER || h.disk.saved.Plan != nil {
			t.Fatalf("a settled node still says %v", h.disk.saved)
		}
	}
	p.stopAll()
}

// TestRandomCrashesAndCuts: nodes crash and links fail at random for a while; when that ends there is
// one cluster.
func TestRandomCrashesAndCuts(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			p := newPlace(t)
			p.seed = seed * 100
			var hosts []*host
			count := 4 + r.IntN(3) // a fifth and a sixth come too late for the plan
			for n := 1; n <= count; n++ {
				hosts = append(hosts, p.machine(n, nil, 1+r.IntN(count), 1+r.IntN(count), 1))
			}
			p.bootAll()
			for range 40 {
				time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
				h := hosts[r.IntN(count)]
				switch r.IntN(4) {
				case 0:
					if h.former != nil {
						h.down()
					}
				case 1:
					if h.former == nil {
						h.boot()
					}
				case 2:
					p.mu.Lock()
					p.cut[[2]string{h.address, at(1 + r.IntN(count))}] = r.IntN(3) > 0
					p.mu.Unlock()
				case 3:
					p.mu.Lock()
					p.slow[h.address] = time.Duration(r.IntN(2500)) * time.Millisecond
					p.mu.Unlock()
				}
			}
			p.mu.Lock()
			clear(p.cut)
			clear(p.slow)
			p.mu.Unlock()
			for _, h := range hosts {
				if h.former == nil {
					h.boot()
				}
			}
			p.within(10*time.Minute, fmt.Sprintf("seed %d: they form a cluster", seed), p.all(hosts...))
			checkOne(t, 4, hosts...)
			p.stopAll()
		})
	}
}

// TestTwoCoordinators have different sights: each sees four, and two of them are the same.
func TestTwoCoordinators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		var hosts []*host
		for n := 1; n <= 6; n++ {
			hosts = append(hosts, p.machine(n, nil, 1, 2, 3, 4, 5, 6))
		}
		cut := func(on bool) { // 1 and 2 do not see 5 and 6
			for _, a := range []int{1, 2} {
				for _, b := range []int{5, 6} {
					p.cut[[2]string{at(a), at(b)}], p.cut[[2]string{at(b), at(a)}] = on, on
				}
			}
		}
		cut(true)
		// 3 and 4 answer so late that both plans are on their way at once.
		p.slow[at(3)], p.slow[at(4)] = 1500*time.Millisecond, 1500*time.Millisecond
		p.bootAll()
		time.Sleep(20 * time.Second)
		p.mu.Lock()
		cut(false)
		clear(p.slow)
		p.mu.Unlock()
		p.within(5*time.Minute, "they form a cluster", p.all(hosts...))
		checkOne(t, 4, hosts...)
		p.stopAll()
	})
}

// TestLateNodeJoins: the fifth of four takes no part in the plan, and neither does a front.
func TestLateNodeJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		hosts := four(p)
		front := p.machine(5, func(c *Config) { c.Self.Paths, c.Expect, c.Store = nil, 0, nil }, 2)
		p.bootAll()
		p.within(time.Minute, "they form a cluster", p.all(append(hosts, front)...))
		late := p.machine(6, nil, 3)
		late.boot()
		p.within(5*time.Second, "the late one joins", late.formed)
		for _, h := range []*host{front, late} {
			if h.result.Plan != nil || h.result.Cluster != hosts[0].result.Cluster {
				t.Errorf("%s: %+v", h.address, h.result)
			}
		}
		for _, h := range hosts {
			if err := h.former.Settle(h.result.Cluster); err != nil {
				t.Fatal(err)
			}
		}
		later := p.machine(7, func(c *Config) { c.Expect = 0 }, 6)
		later.boot()
		p.within(5*time.Second, "it joins by one that joined", later.formed)
		if seeds := fmt.Sprint(later.former.Seeds(t.Context())); seeds != "[host6:9002]" {
			t.Errorf("seeds: %s", seeds)
		}
		// A node that starts again knows its cluster, and asks for the others' gossip only.
		member := p.machine(8, func(c *Config) { c.Cluster = hosts[0].result.Cluster }, 1, 9)
		member.boot()
		p.within(5*time.Second, "it knows its cluster", member.formed)
		if seeds := fmt.Sprint(member.former.Seeds(t.Context())); seeds != "[host1:9002]" || member.disk.writes > 0 {
			t.Errorf("seeds: %s; %d writes", seeds, member.disk.writes)
		}
		checkOne(t, 4, append(hosts, front, late, later, member)...)
		p.stopAll()
	})
}

func TestMismatchNamesTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		hosts := four(p)[:2]
		hosts = append(hosts, p.machine(3, func(c *Config) { c.Expect = 5 }, 1), p.machine(4, func(c *Config) { c.Scheme = erasure.Scheme{K: 4, M: 4} }, 1))
		p.bootAll()
		time.Sleep(time.Minute)
		text := hosts[0].text()
		for _, want := range []string{"waiting for 2 more storage nodes of 4", "node3 (host3:9001) was started with --expect 5, this node with --expect 4",
			"node4 (host4:9001) was started with --scheme 4+4, this node with 0+0"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not said:\n%s", want, text)
			}
		}
		if p.all(hosts[0])() || p.all(hosts[2])() {
			t.Error("nodes that do not agree formed a cluster")
		}
		// The operator starts them again as the others were.
		for _, h := range hosts[2:] {
			h.down()
			h.change = func(c *Config) { c.Join = []string{at(1)} }
			h.boot()
		}
		p.within(time.Minute, "they form a cluster", p.all(hosts...))
		checkOne(t, 4, hosts...)
		p.stopAll()
	})
}

func TestNodesOfTwoClustersAreNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.machine(1, func(c *Config) { c.Cluster = id.Cluster{1} })
		p.machine(2, func(c *Config) { c.Cluster = id.Cluster{2} })
		h := p.machine(3, nil, 1, 2)
		p.bootAll()
		<-h.done
		if h.err == nil || !strings.Contains(h.err.Error(), "host1:9001") || !strings.Contains(h.err.Error(), id.Cluster{2}.String()) {
			t.Error(h.err)
		}
		p.stopAll()
	})
}

// TestNodeThatDoesNotAnswerIsNamed, with the reason: another secret, for one.
func TestNodeThatDoesNotAnswerIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		h := p.machine(1, nil, 9)
		h.boot()
		time.Sleep(15 * time.Second)
		if text := h.text(); !strings.Contains(text, "host9:9001 does not answer: unexpected EOF") {
			t.Error(text)
		}
		p.stopAll()
	})
}

// TestOldAnswerDoesNotEndAPlan: an answer that the coordinator gave before it made the plan arrives
// after the acceptance. Who took it for "I know no such plan" would leave a plan that holds.
func TestOldAnswerDoesNotEndAPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		h := p.machine(2, nil, 1)
		h.change(&Config{})
		f, err := New(Config{Self: Self{ID: id.Node{2}, PeerAddress: at(2), Paths: []string{"/a"}}, Expect: 2, Design: design, Caller: wire{h}, Store: h.disk})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := draw([]*formpb.Info{{Id: (&id.Node{1})[:], PeerAddress: at(1), Paths: []string{"/a"}}, {Id: (&id.Node{2})[:], PeerAddress: at(2), Paths: []string{"/a"}}},
			id.Node{1}, &Config{Expect: 2, Rand: rand.NewChaCha8([32]byte{}), Design: func([]int, erasure.Scheme) (Design, error) { return Design{erasure.Scheme{K: 1, M: 0}, 1, 1}, nil }}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		old := &formpb.Hello{Self: plan.Nodes[0].Info, Expect: 2, Phase: formpb.Phase_IDLE, Verdict: formpb.Hello_UNKNOWN}
		f.cfg.Caller = late{wire{h}, func() *formpb.Hello {
			if o, err := f.onAccept(id.Node{1}, plan); err != nil || !o.Done {
				t.Error(o, err)
			}
			return old
		}}
		f.learn(at(1))
		f.greet(t.Context())
		if err := f.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.phase() != formpb.Phase_ACCEPTED {
			t.Fatal("an old answer ended the plan")
		}
		// The same words after a question about the plan do end it.
		f.cfg.Caller = late{wire{h}, func() *formpb.Hello { return old }}
		f.greet(t.Context())
		if err := f.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.phase() != formpb.Phase_IDLE {
			t.Fatal("the plan goes on for ever")
		}
	})
}

type late struct {
	wire
	answer func() *formpb.Hello
}

func (l late) Hello(_ context.Context, _ string, _ *formpb.Hello) (*formpb.Hello, error) {
	return l.answer(), nil
}

// TestPlanIsChecked: whatever a node sends, what is written down makes sense.
func TestPlanIsChecked(t *testing.T) {
	info := func(n byte) *formpb.Info {
		return &formpb.Info{Id: (&id.Node{n})[:], PeerAddress: at(int(n)), Paths: []string{"/a", "/b"}}
	}
	make := func() *formpb.Plan {
		p, err := draw([]*formpb.Info{info(1), info(2), info(3), info(4)}, id.Node{1}, &Config{Expect: 4, Rand: rand.NewChaCha8([32]byte{}), Design: design}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if _, err := planOf(make()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(p *formpb.Plan){
		"no cluster":     func(p *formpb.Plan) { p.Cluster = nil },
		"no ID":          func(p *formpb.Plan) { p.Id = nil },
		"coordinator":    func(p *formpb.Plan) { p.Coordinator = (&id.Node{9})[:] },
		"scheme":         func(p *formpb.Plan) { p.K = 0 },
		"few nodes":      func(p *formpb.Plan) { p.Nodes = p.Nodes[:3] },
		"node twice":     func(p *formpb.Plan) { p.Nodes[1] = p.Nodes[0] },
		"no drives":      func(p *formpb.Plan) { p.Nodes[1].Drives = nil },
		"drive twice":    func(p *formpb.Plan) { p.Nodes[1].Drives[0].Id = p.Nodes[0].Drives[0].Id },
		"no groups":      func(p *formpb.Plan) { p.Groups = 0 },
		"node without":   func(p *formpb.Plan) { p.Nodes[2].Info = nil },
		"short drive ID": func(p *formpb.Plan) { p.Nodes[2].Drives[0].Id = []byte{1} },
	} {
		p := make()
		spoil(p)
		if _, err := planOf(p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestDesignThatFailsEndsTheStart: an operator has to know.
func TestDesignThatFailsEndsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		h := p.machine(1, func(c *Config) {
			c.Expect = 1
			c.Design = func([]int, erasure.Scheme) (Design, error) { return Design{}, errors.New("too few drives") }
		})
		h.boot()
		<-h.done
		if h.err == nil || !strings.Contains(h.err.Error(), "too few drives") || h.disk.writes > 0 {
			t.Error(h.err)
		}
		p.stopAll()
	})
}
