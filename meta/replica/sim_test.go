package replica_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/client"
	"holdfast/meta/replica"
	"holdfast/meta/replica/replicatest"
	"holdfast/proto/metapb"
)

// sim is a cluster of hosts with one drive each, or more, joined by a network that loses, delays,
// duplicates and reorders messages. It runs in the fake time of a synctest bubble.
type sim struct {
	t      testing.TB
	cfg    replica.Config // without drives
	drives []*replicatest.Drive
	per    int // drives a host

	mu    sync.Mutex
	rng   *rand.Rand
	hosts []*replica.Host // nil: down
	cut   map[[2]int]bool // from, to
	loss  float64
	takes []int         // batches with entries that each host was sent
	delay time.Duration // at most

	leaders leaderWatch
	moved   int
}

func newSim(t testing.TB, seed uint64, drives, factor int, groups uint32) *sim {
	return newSimOf(t, seed, drives, 1, factor, groups)
}

// newSimOf has per drives at each host.
func newSimOf(t testing.TB, seed uint64, hosts, per, factor int, groups uint32) *sim {
	return newSimWith(t, seed, hosts, per, factor, groups, func(*sim) {})
}

// newSimWith has what change changes, too.
func newSimWith(t testing.TB, seed uint64, hosts, per, factor int, groups uint32, change func(*sim)) *sim {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]int]bool{}, per: per}
	s.drives = testDrives(hosts * per)
	s.hosts, s.takes = make([]*replica.Host, hosts), make([]int, hosts)
	s.leaders = leaderWatch{Handler: testLogger(t).Handler(), seen: &sync.Map{}, t: t}
	s.cfg = replica.Config{
		Groups: groups, Apply: testApply, Answer: testAnswer, Logger: slog.New(s.leaders),
		KeepEntries: 20, LogBytes: 16 << 10, CacheBytes: 4 << 10, ChunkBytes: 200,
	}
	for _, d := range s.drives {
		d.Disk.SegmentBytes = 8 << 10
		d.Disk.SyncTime = func() time.Duration { return s.upTo(4 * time.Millisecond) }
		d.KV.AutoFlush = 1 + s.rng.Uint64N(60)
	}
	s.cfg.Beginning = beginning(factor, s.drives)
	change(s)
	for i := range s.hosts {
		s.start(i)
	}
	s.cfg.Beginning = nil
	t.Cleanup(s.close)
	return s
}

func (s *sim) start(i int) {
	cfg := s.cfg
	cfg.Drives = nil
	for _, d := range s.of(i) {
		d.Restart()
		cfg.Drives = append(cfg.Drives, d.Handle())
	}
	cfg.Transport = link{s, i}
	h, err := replica.Open(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.hosts[i] = h
	s.mu.Unlock()
}

// of are the drives of a host.
func (s *sim) of(i int) []*replicatest.Drive { return s.drives[i*s.per : (i+1)*s.per] }

// crash cuts the power of a host.
func (s *sim) crash(i int) {
	s.mu.Lock()
	h := s.hosts[i]
	s.hosts[i] = nil
	s.mu.Unlock()
	if h != nil {
		for _, d := range s.of(i) {
			d.Crash()
		}
		_ = h.Close()
	}
}

func (s *sim) host(i int) *replica.Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[i]
}

func (s *sim) upTo(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d <= 0 {
		return 0
	}
	return time.Duration(s.rng.Int64N(int64(d)))
}

func (s *sim) intN(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// close stops all.
func (s *sim) close() {
	for i := range s.hosts {
		if h := s.host(i); h != nil {
			_ = h.Close()
		}
	}
	time.Sleep(time.Second) // what was on its way arrives
}

// at is the host that has a drive.
func (s *sim) at(drive id.Drive) int { return (int(drive[15]) - 1) / s.per }

// link is a host's way to the others.
type link struct {
	s    *sim
	from int
}

func (l link) index(drive id.Drive) int { return l.s.at(drive) }

func (l link) Send(msgs []replica.Message) {
	s := l.s
	if slices.ContainsFunc(msgs, func(m replica.Message) bool { return len(m.Raft.GetEntries()) > 0 }) {
		s.mu.Lock()
		s.takes[l.index(msgs[0].To)]++
		s.mu.Unlock()
	}
	for _, m := range msgs {
		to := l.index(m.To)
		s.mu.Lock()
		lost := s.cut[[2]int{l.from, to}] || s.rng.Float64() < s.loss
		twice := s.loss > 0 && s.rng.Float64() < s.loss
		var delay [2]time.Duration
		if s.delay > 0 {
			delay = [2]time.Duration{time.Duration(s.rng.Int64N(int64(s.delay))), time.Duration(s.rng.Int64N(int64(s.delay)))}
		}
		s.mu.Unlock()
		if lost {
			continue
		}
		l.deliver(m, to, delay[0])
		if twice {
			l.deliver(m, to, delay[1])
		}
	}
}

func (l link) deliver(m replica.Message, to int, delay time.Duration) {
	arrive := func() {
		if h := l.s.host(to); h != nil {
			h.Deliver([]replica.Message{m})
		}
	}
	if delay == 0 {
		arrive()
		return
	}
	go func() { // not AfterFunc: the race detector of Go 1.26 crashes on it in a bubble
		time.Sleep(delay)
		arrive()
	}()
}

func (l link) Stream(ctx context.Context, head replica.SnapshotHead, next func() ([]byte, error)) error {
	to := l.index(head.To)
	h := l.s.host(to)
	if h == nil {
		return errors.New("down")
	}
	return h.Receive(ctx, head, func() ([]byte, error) {
		time.Sleep(l.s.upTo(3 * time.Millisecond))
		l.s.mu.Lock()
		cut := l.s.cut[[2]int{l.from, to}]
		l.s.mu.Unlock()
		if cut {
			return nil, errors.New("cut")
		}
		return next()
	})
}

// everywhere is all hosts as one, as a client across the network would see them.
type everywhere struct{ s *sim }

func (e everywhere) Groups() uint32 { return e.s.cfg.Groups }

// each tries the hosts from a random one on until one does not say that it does not lead.
func (e everywhere) each(f func(h *replica.Host) error) error {
	err := error(replica.ErrNotLeader)
	first := e.s.intN(len(e.s.hosts))
	for i := range e.s.hosts {
		if h := e.s.host((first + i) % len(e.s.hosts)); h != nil {
			if err = f(h); !kind.Is(err, kind.NotLeader) {
				return err
			}
		}
	}
	return err
}

func (e everywhere) Propose(ctx context.Context, group uint32, command []byte) (res *metapb.Result, err error) {
	err = e.each(func(h *replica.Host) (err error) {
		res, err = h.Propose(ctx, group, command)
		return err
	})
	return res, err
}

func (e everywhere) Ask(ctx context.Context, group uint32, q *metapb.Query) (a *metapb.Answer, err error) {
	err = e.each(func(h *replica.Host) (err error) {
		a, err = h.Ask(ctx, group, q)
		return err
	})
	return a, err
}

func (e everywhere) Outcome(ctx context.Context, u *replica.UnknownError) (res *metapb.Result, known bool, err error) {
	err = e.each(func(h *replica.Host) (err error) {
		res, known, err = h.Outcome(ctx, u)
		return err
	})
	return res, known, err
}

func (e everywhere) Full(uint32) bool                    { return false }
func (e everywhere) Changed() <-chan struct{}            { return nil }
func (e everywhere) WaitReady(ctx context.Context) error { return ctx.Err() }

// leaderWatch reads raft's log: no term may have two leaders.
type leaderWatch struct {
	slog.Handler
	t    testing.TB
	seen *sync.Map // group and term → raft ID
}

var becameLeader = regexp.MustCompile(`became leader at term (\d+)$`)

func (w leaderWatch) Enabled(context.Context, slog.Level) bool { return true }

func (w leaderWatch) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "replica lost" {
		w.t.Errorf("a power cut cost a replica: %v", r)
	}
	if m := becameLeader.FindStringSubmatch(r.Message); m != nil {
		var group, raftID string
		r.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "group":
				group = a.Value.String()
			case "raft_id":
				raftID = a.Value.String()
			}
			return true
		})
		if other, ok := w.seen.LoadOrStore(group+"/"+m[1], raftID); ok && other != raftID {
			w.t.Errorf("group %s has two leaders in term %s: %s and %s", group, m[1], other, raftID)
		}
	}
	if w.Handler.Enabled(ctx, r.Level) {
		return w.Handler.Handle(ctx, r)
	}
	return nil
}

// op is one finished operation on a register: where it stands in the group's history.
type op struct {
	start, end time.Time
	group      uint32
	key        string
	wrote      bool
	index      uint64 // written at, or of the value that was read
	old        register
	value      string
}

// history gathers operations; it is checked when all is over.
type history struct {
	mu  sync.Mutex
	ops []op
	// unknown counts writes whose outcome was never told.
	unknown int
}

func (h *history) add(o op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// check asserts that every register is linearizable. Writes are ordered by index, and reads stand
// behind what they read, so all that is to be shown is that this order keeps to real time: an
// operation that began after another had ended does not stand before it.
func (h *history) check(t testing.TB) {
	byKey := map[string][]op{}
	for _, o := range h.ops {
		k := fmt.Sprintf("group %d key %s", o.group, o.key)
		byKey[k] = append(byKey[k], o)
	}
	for k, ops := range byKey {
		for i, a := range ops {
			for _, b := range ops[i+1:] {
				if b.end.Before(a.start) {
					a, b = b, a
				} else if !a.end.Before(b.start) {
					continue
				}
				if a.index > b.index || a.index == b.index && b.wrote {
					t.Errorf("%s: not linearizable:\n  %+v\n  then %+v", k, a, b)
				}
			}
			for _, b := range ops {
				if a.wrote && b.wrote && a.old.index < b.index && b.index < a.index {
					t.Errorf("%s: lost update: %+v replaced %v, but %+v came between", k, a, a.old, b)
				}
			}
		}
	}
}

// worker puts and gets until ctx ends. Values are unique.
func (s *sim) worker(ctx context.Context, name int, h *history) {
	c, err := client.New(client.Config{Host: everywhere{s}, Timeout: 15 * time.Second})
	if err != nil {
		s.t.Error(err)
		return
	}
	for n := 0; ctx.Err() == nil; n++ {
		o := op{group: uint32(s.intN(int(s.cfg.Groups) + 1)), key: strconv.Itoa(s.intN(2)), wrote: s.intN(5) < 3, start: time.Now()}
		if o.wrote {
			o.value = fmt.Sprintf("w%d-%d", name, n)
			var res *metapb.Result
			if res, err = c.Apply(context.Background(), o.group, put(o.key, o.value)); err == nil {
				o.index, o.old = written(res)
			}
		} else {
			var a *metapb.Answer
			if a, err = c.Ask(context.Background(), o.group, &metapb.Query{Key: o.key}); err == nil {
				r := parseRegister(a.GetMessage())
				o.index, o.value = r.index, r.value
			}
		}
		o.end = time.Now()
		switch {
		case err == nil:
			h.add(o)
		case kind.Is(err, kind.Timeout) || kind.Is(err, kind.Unavailable):
			if o.wrote {
				h.mu.Lock()
				h.unknown++
				h.mu.Unlock()
			}
		default:
			s.t.Errorf("worker: %v", err)
			return
		}
		if took := o.end.Sub(o.start); took > 16*time.Second {
			s.t.Errorf("an operation hung for %v", took)
		}
		time.Sleep(s.upTo(30 * time.Millisecond))
	}
}

// settle ends all faults, and waits until every group takes writes and all replicas are equal.
func (s *sim) settle() {
	s.mu.Lock()
	s.cut, s.loss, s.delay = map[[2]int]bool{}, 0, 0
	s.mu.Unlock()
	for i := range s.hosts {
		if s.host(i) == nil {
			s.start(i)
		}
	}
	c, err := client.New(client.Config{Host: everywhere{s}, Timeout: 30 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	for g := range s.cfg.Groups + 1 {
		if _, err := c.Apply(s.t.Context(), g, put("last", "one")); err != nil {
			s.t.Errorf("group %d takes no writes after all faults ended: %v", g, err)
			continue
		}
		if a, err := c.Ask(s.t.Context(), g, &metapb.Query{Key: "#twice"}); err != nil || a.GetMessage() != "0" {
			s.t.Errorf("group %d: commands that took effect twice: %v, %v", g, a.GetMessage(), err)
		}
		s.waitEqual(g)
	}
}

// waitEqual waits until all replicas of a group have applied the same and have the same content.
func (s *sim) waitEqual(group uint32) {
	var last string
	for range 200 {
		last = ""
		indexes, sums := map[uint64]bool{}, map[uint64]bool{}
		for i, d := range s.drives {
			h := s.host(i / s.per)
			if h == nil {
				continue
			}
			index, sum, err := h.Hash(s.t.Context(), group, d.ID)
			if err != nil {
				continue // not a member
			}
			indexes[index], sums[sum] = true, true
			last += fmt.Sprintf(" drive %d: index %d, %x;", i, index, sum)
		}
		if len(indexes) == 1 {
			if len(sums) > 1 {
				s.t.Errorf("group %d: replicas differ:%s", group, last)
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Errorf("group %d: replicas do not catch up:%s", group, last)
}
