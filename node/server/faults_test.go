package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/rpc"
	"holdfast/internal/rpc/rpctest"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
	"holdfast/node/server"
	"holdfast/node/wire"
	"holdfast/proto/nodepb"
)

// clean waits until no writer is open at the drive, and checks that it has just these shards.
func clean(t *testing.T, d *nodetest.Drive, want ...node.Shard) {
	t.Helper()
	waitFor(t, "the drive's writers to end", func() bool { _, open := d.Census(); return open == 0 })
	got, _ := d.Census()
	if len(got) != len(want) {
		t.Errorf("the drive has %v, want %v", got, want)
	}
}

// TestAStreamThatBreaksLeavesNoShard: aborted, its process gone, its connection cut, at each block.
func TestAStreamThatBreaksLeavesNoShard(t *testing.T) {
	for name, end := range map[string]func(p *pair, proxy *rpctest.Proxy, w node.Writer, cancel context.CancelFunc){
		"aborted":            func(_ *pair, _ *rpctest.Proxy, w node.Writer, _ context.CancelFunc) { w.Abort() },
		"its connection cut": func(_ *pair, proxy *rpctest.Proxy, _ node.Writer, _ context.CancelFunc) { proxy.Break() },
		"its process gone":   func(p *pair, _ *rpctest.Proxy, _ node.Writer, _ context.CancelFunc) { p.front.Pool.Close() },
		"its context over": func(_ *pair, _ *rpctest.Proxy, w node.Writer, cancel context.CancelFunc) {
			cancel()
			w.Abort()
		},
	} {
		for blocks := range 3 {
			p := newPair(t, nil)
			proxy := rpctest.NewProxy(t, p.lender.Address)
			r := remote(t, p.front, proxy.Address, id.Drive{7}, nil)
			ctx, cancel := context.WithCancel(context.Background())
			w, err := r.Create(ctx, specOf(1, 3))
			if err != nil {
				t.Fatal(err)
			}
			for n := range blocks {
				if err := w.WriteBlock(ctx, content(byte(n))); err != nil {
					t.Fatal(err)
				}
			}
			if blocks > 0 {
				waitFor(t, "the drive to have them", func() bool { return p.drive.Calls(nodetest.Write) == blocks })
				if _, open := p.drive.Census(); open != 1 {
					t.Fatalf("%s: %d writers at the drive", name, open)
				}
			}
			end(p, proxy, w, cancel)
			clean(t, p.drive)
			w.Abort()
			cancel()
		}
	}
}

// TestAServerThatStopsFailsItsWriters, and none of them commits.
func TestAServerThatStopsFailsItsWriters(t *testing.T) {
	p := newPair(t, nil)
	ctx := context.Background()
	w, err := p.remote.Create(ctx, specOf(1, 3))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteBlock(ctx, content(0)); err != nil {
		t.Fatal(err)
	}
	p.lender.Stop()
	for n := 1; n < 3 && err == nil; n++ {
		err = w.WriteBlock(ctx, content(byte(n)))
	}
	if err == nil {
		err = w.Commit(ctx)
	}
	if !kind.Is(err, kind.Unavailable) {
		t.Errorf("got %v", err)
	}
	w.Abort()
	clean(t, p.drive)
}

// TestTheFirstBlockTellsWhetherTheDriveTakesIt: while a spare could still take the shard.
func TestTheFirstBlockTellsWhetherTheDriveTakesIt(t *testing.T) {
	for _, op := range []nodetest.Op{nodetest.Create, nodetest.Write} {
		p := newPair(t, nil)
		p.drive.Fail(op, kind.New(kind.Full, "the reserve is reached"), 0)
		w, err := p.remote.Create(context.Background(), specOf(1, 3))
		if err == nil {
			err = w.WriteBlock(context.Background(), content(0))
			w.Abort()
		}
		if !kind.Is(err, kind.Full) || !strings.Contains(err.Error(), "the reserve is reached") {
			t.Errorf("got %v", err)
		}
		clean(t, p.drive)
	}
}

// TestALaterFailureIsNotACommit: in any block, in the commit, and for shards of one block and of none.
func TestALaterFailureIsNotACommit(t *testing.T) {
	for blocks := range 6 {
		for after := range blocks + 1 {
			p := newPair(t, nil)
			if after < blocks {
				p.drive.Fail(nodetest.Write, kind.New(kind.Damaged, "the drive broke"), after)
			} else {
				p.drive.Fail(nodetest.Commit, kind.New(kind.Damaged, "the drive broke"), 0)
			}
			err := write(context.Background(), p.remote, specOf(1, blocks))
			if !kind.Is(err, kind.Damaged) || !strings.Contains(err.Error(), "the drive broke") {
				t.Errorf("%d blocks, failure after %d: %v", blocks, after, err)
			}
			clean(t, p.drive)
		}
	}
}

func TestWhatIsNotThereIsUnavailable(t *testing.T) {
	p := newPair(t, nil)
	gone := remote(t, p.front, p.lender.Address, id.Drive{8}, nil)
	ctx := context.Background()
	for blocks := range 3 {
		if err := write(ctx, gone, specOf(1, blocks)); !kind.Is(err, kind.Unavailable) {
			t.Errorf("write %d blocks: %v", blocks, err)
		}
	}
	_, stat := gone.Stat(ctx, specOf(1, 1).Shard)
	_, list := gone.List(ctx, node.Shard{}, 1)
	for name, err := range map[string]error{
		"stat": stat, "list": list, "verify": gone.Verify(ctx, specOf(1, 1).Shard), "delete": gone.Delete(ctx, []node.Shard{specOf(1, 1).Shard}),
		"read": gone.ReadBlock(ctx, specOf(1, 1), 0, 0, make([]byte, 1)),
	} {
		if !kind.Is(err, kind.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	clean(t, p.drive)
}

// ops are all calls of a drive, by name.
func ops() map[string]func(context.Context, node.Drive) error {
	s := specOf(1, 2)
	return map[string]func(context.Context, node.Drive) error{
		"put":   func(ctx context.Context, d node.Drive) error { return write(ctx, d, specOf(2, 1)) },
		"write": func(ctx context.Context, d node.Drive) error { return write(ctx, d, specOf(3, 3)) },
		"read": func(ctx context.Context, d node.Drive) error {
			return d.ReadBlock(ctx, s, 0, 0, make([]byte, blockLen))
		},
		"stat":   func(ctx context.Context, d node.Drive) error { _, err := d.Stat(ctx, s.Shard); return err },
		"verify": func(ctx context.Context, d node.Drive) error { return d.Verify(ctx, s.Shard) },
		"delete": func(ctx context.Context, d node.Drive) error { return d.Delete(ctx, []node.Shard{s.Shard}) },
		"list":   func(ctx context.Context, d node.Drive) error { _, err := d.List(ctx, node.Shard{}, 10); return err },
	}
}

func hasty(c *client.Config) {
	c.BlockTimeout, c.CallTimeout, c.VerifyTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
}

// TestAHungPeerHoldsNoCaller: a node that was stopped, one that accepts and is silent, a drive that hangs
// in each of its calls.
func TestAHungPeerHoldsNoCaller(t *testing.T) {
	hung := func(name string, r node.Drive) {
		for op, call := range ops() {
			began := time.Now()
			err := call(context.Background(), r)
			if !kind.Is(err, kind.Timeout) && !kind.Is(err, kind.Unavailable) || time.Since(began) > 20*time.Second {
				t.Errorf("%s, %s: %v after %v", name, op, err, time.Since(began))
			}
		}
	}
	p := newPair(t, hasty)
	hung("a silent listener", remote(t, p.front, rpctest.Silent(t), id.Drive{7}, hasty))

	proxy := rpctest.NewProxy(t, p.lender.Address)
	r := remote(t, p.front, proxy.Address, id.Drive{7}, hasty)
	if err := write(context.Background(), remote(t, p.front, proxy.Address, id.Drive{7}, nil), specOf(1, 2)); err != nil {
		t.Fatal(err)
	}
	proxy.Hold(true)
	hung("a node that was stopped", r)
	proxy.Hold(false)

	var release []func()
	for _, op := range []nodetest.Op{nodetest.Create, nodetest.Read, nodetest.Stat, nodetest.Verify, nodetest.Delete, nodetest.List} {
		release = append(release, p.drive.Hang(op))
	}
	hung("a drive that hangs", p.remote)
	for _, f := range release {
		f()
	}
	release = []func(){p.drive.Hang(nodetest.Commit)}
	for _, blocks := range []int{0, 1, 3} {
		if err := write(context.Background(), p.remote, specOf(4, blocks)); !kind.Is(err, kind.Timeout) {
			t.Errorf("a commit of %d blocks that hangs: %v", blocks, err)
		}
	}
	release[0]()
	waitFor(t, "the drive's writers to end", func() bool { _, open := p.drive.Census(); return open == 0 })
}

// TestADriveThatHangsHoldsNoOther of its node.
func TestADriveThatHangsHoldsNoOther(t *testing.T) {
	bad, good := nodetest.NewDrive(id.Drive{1}), nodetest.NewDrive(id.Drive{2})
	lender := lend(t, func(c *server.Config) { c.MaxCalls = 4 }, bad, good)
	front := rpctest.New(t, nil)
	short := func(c *client.Config) { c.BlockTimeout, c.CallTimeout = 300*time.Millisecond, 300*time.Millisecond }
	toBad, toGood := remote(t, front, lender.Address, id.Drive{1}, short), remote(t, front, lender.Address, id.Drive{2}, nil)
	release := bad.Hang(nodetest.Stat)
	var all sync.WaitGroup
	for range 40 { // ten times of what may be in the drive
		all.Go(func() {
			if _, err := toBad.Stat(context.Background(), specOf(1, 1).Shard); !kind.Is(err, kind.Timeout) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := write(context.Background(), toGood, specOf(1, 2)); err != nil {
		t.Error(err)
	}
	all.Wait()
	if n := bad.Calls(nodetest.Stat); n > 4 {
		t.Errorf("%d calls went into a drive that hangs", n)
	}
	release()
	waitFor(t, "the drive to answer again", func() bool {
		_, err := toBad.Stat(context.Background(), specOf(1, 1).Shard)
		return kind.Is(err, kind.NotFound)
	})
}

// TestCanceledReadsHoldNothing: many times more of them than may be on their way.
func TestCanceledReadsHoldNothing(t *testing.T) {
	p := newPair(t, func(c *client.Config) { c.MaxReads = 4 })
	if err := write(context.Background(), p.remote, specOf(1, 2)); err != nil {
		t.Fatal(err)
	}
	p.drive.Slow(nodetest.Read, time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			dst := make([]byte, blockLen)
			if err := p.remote.ReadBlock(ctx, specOf(1, 2), 0, 0, dst); !kind.Is(err, kind.Canceled) {
				t.Errorf("got %v", err)
			}
			clear(dst) // it is the caller's again: the race detector knows if it is not
		})
	}
	waitFor(t, "some reads to reach the drive", func() bool { return p.drive.Calls(nodetest.Read) == 4 })
	cancel()
	all.Wait()
	p.drive.Slow(nodetest.Read, 0)
	for range 40 {
		dst := make([]byte, blockLen)
		if err := p.remote.ReadBlock(context.Background(), specOf(1, 2), 1, 0, dst); err != nil || !bytes.Equal(dst, content(1)) {
			t.Fatal(err)
		}
	}
}

// TestWritersThatFailGiveTheirTurnBack: blocks that never left do not count for ever.
func TestWritersThatFailGiveTheirTurnBack(t *testing.T) {
	p := newPair(t, func(c *client.Config) {
		c.MaxWrites, c.BlockTimeout, c.CallTimeout = 3, 500*time.Millisecond, 5*time.Second
	})
	proxy := rpctest.NewProxy(t, p.lender.Address)
	r := remote(t, p.front, proxy.Address, id.Drive{7}, func(c *client.Config) { c.MaxWrites, c.BlockTimeout = 3, 500*time.Millisecond })
	if err := write(context.Background(), r, specOf(0, 3)); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		proxy.Hold(true)
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				if err := write(context.Background(), r, specOf(byte(n+1), 3)); err == nil {
					t.Error("a write through a dead connection succeeded")
				}
			})
		}
		all.Wait()
		proxy.Break()
		proxy.Hold(false)
		waitFor(t, "the connection", func() bool { return write(context.Background(), r, specOf(100+byte(round), 3)) == nil })
	}
	for n := range 10 {
		if err := write(context.Background(), r, specOf(byte(200+n), 3)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADriveThatIsOutIsNotAsked(t *testing.T) {
	p := newPair(t, nil)
	st := p.remote.Status()
	p.remote.SetSilent("three polls went unanswered")
	for op, call := range ops() {
		if err := call(context.Background(), p.remote); !kind.Is(err, kind.Unavailable) || !strings.Contains(err.Error(), "three polls") {
			t.Errorf("%s: %v", op, err)
		}
	}
	if s := p.remote.Status(); !s.Out || s.TotalBytes != st.TotalBytes || s.ID != (id.Drive{7}) {
		t.Errorf("status %+v", s)
	}
	if p.drive.Calls(nodetest.Create)+p.drive.Calls(nodetest.Stat)+p.drive.Calls(nodetest.Read) != 0 {
		t.Error("the drive was asked")
	}
	st.ReadOnly, st.Reason = true, "full"
	p.remote.SetStatus(st)
	if err := write(context.Background(), p.remote, specOf(1, 1)); !kind.Is(err, kind.Full) {
		t.Errorf("a drive that is read-only: %v", err)
	}
	poll(t, p.front, p.remote)
	if err := write(context.Background(), p.remote, specOf(1, 1)); err != nil {
		t.Error(err)
	}
}

// stuck is a drive whose status hangs.
type stuck struct {
	node.Drive
	hold chan struct{}
}

func (s stuck) Status() node.Status { <-s.hold; return s.Drive.Status() }

// TestStatusesOfAllDrivesAreAnswered, although one of them hangs.
func TestStatusesOfAllDrivesAreAnswered(t *testing.T) {
	hold := make(chan struct{})
	router := client.NewDrives(nodetest.NewDrive(id.Drive{1}), nodetest.NewDrive(id.Drive{3}))
	lender := lend(t, func(c *server.Config) { c.Drives = oneStuck{router, id.Drive{3}, hold} })
	front := rpctest.New(t, func(c *rpc.Config) { c.Role = rpc.Front })
	ask := func() []node.Status {
		all, err := client.Statuses(context.Background(), front.Pool.Conn(lender.Address))
		if err != nil || len(all) != 2 || all[0].ID != (id.Drive{1}) || all[1].ID != (id.Drive{3}) {
			t.Fatalf("%+v, %v", all, err)
		}
		return all
	}
	for range 2 {
		if all := ask(); all[0].Out || all[0].TotalBytes == 0 || !all[1].Out || all[1].Reason == "" {
			t.Errorf("%+v", all)
		}
	}
	close(hold)
	waitFor(t, "the drive to be heard", func() bool { return !ask()[1].Out })
}

type oneStuck struct {
	*client.Drives
	name id.Drive
	hold chan struct{}
}

func (o oneStuck) Routes() map[id.Drive]node.Drive {
	m := map[id.Drive]node.Drive{}
	for name, d := range o.Drives.Routes() {
		if m[name] = d; name == o.name {
			m[name] = stuck{d, o.hold}
		}
	}
	return m
}

// panics is a drive with a bug.
type panics struct{ node.Drive }

func (p panics) ReadBlock(context.Context, node.Spec, int, int, []byte) error { panic("a bug") }
func (p panics) Create(ctx context.Context, s node.Spec) (node.Writer, error) {
	w, err := p.Drive.Create(ctx, s)
	return panicWriter{w}, err
}

type panicWriter struct{ node.Writer }

func (w panicWriter) Commit(context.Context) error { panic("a bug") }

func TestAPanicInADriveEndsNothingElse(t *testing.T) {
	d := nodetest.NewDrive(id.Drive{1})
	lender := lend(t, nil, panics{d})
	r := remote(t, rpctest.New(t, nil), lender.Address, id.Drive{1}, nil)
	for blocks := range 3 {
		if err := write(context.Background(), r, specOf(1, blocks)); err == nil || strings.Contains(err.Error(), "a bug") {
			t.Errorf("write: %v", err)
		}
	}
	if err := r.ReadBlock(context.Background(), specOf(1, 1), 0, 0, make([]byte, 10)); err == nil {
		t.Error("read: no error")
	}
	if _, err := r.Stat(context.Background(), specOf(1, 1).Shard); !kind.Is(err, kind.NotFound) {
		t.Error(err)
	}
	clean(t, d)
	if !strings.Contains(lender.Log.String(), "a bug") {
		t.Error("nothing in the log")
	}
}

// TestAShardIsWholeOrNotThere while connections break all the time and writers come and go.
func TestAShardIsWholeOrNotThere(t *testing.T) {
	p := newPair(t, nil)
	proxy := rpctest.NewProxy(t, p.lender.Address)
	r := remote(t, p.front, proxy.Address, id.Drive{7}, nil)
	ctx := context.Background()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		acked []node.Spec
	)
	for n := range 6 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			for i := range 12 {
				spec := specOf(byte(n*20+i), rng.IntN(5))
				ctx, cancel := context.WithCancel(ctx)
				if rng.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, cancel)
				}
				if write(ctx, r, spec) == nil {
					mu.Lock()
					acked = append(acked, spec)
					mu.Unlock()
				}
				cancel()
				if n == 0 && i%4 == 3 {
					proxy.Break()
				}
			}
		})
	}
	all.Wait()
	waitFor(t, "the drive's writers to end", func() bool { _, open := p.drive.Census(); return open == 0 })
	if len(acked) == 0 {
		t.Error("nothing was written")
	}
	for _, spec := range acked {
		if got, err := p.drive.Stat(ctx, spec.Shard); err != nil || got != spec {
			t.Errorf("an acknowledged shard: %v, %v", got, err)
		}
	}
	there, _ := p.drive.Census()
	for _, s := range there {
		spec, err := p.drive.Stat(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		for n := range spec.Blocks() {
			dst := make([]byte, spec.BlockSize(n))
			if err := p.drive.ReadBlock(ctx, spec, n, 0, dst); err != nil || !bytes.Equal(dst, content(byte(n))) {
				t.Errorf("block %d of %s: %v", n, s, err)
			}
		}
	}
}

// TestAForeignNodeSeesNoDrive: roles and clusters guard this service as any other.
func TestAForeignNodeSeesNoDrive(t *testing.T) {
	p := newPair(t, nil)
	for name, edit := range map[string]func(*rpc.Config){
		"forming":         func(c *rpc.Config) { c.Role, c.Cluster = rpc.Forming, func() id.Cluster { return id.Cluster{} } },
		"another cluster": func(c *rpc.Config) { c.Cluster = func() id.Cluster { return id.Cluster{2} } },
		"another secret":  func(c *rpc.Config) { c.Secret = rpctest.Secret(t, 77) },
	} {
		r := remote(t, rpctest.New(t, edit), p.lender.Address, id.Drive{7}, nil)
		for op, call := range ops() {
			if err := call(context.Background(), r); !errors.Is(err, rpc.ErrRefused) {
				t.Errorf("%s, %s: %v", name, op, err)
			}
		}
	}
	clean(t, p.drive)
}

// TestOnlyACommitCommits: a stream that was ended politely, with all blocks sent, is no commit.
func TestOnlyACommitCommits(t *testing.T) {
	p := newPair(t, nil)
	drive := id.Drive{7}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := rpc.OpenStream(ctx, p.front.Pool.Conn(p.lender.Address), wire.Method(wire.Write))
	if err != nil {
		t.Fatal(err)
	}
	header, err := wire.Header(&nodepb.Write{Drive: drive[:], Open: wire.FromSpec(specOf(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	for n, f := range []*rpc.Frame{{Header: header, Payload: rpc.Bytes(content(0))}, {Payload: rpc.Bytes(content(1))}} {
		if err := s.SendMsg(f); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if err := s.RecvMsg(new(rpc.Frame)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(new(rpc.Frame)); err == nil || err == io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
	clean(t, p.drive)
}
