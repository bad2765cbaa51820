package wire

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/meta/replica"
)

// fakeStream takes frames, or fails, or hangs.
type fakeStream struct {
	mu     sync.Mutex
	frames [][]byte
	fail   error
	hang   <-chan struct{}
}

func (f *fakeStream) Send(frame []byte) error {
	if f.hang != nil {
		<-f.hang
		return errors.New("cut")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.frames = append(f.frames, append([]byte(nil), frame...))
	return nil
}

func (f *fakeStream) Close() {}

func (f *fakeStream) messages(t *testing.T) (out []replica.Message) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, frame := range f.frames {
		var err error
		if out, err = decodeMessages(out, frame); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func testLane(messages, bytes int) (*lane, *transportCounts) {
	counts := &transportCounts{}
	l := newLane("peer", laneLimits{messages, bytes, time.Second, 10 * time.Millisecond, 100 * time.Millisecond}, counts)
	l.report = func(string, error) {}
	return l, counts
}

func TestLaneSendsAllThatWaitsInOneFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, counts := testLane(1000, 1<<20)
		s := &fakeStream{}
		l.open = func(context.Context, string) (frameStream, error) { return s, nil }
		for g := range uint32(100) {
			l.put([]replica.Message{heartbeat(g, 1, byte(g%3))})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.run(ctx, time.Hour, l.retire) }()
		synctest.Wait()
		if got := s.messages(t); len(got) != 100 || len(s.frames) != 1 || counts.frames.Load() != 1 || counts.messages.Load() != 100 {
			t.Errorf("%d messages in %d frames", len(got), len(s.frames))
		}
		cancel()
		<-done
	})
}

func TestLaneDropsTheOldestAndNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, counts := testLane(100, 1<<20)
		s := &fakeStream{}
		l.open = func(ctx context.Context, _ string) (frameStream, error) {
			<-ctx.Done() // a node that does not answer
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.run(ctx, time.Hour, l.retire) }()
		l.put([]replica.Message{heartbeat(0, 1, 2)})
		synctest.Wait() // the lane's goroutine hangs in open
		for g := range uint32(1000) {
			l.put([]replica.Message{heartbeat(1+g, 1, 2)})
		}
		if len(l.queue) > 100 || l.queue[len(l.queue)-1].Group != 1000 || l.queue[0].Group < 900 {
			t.Errorf("%d messages wait, the last is for group %d", len(l.queue), l.queue[len(l.queue)-1].Group)
		}
		if l.bytes != len(l.queue)*messageOverhead || len(l.sizes) != len(l.queue) {
			t.Errorf("%d bytes are counted for %d messages", l.bytes, len(l.queue))
		}
		waiting := len(l.queue)
		l.mu.Lock()
		l.open = func(context.Context, string) (frameStream, error) { return s, nil }
		l.mu.Unlock()
		time.Sleep(3 * time.Second) // open is given up
		l.put([]replica.Message{heartbeat(2000, 1, 2)})
		synctest.Wait()
		if got := s.messages(t); len(got) < waiting {
			t.Errorf("%d messages got through", len(got))
		}
		if total := counts.dropped.Load() + counts.messages.Load(); total != 1002 {
			t.Errorf("%d dropped, %d sent", counts.dropped.Load(), counts.messages.Load())
		}
		cancel()
		<-done
	})
}

func TestLaneBoundsTheBytesThatWait(t *testing.T) {
	l, _ := testLane(1000, 100<<10)
	for range 50 {
		l.put([]replica.Message{appended(1, 1, 2, make([]byte, 10<<10))})
		if l.bytes > 100<<10 {
			t.Fatalf("%d bytes wait", l.bytes)
		}
	}
}

func TestLaneIsNotStuckWithANodeThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLane(100, 1<<20)
		well := &fakeStream{}
		opened := 0
		l.open = func(ctx context.Context, _ string) (frameStream, error) {
			if opened++; opened == 1 {
				return &fakeStream{hang: ctx.Done()}, nil
			}
			return well, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.run(ctx, time.Hour, l.retire) }()
		l.put([]replica.Message{heartbeat(1, 1, 2)})
		time.Sleep(2 * time.Second)
		if got := well.messages(t); len(got) != 1 || opened != 2 {
			t.Errorf("%d messages over %d streams", len(got), opened)
		}
		cancel()
		<-done
	})
}

func TestIdleLaneRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLane(100, 1<<20)
		l.open = func(context.Context, string) (frameStream, error) { return &fakeStream{}, nil }
		done := make(chan struct{})
		go func() { defer close(done); l.run(t.Context(), time.Minute, l.retire) }()
		l.put([]replica.Message{heartbeat(1, 1, 2)})
		<-done // or the bubble is deadlocked
		l.put([]replica.Message{heartbeat(1, 1, 2)})
		if len(l.queue) != 0 {
			t.Error("a lane that has ended takes messages")
		}
	})
}
