package forming

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/proto/formpb"
)

// place is where nodes of a test live: the network between them and their disks.
type place struct {
	t     *testing.T
	seed  uint64
	mu    sync.Mutex
	hosts map[string]*host
	cut   map[[2]string]bool
	slow  map[string]time.Duration // answers of these hosts are late
}

// host is a machine: its disk outlives its process.
type host struct {
	place   *place
	n       int
	address string
	disk    *disk
	change  func(*Config)

	former  *Former // nil while it is down
	stop    context.CancelFunc
	done    chan struct{}
	result  Result
	err     error
	results []Result // of every start
	logs    bytes.Buffer
	logMu   sync.Mutex
}

func (h *host) Write(b []byte) (int, error) {
	h.logMu.Lock()
	defer h.logMu.Unlock()
	return h.logs.Write(b)
}

func (h *host) text() string {
	h.logMu.Lock()
	defer h.logMu.Unlock()
	return h.logs.String()
}

// disk is a Store that can crash the host at a write: before it is durable, or right after.
type disk struct {
	mu      sync.Mutex
	saved   *formpb.Saved
	writes  int
	crashAt int // number of the write; 0: never
	after   bool
	crash   func()
}

var errCrashed = errors.New("crashed")

func (d *disk) Load() (*formpb.Saved, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.saved == nil {
		return nil, nil
	}
	return proto.CloneOf(d.saved), nil
}

func (d *disk) Save(s *formpb.Saved) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.writes == d.crashAt && !d.after {
		d.crash()
		return errCrashed
	}
	d.saved = proto.CloneOf(s)
	if d.writes == d.crashAt {
		d.crash()
		return errCrashed
	}
	return nil
}

func newPlace(t *testing.T) *place {
	return &place{t: t, seed: 1, hosts: map[string]*host{}, cut: map[[2]string]bool{}, slow: map[string]time.Duration{}}
}

func at(n int) string { return fmt.Sprintf("host%d:9001", n) }

func design(drives []int, scheme erasure.Scheme) (Design, error) {
	if scheme == (erasure.Scheme{}) {
		var err error
		if scheme, err = erasure.DefaultFor(drives); err != nil {
			return Design{}, err
		}
	}
	return Design{Scheme: scheme, Groups: 16, Replicas: 3}, nil
}

// machine makes host n, which expects four nodes and has two drives; join are the others that it names.
func (p *place) machine(n int, change func(*Config), join ...int) *host {
	h := &host{place: p, n: n, address: at(n), disk: &disk{}}
	h.disk.crash = h.crash
	h.change = func(c *Config) {
		for _, j := range join {
			c.Join = append(c.Join, at(j))
		}
		if change != nil {
			change(c)
		}
	}
	p.mu.Lock()
	p.hosts[h.address] = h
	p.mu.Unlock()
	return h
}

// boot starts the host's process.
func (h *host) boot() {
	h.place.t.Helper()
	var seed [32]byte
	h.place.mu.Lock()
	h.place.seed++
	seed[0], seed[1] = byte(h.place.seed), byte(h.n)
	h.place.mu.Unlock()
	c := Config{Self: Self{ID: id.Node{byte(h.n)}, Name: fmt.Sprint("node", h.n), Zone: "z", PeerAddress: h.address, GossipAddress: fmt.Sprintf("host%d:9002", h.n), Paths: []string{"/a", "/b"}},
		Expect: 4, Store: h.disk, Design: design, Caller: wire{h}, Rand: rand.NewChaCha8(seed), Logger: slog.New(slog.NewTextHandler(h, nil))}
	h.change(&c)
	f, err := New(c)
	if err != nil {
		h.place.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.place.mu.Lock()
	h.former, h.stop, h.done, h.result, h.err = f, cancel, make(chan struct{}), Result{}, nil
	done := h.done
	h.place.mu.Unlock()
	go func() {
		defer close(done)
		r, err := f.Run(ctx)
		h.place.mu.Lock()
		defer h.place.mu.Unlock()
		if h.former == f {
			h.result, h.err = r, err
			if err == nil {
				h.results = append(h.results, r)
			}
		}
	}()
}

// crash ends the host's process at once: nothing more leaves it.
func (h *host) crash() {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	h.former = nil
	h.stop()
}

// down ends the process and waits until it is gone.
func (h *host) down() {
	h.crash()
	<-h.done
}

func (h *host) formed() bool {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	return !h.result.Cluster.IsZero()
}

func (p *place) bootAll() {
	for n := 1; n <= len(p.hosts); n++ {
		p.hosts[at(n)].boot()
	}
}

func (p *place) stopAll() {
	for _, h := range p.hosts {
		if h.stop != nil {
			h.stop()
			<-h.done
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}

// within waits in virtual time.
func (p *place) within(limit time.Duration, what string, ok func() bool) {
	p.t.Helper()
	for began := time.Now(); !ok(); {
		if time.Since(began) > limit {
			for a, h := range p.hosts {
				p.t.Logf("%s: %+v %v\n%s", a, h.result.Cluster, h.err, h.text())
			}
			p.t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
	}
}

func (p *place) all(hosts ...*host) func() bool {
	return func() bool {
		for _, h := range hosts {
			if !h.formed() {
				return false
			}
		}
		return true
	}
}

// wire is what a host calls others by.
type wire struct{ from *host }

func (w wire) reach(ctx context.Context, address string) (*Former, error) {
	p := w.from.place
	p.mu.Lock()
	h, cut, slow := p.hosts[address], p.cut[[2]string{w.from.address, address}], p.slow[address]
	alive := w.from.former != nil
	p.mu.Unlock()
	if cut || !alive {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(time.Millisecond + slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h == nil || h.former == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return h.former, nil
}

// back is the way of an answer.
func back[A any](w wire, address string, f *Former, a A, err error) (A, error) {
	p := w.from.place
	p.mu.Lock()
	defer p.mu.Unlock()
	var none A
	if h := p.hosts[address]; h.former != f || p.cut[[2]string{address, w.from.address}] {
		return none, io.ErrUnexpectedEOF
	}
	return a, err
}

func (w wire) self() id.Node { return id.Node{byte(w.from.n)} }

func (w wire) Hello(ctx context.Context, address string, h *formpb.Hello) (*formpb.Hello, error) {
	f, err := w.reach(ctx, address)
	if err != nil {
		return nil, err
	}
	a, err := f.onHello(w.self(), proto.CloneOf(h))
	return back(w, address, f, a, err)
}

func (w wire) Accept(ctx context.Context, address string, p *formpb.Plan) (*formpb.Outcome, error) {
	f, err := w.reach(ctx, address)
	if err != nil {
		return nil, err
	}
	a, err := f.onAccept(w.self(), proto.CloneOf(p))
	return back(w, address, f, a, err)
}

func (w wire) Decide(ctx context.Context, address string, d *formpb.Decision) (*formpb.Outcome, error) {
	f, err := w.reach(ctx, address)
	if err != nil {
		return nil, err
	}
	a, err := f.onDecide(w.self(), proto.CloneOf(d))
	return back(w, address, f, a, err)
}
