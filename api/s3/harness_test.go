package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/api/sigv4"
)

// testTime is the clock of all tests: a Sunday.
var testTime = time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)

var testCredentials = sigv4.Credentials{AccessKey: "AKIATEST", SecretKey: "a secret that nobody knows but these tests"}

// bench is a server with a fake engine behind it and a client before it.
type bench struct {
	t       testing.TB
	engine  *fakeEngine
	server  *Server
	http    *httptest.Server // TLS
	log     *logBuffer
	metrics *fakeObserver
}

type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

type observation struct {
	op      string
	code    int
	in, out int64
}

type fakeObserver struct {
	mu   sync.Mutex
	seen []observation
}

func (o *fakeObserver) Observe(op string, code int, _ float64, in, out int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, observation{op, code, in, out})
}

func (o *fakeObserver) last() observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) == 0 {
		return observation{}
	}
	return o.seen[len(o.seen)-1]
}

func newBench(t testing.TB, change ...func(*Config)) *bench {
	b := &bench{t: t, engine: newFake(), log: &logBuffer{}, metrics: &fakeObserver{}}
	cfg := Config{
		Engine:      b.engine,
		Credentials: lookup,
		OwnerID:     strings.Repeat("0f", 32), OwnerName: "root",
		Now: func() time.Time { return testTime }, Metrics: b.metrics, HostID: "front-1",
		Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if b.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	b.http = httptest.NewTLSServer(b.server)
	t.Cleanup(b.http.Close)
	b.http.Client().Transport.(*http.Transport).DisableCompression = true
	return b
}

func lookup(_ context.Context, key string) (sigv4.Credentials, bool, error) {
	return testCredentials, key == testCredentials.AccessKey, nil
}

// request makes a request with header pairs, not signed yet.
func (b *bench) request(method, target, body string, pairs ...string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequest(method, b.http.URL+target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "Host" {
			r.Host = pairs[i+1]
			continue
		}
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return r
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body string
	err  error // of reading the body
}

// code is the S3 code of an error answer.
func (r reply) code() string {
	var e struct{ Code string }
	_ = xml.Unmarshal([]byte(r.body), &e)
	return e.Code
}

func (r reply) message() string {
	var e struct{ Message string }
	_ = xml.Unmarshal([]byte(r.body), &e)
	return e.Message
}

func (b *bench) send(r *http.Request) reply {
	b.t.Helper()
	resp, err := b.http.Client().Do(r)
	if err != nil {
		b.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp, string(body), err}
}

// do signs and sends.
func (b *bench) do(method, target, body string, pairs ...string) reply {
	b.t.Helper()
	r := b.request(method, target, body, pairs...)
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
	return b.send(r)
}

// want fails unless the answer has the status.
func (b *bench) want(status int, r reply) reply {
	b.t.Helper()
	if r.StatusCode != status {
		b.t.Fatalf("%s %s: got %d, want %d: %s", r.Request.Method, r.Request.URL.RequestURI(), r.StatusCode, status, r.body)
	}
	return r
}

// wantError fails unless the answer is this error.
func (b *bench) wantError(status int, code string, r reply) reply {
	b.t.Helper()
	b.want(status, r)
	if got := r.code(); got != code {
		b.t.Fatalf("%s %s: got code %q, want %q: %s", r.Request.Method, r.Request.URL.RequestURI(), got, code, r.body)
	}
	return r
}

// bucket makes bucket "docs" with objects of the given keys, each holding its own key.
func (b *bench) fill(keys ...string) *bench {
	b.t.Helper()
	b.want(200, b.do("PUT", "/docs", ""))
	for _, k := range keys {
		b.want(200, b.do("PUT", "/docs/"+escapePath(k), k))
	}
	return b
}

// escapePath percent-encodes a key as an SDK does.
func escapePath(key string) string {
	return strings.ReplaceAll(url.PathEscape(key), "%2F", "/")
}

func (b *bench) resetCalls() {
	b.engine.mu.Lock()
	defer b.engine.mu.Unlock()
	b.engine.calls = nil
}

func (b *bench) calls() []string {
	b.engine.mu.Lock()
	defer b.engine.mu.Unlock()
	return append([]string(nil), b.engine.calls...)
}
