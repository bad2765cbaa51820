package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakePeer is a node at the other end of a caller.
type fakePeer struct {
	ctx    context.Context
	answer func(r request) *answer // nil: none
	slow   chan struct{}           // nil, or Send waits for it

	mu    sync.Mutex
	seen  []request
	sends int
	out   chan []byte
}

func (p *fakePeer) Send(frame []byte) error {
	if p.slow != nil {
		select {
		case <-p.slow:
		case <-p.ctx.Done():
			return io.EOF
		}
	}
	p.mu.Lock()
	p.sends++
	p.mu.Unlock()
	return decodeRequests(append([]byte(nil), frame...), func(r request) {
		p.mu.Lock()
		p.seen = append(p.seen, r)
		p.mu.Unlock()
		if a := p.answer(r); a != nil {
			a.number, a.group = r.number, r.group
			p.out <- a.append([]byte{version})
		}
	})
}

func (p *fakePeer) Recv() ([]byte, error) {
	select {
	case f := <-p.out:
		return f, nil
	case <-p.ctx.Done():
		return nil, p.ctx.Err()
	}
}

func testCaller(t *testing.T, edit func(p *fakePeer)) (*caller, *[]*fakePeer) {
	cfg := &Config{Dialer: nopDialer{}, Peers: nopPeers{}}
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	c := newCaller(t.Context(), cfg, &routerCounts{}, "peer")
	var peers []*fakePeer
	c.open = func(ctx context.Context) (callStream, error) {
		p := &fakePeer{ctx: ctx, out: make(chan []byte, 10000), answer: func(request) *answer { return &answer{} }}
		if edit != nil {
			edit(p)
		}
		peers = append(peers, p)
		return p, nil
	}
	t.Cleanup(func() { c.close(io.EOF) })
	return c, &peers
}

func TestRequestsThatComeTogetherGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{}, 10)
		c, peers := testCaller(t, func(p *fakePeer) { p.slow = gate })
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				a, err := c.do(t.Context(), request{op: opAsk, group: uint32(i)})
				if err != nil || a.group != uint32(i) {
					t.Errorf("request %d: %+v, %v", i, a, err)
				}
			})
		}
		synctest.Wait() // the first is being written
		for range 3 {
			gate <- struct{}{}
		}
		wg.Wait()
		if p := (*peers)[0]; len(p.seen) != 1000 || p.sends > 3 {
			t.Errorf("%d requests in %d frames", len(p.seen), p.sends)
		}
		c.close(io.EOF)
	})
}

func TestAbandonedRequestsThatHadNotLeftNeverLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{}, 10)
		c, peers := testCaller(t, func(p *fakePeer) { p.slow = gate })
		go func() { _, _ = c.do(t.Context(), request{op: opPropose, group: 1}) }()
		synctest.Wait() // it is being written, and holds up what comes after
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := c.do(ctx, request{op: opPropose, group: 2}); !errors.Is(err, errNotSent) || errors.Is(err, errLost) {
			t.Errorf("a command that waits: %v", err)
		}
		gate <- struct{}{}
		gate <- struct{}{}
		if _, err := c.do(t.Context(), request{op: opPropose, group: 3}); err != nil {
			t.Error(err)
		}
		for _, r := range (*peers)[0].seen {
			if r.group == 2 {
				t.Error("a command that was called not sent was sent")
			}
		}
		c.close(io.EOF)
	})
}

func TestSilentNodesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peers := testCaller(t, func(p *fakePeer) { p.answer = func(request) *answer { return nil } })
		var wg sync.WaitGroup
		for o, want := range map[op]time.Duration{opAsk: c.cfg.Silence, opPropose: c.cfg.Patience, opProposeIn: c.cfg.Silence} {
			wg.Go(func() {
				start := time.Now()
				_, err := c.do(t.Context(), request{op: o})
				if took := time.Since(start); !errors.Is(err, errLost) || took < want || took > want+c.cfg.Silence {
					t.Errorf("request %d: %v after %v", o, err, took)
				}
			})
		}
		wg.Wait()
		if !c.hung(opAsk) || (*peers)[0].ctx.Err() == nil {
			t.Error("the stream of a silent node is kept")
		}
		// Once it is heard of it is well.
		c.cfg.Silence = time.Second
		go func() { _, _ = c.do(t.Context(), request{op: opHints}) }()
		synctest.Wait()
		(*peers)[1].out <- []byte{version}
		synctest.Wait()
		if c.hung(opAsk) {
			t.Error("a node that was heard of is still taken for hung")
		}
		c.close(io.EOF)
	})
}

func TestBusyNodesAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := testCaller(t, func(p *fakePeer) {
			p.answer = func(r request) *answer {
				go func() {
					for range 20 { // five seconds
						time.Sleep(pulse)
						p.out <- alive(r.number)
					}
					a := answer{number: r.number}
					p.out <- a.append([]byte{version})
				}()
				return nil
			}
		})
		if _, err := c.do(t.Context(), request{op: opAsk}); err != nil || c.hung(opAsk) {
			t.Errorf("a node that says that it lives: %v", err)
		}
		c.close(io.EOF)
	})
}

// alive is what a node says that has heard its caller up to a number.
func alive(number uint64) []byte {
	a := answer{status: statusAlive, number: number}
	return a.append([]byte{version})
}

func TestNodesThatAreHeardAndDoNotHearAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peers := testCaller(t, func(p *fakePeer) { p.answer = func(request) *answer { return nil } })
		go func() { _, _ = c.do(t.Context(), request{op: opMove}) }() // takes long
		synctest.Wait()
		over := make(chan struct{})
		go func() { // it goes on saying that it works on the first, and hears of no other
			tick := time.NewTicker(pulse)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					(*peers)[0].out <- alive(1)
				case <-over:
					return
				}
			}
		}()
		time.Sleep(10 * c.cfg.Silence)
		if c.hung(opPropose) {
			t.Error("a node that works is taken for hung")
		}
		for _, o := range []op{opAsk, opProposeIn} {
			start := time.Now()
			_, err := c.do(t.Context(), request{op: o})
			if took := time.Since(start); !errors.Is(err, errLost) || took > c.cfg.Silence*3/2 {
				t.Errorf("request %d: %v after %v", o, err, took)
			}
			if !c.hung(opAsk) {
				t.Error("a node that does not hear is not taken for hung")
			}
			(*peers)[0].out <- alive(c.number) // it does again
			synctest.Wait()
			if c.hung(opPropose) {
				t.Error("a node that hears again is taken for hung")
			}
		}
		start, failed := time.Now(), make(chan error, 2)
		for range 2 {
			go func() {
				_, err := c.do(t.Context(), request{op: opAsk})
				failed <- err
			}()
		}
		synctest.Wait()
		(*peers)[0].out <- alive(c.number - 1) // of two it hears one
		if err := errors.Join(<-failed, <-failed); !errors.Is(err, errLost) || time.Since(start) > c.cfg.Silence*3/2 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(over)
		c.close(io.EOF)
		synctest.Wait()
	})
}

func TestWhoWritesForAllIsNotStuckWithANodeThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{}, 1)
		c, _ := testCaller(t, func(p *fakePeer) { p.slow = gate })
		c.cfg.Stall, c.cfg.Patience = time.Hour, time.Hour
		gate <- struct{}{}
		if _, err := c.do(t.Context(), request{op: opHints}); err != nil { // opens the stream
			t.Fatal(err)
		}
		for range 3 {
			start := time.Now()
			_, err := c.do(t.Context(), request{op: opProposeIn})
			if took := time.Since(start); err == nil || took > c.cfg.Silence*3/2 {
				t.Errorf("%v after %v", err, took)
			}
		}
		c.close(io.EOF)
	})
}

func TestBrokenStreamsFailWhatWasUnderWayAndAreMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peers := testCaller(t, func(p *fakePeer) {
			p.answer = func(r request) *answer {
				if r.op == opPropose {
					p.out <- []byte{99} // a frame of another version
					return nil
				}
				return &answer{}
			}
		})
		if _, err := c.do(t.Context(), request{op: opPropose}); !errors.Is(err, errLost) {
			t.Errorf("%v", err)
		}
		if _, err := c.do(t.Context(), request{op: opAsk}); err != nil || len(*peers) != 2 {
			t.Errorf("after it: %v, %d streams", err, len(*peers))
		}
		c.close(io.EOF)
	})
}

func TestTooManyRequestsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := testCaller(t, func(p *fakePeer) { p.answer = func(request) *answer { return nil } })
		c.cfg.MaxCalls = 5
		refused := make(chan error, 10)
		for range 8 {
			go func() {
				_, err := c.do(t.Context(), request{op: opPropose})
				refused <- err
			}()
		}
		synctest.Wait()
		if n := len(refused); n != 3 {
			t.Errorf("%d refused: %s", n, fmt.Sprint(<-refused))
		}
		c.close(io.EOF)
		synctest.Wait()
	})
}
