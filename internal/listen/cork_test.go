package listen_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"holdfast/internal/listen"
)

const record = 16 << 10 // plaintext of a full TLS record

// readAll reads n bytes in the background.
func readAll(r io.Reader, n int) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(r, make([]byte, n))
		done <- err
	}()
	return done
}

func TestFullRecordsAreJoinedToOneWrite(t *testing.T) {
	f := setUp(t, listen.Config{HoldTime: time.Hour})
	client, server, under := f.pair(t)
	for _, c := range []struct {
		bytes, writes int
		held          bool
	}{
		{1, 1, false},
		{record - 64, 1, false}, // fewer are missing than a record's own bytes may be: it counts as full
		{record, 0, true},
		{record + 1, 1, false},
		{3*record + 5, 1, false},
		{8 * record, 1, false},
		{8*record + 1, 2, false},
		{64 * record, 8, false},
		{65*record - 64, 9, false},
	} {
		done := readAll(client, c.bytes)
		if n, err := server.Write(make([]byte, c.bytes)); n != c.bytes || err != nil {
			t.Fatalf("%d bytes: %d, %v", c.bytes, n, err)
		}
		if got := under.take(); len(got) != c.writes {
			t.Errorf("%d bytes: writes %v, want %d", c.bytes, got, c.writes)
		}
		if c.held {
			f.ConnState(server, http.StateActive)
			if got := under.take(); len(got) != 0 {
				t.Errorf("%d bytes: an active connection sent what it holds", c.bytes)
			}
			f.ConnState(server, http.StateIdle)
			if got := under.take(); len(got) != 1 {
				t.Errorf("%d bytes: idle: writes %v, want 1", c.bytes, got)
			}
		}
		if err := <-done; err != nil {
			t.Fatalf("%d bytes: %v", c.bytes, err)
		}
	}
}

// However long a handler thinks, what it wrote arrives.
func TestHeldRecordsLeaveAfterTheHoldTime(t *testing.T) {
	f := setUp(t, listen.Config{HoldTime: time.Millisecond})
	client, server, _ := f.pair(t)
	for range 5 { // the timer works more than once
		done := readAll(client, 2*record)
		if _, err := server.Write(make([]byte, 2*record)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// A response whose last record is full must not wait for the timer.
func TestResponseThatEndsWithAFullRecordLeavesAtOnce(t *testing.T) {
	f := setUp(t, listen.Config{HoldTime: time.Hour})
	f.serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(10<<20))
		for range 160 {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	})
	c := f.client(t, nil)
	for range 3 {
		res, err := c.Get("https://" + f.addr)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != 10<<20 || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		_ = res.Body.Close()
	}
	under := <-f.inner.conns
	if writes := len(under.take()); writes > 3*(80+10) {
		t.Errorf("%d writes for three responses of 640 records", writes)
	}
}

func TestCloseOfATLSConnectionSendsWhatIsHeld(t *testing.T) {
	f := setUp(t, listen.Config{HoldTime: time.Hour})
	client, server, _ := f.pair(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 3*record/16)
	go func() {
		_, _ = server.Write(want)
		_ = server.Close()
	}()
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

// A write that failed behind the writer's back shows at the next one, and for ever.
func TestFailedWriteOfHeldRecordsShows(t *testing.T) {
	f := setUp(t, listen.Config{HoldTime: time.Hour})
	_, server, under := f.pair(t)
	if _, err := server.Write(make([]byte, record)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken pipe")
	under.failWith(broken)
	f.ConnState(server, http.StateIdle)
	under.failWith(nil)
	under.take()
	for range 2 {
		if _, err := server.Write([]byte("x")); !errors.Is(err, broken) {
			t.Errorf("write after a lost one: %v", err)
		}
	}
	if got := under.take(); len(got) != 0 {
		t.Errorf("a broken stream went on: %v", got)
	}
}

// Buffers are shared by way of a pool, but never held by two connections at once.
func TestConnectionsDoNotShareWhatTheyHold(t *testing.T) {
	f := setUp(t, listen.Config{HoldTime: time.Hour})
	clientA, a, _ := f.pair(t)
	clientB, b, _ := f.pair(t)
	for range 5 {
		doneA, doneB := readAll(clientA, 2*record), readAll(clientB, record)
		for _, step := range []func() error{
			func() error { _, err := a.Write(make([]byte, record)); return err },
			func() error { f.ConnState(a, http.StateIdle); return nil },
			func() error { _, err := b.Write(make([]byte, record)); return err },
			func() error { _, err := a.Write(make([]byte, record)); return err },
			func() error { f.ConnState(b, http.StateIdle); f.ConnState(a, http.StateIdle); return nil },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(<-doneA, <-doneB); err != nil {
			t.Fatal(err)
		}
	}
}
