package s3

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/api/sigv4"
	"holdfast/internal/kind"
	"holdfast/object"
)

// raw opens a connection to the bench and sends a signed request's head by hand.
func (b *bench) raw(r *http.Request, length int64) net.Conn {
	b.t.Helper()
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
	var c net.Conn
	var err error
	addr := b.http.Listener.Addr().String()
	if b.http.TLS != nil {
		c, err = tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's certificate
	} else {
		c, err = net.Dial("tcp", addr)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Host)
	if length >= 0 {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", length)
	}
	for name, v := range r.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", name, v[0])
	}
	if _, err := io.WriteString(c, head.String()+"\r\n"); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// watchEngine tells how its Put and its Get's body ended.
type watchEngine struct {
	*fakeEngine
	put  chan error
	sent chan error
	ctx  chan error
}

func (e *watchEngine) Put(_ context.Context, r object.PutRequest) (object.PutResult, error) {
	_, err := io.Copy(io.Discard, io.LimitReader(r.Body, r.Size))
	e.put <- err
	return object.PutResult{ETag: "x"}, err
}

func (e *watchEngine) Get(context.Context, object.GetRequest) (*object.Reading, error) {
	info := object.Info{Size: 1 << 40, ETag: "x", Modified: testTime}
	return object.NewReading(info, 0, info.Size, false, func(ctx context.Context, w io.Writer) (int64, error) {
		chunk := make([]byte, 256<<10)
		var n int64
		for {
			k, err := w.Write(chunk)
			if n += int64(k); err != nil {
				e.sent <- err
				return n, err
			}
		}
	}), nil
}

// HeadBucket of the bucket "slow" waits until the client is gone.
func (e *watchEngine) HeadBucket(ctx context.Context, name string) (object.BucketInfo, error) {
	if name != "slow" {
		return object.BucketInfo{Name: name}, nil
	}
	<-ctx.Done()
	e.ctx <- ctx.Err()
	return object.BucketInfo{}, kind.New(kind.Unavailable, "the group did not answer") // whatever it makes of it
}

// watched is a bench over plain HTTP with a watchEngine and a short idle timeout.
func watched(t *testing.T, idle time.Duration) (*bench, *watchEngine) {
	e := &watchEngine{newFake(), make(chan error, 1), make(chan error, 1), make(chan error, 1)}
	b := newBench(t, func(c *Config) { c.Engine, c.IdleTimeout = e, idle })
	b.http.Close()
	b.http = httptest.NewServer(b.server)
	t.Cleanup(b.http.Close)
	return b, e
}

// waited receives from a channel that must not take for ever.
func waited(t *testing.T, what string, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not happen", what)
		return nil
	}
}

func TestAttack_A18_AStalledUploadIsEnded(t *testing.T) {
	b, e := watched(t, 50*time.Millisecond)
	c := b.raw(b.request("PUT", "/docs/k", ""), 1<<20)
	_, _ = io.WriteString(c, "a few bytes")
	if err := waited(t, "the end of the upload", e.put); err == nil {
		t.Error("the engine saw a whole body")
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err, b.log.String())
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 400 || !strings.Contains(string(body), "<Code>RequestTimeout</Code>") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

// A slow client is no stalled one: the deadline moves with each byte.
func TestASlowUploadIsNotEnded(t *testing.T) {
	const idle = 300 * time.Millisecond
	b, e := watched(t, idle)
	c := b.raw(b.request("PUT", "/docs/k", ""), 10)
	tick := time.NewTicker(idle / 5)
	defer tick.Stop()
	for range 10 { // twice the idle timeout in all
		<-tick.C
		_, _ = io.WriteString(c, "x")
	}
	if err := waited(t, "the end of the upload", e.put); err != nil {
		t.Errorf("the engine saw %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v %v", resp, err)
	}
}

func TestAttack_A18_AStalledDownloadIsEnded(t *testing.T) {
	b, e := watched(t, 50*time.Millisecond)
	b.raw(b.request("GET", "/docs/k", ""), -1) // and nobody reads
	if err := waited(t, "the end of the download", e.sent); err == nil {
		t.Error("the engine could write for ever")
	}
}

// A client that goes away in the middle of its upload leaves an error, not a short object.
func TestAClientThatVanishesStoresNothing(t *testing.T) {
	b, e := watched(t, time.Minute)
	c := b.raw(b.request("PUT", "/docs/k", ""), 1<<20)
	_, _ = io.WriteString(c, strings.Repeat("x", 100_000))
	c.Close()
	if err := waited(t, "the end of the upload", e.put); err == nil {
		t.Error("the engine saw a whole body")
	}
}

func TestAClientThatVanishesCancelsTheContext(t *testing.T) {
	b, e := watched(t, time.Minute)
	c := b.raw(b.request("HEAD", "/slow", ""), -1)
	c.Close()
	if err := waited(t, "the cancelling", e.ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the context ended with %v", err)
	}
	b.http.Close() // waits for the handler
	if o := b.metrics.last(); o.code != statusGone {
		t.Errorf("counted as %+v", o)
	}
	if strings.Contains(b.log.String(), "level=ERROR") {
		t.Errorf("a client's leaving is logged as an error: %s", b.log.String())
	}
}

// The deadline of a body must not outlive it: net/http would take it for the client's leaving, and
// the next request on the connection must find none of it.
func TestADeadlineEndsWithItsBody(t *testing.T) {
	const idle = 60 * time.Millisecond
	slow := &slowEngine{newFake(), 3 * idle}
	b := newBench(t, func(c *Config) { c.Engine, c.IdleTimeout = slow, idle })
	b.engine = slow.fakeEngine
	b.fill()
	for range 2 { // on one connection
		b.want(200, b.do("PUT", "/docs/k", strings.Repeat("x", 100_000)))
	}
	b.want(200, b.do("PUT", "/docs/empty", ""))
}

// slowEngine takes its time after a body was read.
type slowEngine struct {
	*fakeEngine
	wait time.Duration
}

func (e *slowEngine) Put(ctx context.Context, r object.PutRequest) (object.PutResult, error) {
	res, err := e.fakeEngine.Put(ctx, r)
	if _, e := io.Copy(io.Discard, r.Body); e != nil { // look for the end, as the engine does
		return res, e
	}
	select {
	case <-ctx.Done():
		return res, ctx.Err()
	case <-time.After(e.wait):
		return res, err
	}
}
