package gossip

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/secret"
)

// logs are what a node says.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) count(text string) int { return strings.Count(l.String(), text) }

func secretOf(t *testing.T, name string) secret.Cluster {
	t.Helper()
	var b [32]byte
	for i := range b {
		b[i] = byte(i*7) + name[0]
	}
	s, err := secret.Parse(base64.StdEncoding.EncodeToString(b[:]))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// world is a network and the nodes on it: node n is at 10.0.0.n.
type world struct {
	t    *testing.T
	net  *network
	logs map[int]*logs
	all  map[int]*Gossip
}

func newWorld(t *testing.T) *world {
	return &world{t: t, net: newNetwork(), logs: map[int]*logs{}, all: map[int]*Gossip{}}
}

func host(n int) string { return fmt.Sprintf("10.0.0.%d", n) }

func nodeOf(n int) Node {
	return Node{Cluster: id.Cluster{1}, ID: id.Node{byte(n)}, Name: fmt.Sprint("n", n), PeerAddress: host(n) + ":9001", Storage: true}
}

// start starts node n with node 1 as its seed, or with others.
func (w *world) start(n int, change func(c *Config)) *Gossip {
	w.t.Helper()
	if w.logs[n] == nil {
		w.logs[n] = &logs{}
	}
	c := Config{Self: nodeOf(n), Secret: secretOf(w.t, "s"), Transport: w.net.open(host(n)),
		Seeds:  func(context.Context) []string { return []string{host(1) + ":9002"} },
		Logger: slog.New(slog.NewTextHandler(w.logs[n], nil))}
	if change != nil {
		change(&c)
	}
	g, err := Start(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.all[n] = g
	return g
}

func (w *world) close() {
	for _, g := range w.all {
		if err := g.Close(); err != nil {
			w.t.Error(err)
		}
	}
	time.Sleep(time.Minute) // memberlist's goroutines end by their timers
	synctest.Wait()
}

// seen says which nodes one sees alive.
func (w *world) seen(by int) string {
	var alive [256]bool
	for _, m := range w.all[by].Members() {
		alive[m.ID[0]] = m.Alive
	}
	var out []string
	for n, ok := range alive {
		if ok {
			out = append(out, fmt.Sprint(n))
		}
	}
	return strings.Join(out, " ")
}

// within waits until ok, in virtual time, and says how long that took.
func (w *world) within(limit time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			for n, l := range w.logs {
				w.t.Logf("node %d:\n%s", n, l)
			}
			w.t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(began)
}

// together starts nodes 1 to n and waits until all see all.
func (w *world) together(n int) {
	w.t.Helper()
	for i := 1; i <= n; i++ {
		w.start(i, nil)
	}
	w.within(20*time.Second, "all see all", func() bool {
		for i := 1; i <= n; i++ {
			if len(strings.Fields(w.seen(i))) != n-1 {
				return false
			}
		}
		return true
	})
}

func TestNodesFindEachOtherAndTellAllOfThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(5)
		for _, m := range w.all[4].Members() {
			if want := nodeOf(int(m.ID[0])); m.Node != want || m.Address != host(int(m.ID[0]))+":9002" || m.Since.IsZero() {
				t.Errorf("%+v", m)
			}
		}
		changed := w.all[2].Changed()
		self := nodeOf(4)
		self.Zone, self.S3Address = "rack", "s3:9000"
		if err := w.all[4].Update(self); err != nil {
			t.Fatal(err)
		}
		w.within(3*time.Second, "an update is seen", func() bool {
			for _, m := range w.all[2].Members() {
				if m.Node == self {
					return true
				}
			}
			return false
		})
		select {
		case <-changed:
		default:
			t.Error("nobody was told of the update")
		}
	})
}

// TestDeathIsNoticedInTime: by all, over many random orders of probing.
func TestDeathIsNoticedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(6)
		time.Sleep(time.Minute)
		var worst, sum time.Duration
		const rounds = 20
		for range rounds {
			w.net.silence(host(5), true)
			took := w.within(10*time.Second, "5 is dead", func() bool {
				for _, n := range []int{1, 2, 3, 4, 6} {
					if strings.Contains(w.seen(n), "5") {
						return false
					}
				}
				return true
			})
			worst, sum = max(worst, took), sum+took
			if took < time.Second {
				t.Errorf("it had only %s to object", took)
			}
			w.net.silence(host(5), false)
			w.within(40*time.Second, "5 is back", func() bool { return w.seen(1) == "2 3 4 5 6" && w.seen(5) == "1 2 3 4 6" })
			time.Sleep(10 * time.Second)
		}
		t.Logf("noticed by all after %s, at worst %s", sum/rounds, worst)
		if sum/rounds > 2*time.Second || worst > 3*time.Second {
			t.Errorf("a death is noticed after %s, at worst %s", sum/rounds, worst)
		}
	})
}

// TestQuietClusterHasNoFalseDeaths: ten minutes without a change.
func TestQuietClusterHasNoFalseDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(4)
		time.Sleep(time.Second)
		changed := w.all[1].Changed()
		time.Sleep(10 * time.Minute)
		select {
		case <-changed:
			t.Errorf("something changed:\n%s", w.logs[1])
		default:
		}
	})
}

func TestLeaveIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(4)
		if err := w.all[3].Leave(); err != nil {
			t.Fatal(err)
		}
		if took := w.within(time.Second, "3 has left", func() bool { return w.seen(1)+w.seen(2)+w.seen(4) == "2 41 41 2" }); took > 500*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

// TestPartitionHealsHoweverLongItLasted: memberlist forgets the dead after half a minute.
func TestPartitionHealsHoweverLongItLasted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(4)
		left, right := []string{host(1), host(2)}, []string{host(3), host(4)}
		w.net.part(left, right, true)
		w.within(20*time.Second, "two halves", func() bool { return w.seen(1) == "2" && w.seen(4) == "3" })
		time.Sleep(10 * time.Minute)
		w.net.part(left, right, false)
		w.within(30*time.Second, "one whole", func() bool {
			return w.seen(1) == "2 3 4" && w.seen(4) == "1 2 3" && w.seen(2) == "1 3 4" && w.seen(3) == "1 2 4"
		})
	})
}

// TestSeedsAreTriedForEver: the seed comes up long after the others, and knows nobody.
func TestSeedsAreTriedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.start(2, nil)
		w.start(3, nil)
		time.Sleep(time.Hour)
		if n := w.logs[2].count("cannot be joined yet"); n < 30 || n > 61 {
			t.Errorf("%d lines in an hour", n)
		}
		w.start(1, func(c *Config) { c.Seeds = nil })
		w.within(30*time.Second, "all are there", func() bool { return w.seen(1) == "2 3" && w.seen(2) == "1 3" && w.seen(3) == "1 2" })
	})
}

// TestNodeReturnsWithAnotherAddress, and sooner than its death was noticed.
func TestNodeReturnsWithAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(4)
		_ = w.all[3].Close()
		w.all[3] = w.start(9, func(c *Config) { c.Self.ID = id.Node{3} })
		delete(w.all, 9)
		at := func(by int) string {
			for _, m := range w.all[by].Members() {
				if m.ID == (id.Node{3}) && m.Alive {
					return m.Address
				}
			}
			return ""
		}
		w.within(2*time.Second, "it is there", func() bool { return at(1) == host(9)+":9002" || at(1) == host(3)+":9002" })
		w.within(10*time.Second, "it is where it is", func() bool { return at(1)+at(2)+at(4) == strings.Repeat(host(9)+":9002", 3) })
		time.Sleep(time.Minute)
		if at(1) != host(9)+":9002" || len(w.all[1].Members()) != 3 {
			t.Errorf("%+v", w.all[1].Members())
		}
	})
}

// TestAnotherClusterIsRefusedByBoth, with words that name both, once a minute.
func TestAnotherClusterIsRefusedByBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(2)
		w.start(3, func(c *Config) { c.Self.Cluster = id.Cluster{7} })
		time.Sleep(10 * time.Minute)
		if w.seen(1)+w.seen(2)+w.seen(3) != "21" {
			t.Errorf("they see %q, %q, %q", w.seen(1), w.seen(2), w.seen(3))
		}
		for n, l := range map[int]*logs{1: w.logs[1], 3: w.logs[3]} {
			text := l.String()
			if !strings.Contains(text, id.Cluster{7}.String()) || !strings.Contains(text, id.Cluster{1}.String()) {
				t.Errorf("node %d does not say which clusters:\n%s", n, text)
			}
			if c := l.count("a node is refused"); c < 5 || c > 25 {
				t.Errorf("node %d says so %d times in ten minutes", n, c)
			}
		}
	})
}

// TestAnotherSecretIsNotUnderstood, and both sides say so.
func TestAnotherSecretIsNotUnderstood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(2)
		w.start(3, func(c *Config) { c.Secret = secretOf(t, "other") })
		time.Sleep(5 * time.Minute)
		if w.seen(1)+w.seen(2)+w.seen(3) != "21" {
			t.Errorf("they see %q, %q, %q", w.seen(1), w.seen(2), w.seen(3))
		}
		for _, n := range []int{1, 3} {
			if c := w.logs[n].count("another cluster secret"); c < 1 || c > 12 {
				t.Errorf("node %d says so %d times in five minutes:\n%s", n, c, w.logs[n])
			}
		}
	})
}

func TestNudgeReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.together(6)
		time.Sleep(time.Minute)
		for range 3 {
			var waiting []<-chan struct{}
			for n := 1; n <= 6; n++ {
				if n != 2 {
					waiting = append(waiting, w.all[n].Changed())
				}
			}
			began := time.Now()
			w.all[2].Nudge()
			for _, c := range waiting {
				select {
				case <-c:
				case <-time.After(time.Minute):
				}
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("a nudge took %s", took)
			}
			time.Sleep(10 * time.Second)
		}
		changed := w.all[1].Changed()
		time.Sleep(time.Minute)
		select {
		case <-changed:
			t.Error("a nudge goes round for ever")
		default:
		}
	})
}

// TestNothingIsSaidInTheClear: neither the secret nor what nodes say of themselves.
func TestNothingIsSaidInTheClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		var seen logs
		w.start(1, func(c *Config) { c.Transport = &tap{c.Transport.(*port), &seen} })
		w.start(2, nil)
		w.within(5*time.Second, "they meet", func() bool { return w.seen(1) == "2" })
		time.Sleep(time.Minute)
		if seen.String() == "" || strings.Contains(seen.String(), host(1)+":9001") {
			t.Error("packets can be read")
		}
	})
}

// TestRealSockets: over UDP and TCP of this machine, on ports that the system picks.
func TestRealSockets(t *testing.T) {
	open := func(n int, seeds ...string) *Gossip {
		g, err := Start(Config{Self: nodeOf(n), Secret: secretOf(t, "s"), Listen: "127.0.0.1:0", Seeds: func(context.Context) []string { return seeds }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Close() })
		return g
	}
	a := open(1)
	_, port, _ := net.SplitHostPort(a.Address())
	b := open(2, "localhost:"+port)
	is := func(g *Gossip, alive bool) func() bool {
		return func() bool { m := g.Members(); return len(m) == 1 && m[0].Alive == alive }
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(); {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	wait("a does not see b", is(a, true))
	wait("b does not see a", is(b, true))
	if err := b.Leave(); err != nil {
		t.Fatal(err)
	}
	wait("a still sees b", is(a, false))
}

func TestWhatANodeSaysComesBackWhole(t *testing.T) {
	n := nodeOf(5)
	n.Name, n.Zone, n.S3Address, n.Storage = strings.Repeat("n", 200), strings.Repeat("z", 200), "s3:9000", false
	b, err := n.encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decode(append(b, "of a newer version"...)); err != nil || got != n {
		t.Fatalf("%+v %v", got, err)
	}
	for i := range b {
		if got, err := decode(b[:i]); err == nil {
			t.Fatalf("%d bytes of %d are %+v", i, len(b), got)
		}
	}
	n.Name = strings.Repeat("n", 255)
	n.PeerAddress = strings.Repeat("p", 200)
	if _, err := n.encode(); err == nil {
		t.Fatal("more than memberlist takes")
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := nodeOf(1).encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decode(b)
		if err != nil {
			return
		}
		again, err := n.encode()
		if err != nil {
			t.Fatal(err)
		}
		if m, err := decode(again); err != nil || m != n {
			t.Fatalf("%+v became %+v: %v", n, m, err)
		}
	})
}
