package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/api/sigv4"
)

// fake is a small S3 server that authenticates, keeps objects in memory and can misbehave.
type fake struct {
	t       *testing.T
	verify  *sigv4.Verifier
	spoil   func(op, key string, body []byte) (status int, _ []byte)
	mu      sync.Mutex
	buckets int
	objects map[string][]byte
	keys    map[string]string // SSE-C keys of objects
	forms   map[sigv4.PayloadKind]int
}

const testSecret = "secret of the test"

func newFake(t *testing.T) (*fake, []string) {
	f := &fake{t: t, objects: map[string][]byte{}, keys: map[string]string{}, forms: map[sigv4.PayloadKind]int{}}
	f.verify = sigv4.New(sigv4.Config{Now: time.Now, Lookup: func(_ context.Context, k string) (sigv4.Credentials, bool, error) {
		return sigv4.Credentials{AccessKey: k, SecretKey: testSecret}, k == "test", nil
	}})
	s := httptest.NewTLSServer(f)
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f, []string{"--endpoint", s.URL, "--ca", ca, "--access-key", "test", "--secret-key", testSecret, "--pids", strconv.Itoa(os.Getpid())}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, p, err := f.verify.Verify(r)
	if err != nil || id.Anonymous {
		http.Error(w, fmt.Sprint(err), http.StatusForbidden)
		return
	}
	src, _, err := f.verify.Body(r, id, p)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(src)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, path, _ := strings.Cut(r.URL.Path[1:], "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	status, answer := f.do(r, path, body, p.Kind)
	if f.spoil != nil && path != "" {
		if s, a := f.spoil(r.Method, path, bytes.Clone(answer)); s != 0 {
			status, answer = s, a
		}
	}
	if r.Method == "HEAD" {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

func (f *fake) do(r *http.Request, key string, body []byte, kind sigv4.PayloadKind) (int, []byte) {
	customer := r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key")
	switch {
	case key == "" && r.Method == "PUT":
		f.buckets++
	case key == "" && r.Method == "DELETE":
		if f.buckets--; len(f.objects) > 0 {
			return http.StatusConflict, nil
		}
		return http.StatusNoContent, nil
	case key == "" && r.Method == "POST":
		for part := range strings.SplitSeq(string(body), "<Key>") {
			name, _, _ := strings.Cut(part, "</Key>")
			delete(f.objects, name)
		}
	case key == "":
		return http.StatusOK, f.list(r)
	case r.Method == "PUT":
		f.objects[key], f.keys[key] = body, customer
		f.forms[kind]++
	case f.objects[key] == nil || f.keys[key] != customer:
		return http.StatusNotFound, []byte("no such key")
	default:
		return http.StatusOK, f.objects[key]
	}
	return http.StatusOK, nil
}

// list pages by keys, with tokens that need escaping in XML and in the query.
func (f *fake) list(r *http.Request) []byte {
	q := r.URL.Query()
	var keys []string
	for key := range f.objects {
		if strings.HasPrefix(key, q.Get("prefix")) && key+"&+" > q.Get("continuation-token") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	limit, _ := strconv.Atoi(q.Get("max-keys"))
	var x strings.Builder
	x.WriteString("<ListBucketResult>")
	if limit = min(limit, 150); len(keys) > limit {
		keys = keys[:limit]
		x.WriteString("<IsTruncated>true</IsTruncated><NextContinuationToken>" + keys[limit-1] + "&amp;+</NextContinuationToken>")
	}
	for _, key := range keys {
		x.WriteString("<Contents><Key>" + key + "</Key></Contents>")
	}
	x.WriteString("</ListBucketResult>")
	return []byte(x.String())
}

var quick = []string{"--for", "10ms", "--warm", "1ms", "--quiet", "0", "--idle", "1ms", "--rounds", "2", "--clients", "2", "--large-clients", "2",
	"--small-objects", "200", "--large-objects", "2", "--large", "1048576", "--verify", "2"}

func TestEveryCaseRunsAndLeavesNothing(t *testing.T) {
	for payload, c := range map[string]struct {
		cases string
		rows  int
	}{"unsigned": {".", 14}, "trailer": {"^put|^get/4", 6}} {
		f, args := newFake(t)
		report := filepath.Join(t.TempDir(), "report.json")
		var out bytes.Buffer
		if err := run(slices.Concat(args, quick, []string{"--payload", payload, "--cases", c.cases, "--json", report}), &out); err != nil {
			t.Fatal(err)
		}
		if f.buckets != 0 || len(f.objects) != 0 {
			t.Fatalf("%d buckets and %d objects are left", f.buckets, len(f.objects))
		}
		if trailer := f.forms[sigv4.StreamingUnsignedTrailer] > 0; trailer != (payload == "trailer") || trailer == (f.forms[sigv4.Unsigned] > 0) {
			t.Fatalf("bodies by kind: %v", f.forms)
		}
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		var r result
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Rows) != c.rows || len(r.Rows[0].Rounds[0]) != 2 || r.Rows[0].Medians[0].Rate <= 0 || r.Rows[0].Medians[0].ResidentMiB <= 0 {
			t.Fatalf("%s", text)
		}
		for _, name := range []string{"put/4KiB/plain/2", "put/1MiB/sse-c/2", "get/4KiB/sse-c/2"} {
			if !strings.Contains(out.String(), name) {
				t.Fatalf("%s is not in the table\n%s", name, out.String())
			}
		}
		if bytes.Contains(text, []byte(testSecret)) || strings.Contains(out.String(), testSecret) {
			t.Fatal("the report has the secret")
		}
	}
}

func TestTwoEndpointsAreComparedInTurns(t *testing.T) {
	var mu sync.Mutex
	var turns []string
	_, args := newFake(t)
	_, other := newFake(t)
	for i := range other {
		other[i] = strings.Replace(other[i], "--", "--other-", 1)
	}
	o, err := parse(slices.Concat(args, other, quick, []string{"--other-name", "peer", "--cases", "^stat/4"}))
	if err != nil {
		t.Fatal(err)
	}
	targets, done, err := o.targets(t.Context())
	defer done()
	if err != nil || len(targets) != 2 {
		t.Fatal(err, targets)
	}
	b := &bench{options: o, targets: targets, progress: writer(func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		if f := strings.Fields(string(p)); f[1] == "round" {
			turns = append(turns, f[3])
		}
	})}
	b.cases = []kase{{name: "stat", op: opStat, size: o.small, clients: 1}}
	r, err := b.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(turns, " "); got != "holdfast peer holdfast peer" {
		t.Fatalf("turns %s", got)
	}
	if r.Rows[0].RateRatio <= 0 || r.Idle[1] == nil {
		t.Fatalf("%+v", r.Rows[0])
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// A server that answers fast and wrong must not look fast.
func TestWrongAnswersEndTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		cases string
		spoil func(op, key string, body []byte) (int, []byte)
		want  string
	}{
		"put refused": {"^put/4", func(op, key string, _ []byte) (int, []byte) {
			if op == "PUT" && strings.HasSuffix(key, "3") {
				return http.StatusServiceUnavailable, []byte("SlowDown")
			}
			return 0, nil
		}, "answer 503: SlowDown"},
		"get of another object": {"^get/4", func(op, _ string, b []byte) (int, []byte) {
			if op == "GET" {
				b[5]++
				return 200, b
			}
			return 0, nil
		}, "another object"},
		"get with a byte flipped": {"^get/1", func(op, _ string, b []byte) (int, []byte) {
			if op == "GET" {
				b[len(b)-1]++
				return 200, b
			}
			return 0, nil
		}, "differs from what was put"},
		"get cut": {"^get/4", func(op, _ string, b []byte) (int, []byte) {
			if op == "GET" {
				return 200, b[:len(b)-1]
			}
			return 0, nil
		}, "4095 of 4096"},
		"get too long": {"^get/4", func(op, _ string, b []byte) (int, []byte) {
			if op == "GET" {
				return 200, append(b, 0)
			}
			return 0, nil
		}, "longer than"},
		"partial": {"^get/4", func(op, _ string, b []byte) (int, []byte) {
			if op == "GET" {
				return http.StatusPartialContent, b
			}
			return 0, nil
		}, "answer 206"},
		"stat with another 2xx": {"^stat/4", func(op, _ string, b []byte) (int, []byte) {
			if op == "HEAD" {
				return http.StatusNonAuthoritativeInfo, b
			}
			return 0, nil
		}, "answer 203"},
		"stat of another size": {"^stat/4", func(op, _ string, b []byte) (int, []byte) {
			if op == "HEAD" {
				return 200, b[1:]
			}
			return 0, nil
		}, "4095 bytes, 4096 were put"},
	} {
		t.Run(name, func(t *testing.T) {
			f, args := newFake(t)
			f.spoil = c.spoil
			err := run(slices.Concat(args, quick, []string{"--cases", c.cases, "--small-objects", "5"}), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestListingMustHaveAllKeys(t *testing.T) {
	f, args := newFake(t)
	f.spoil = func(op, key string, _ []byte) (int, []byte) {
		if op == "PUT" && strings.HasSuffix(key, "0000003") {
			delete(f.objects, key)
		}
		return 0, nil
	}
	err := run(slices.Concat(args, quick, []string{"--cases", "^list", "--small-objects", "5"}), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "4 keys of 5") {
		t.Fatal(err)
	}
}

func TestCustomerHeadersAreWhatServersExpect(t *testing.T) {
	h := customerHeaders([32]byte([]byte("01234567890123456789012345678901")))
	key, err := base64.StdEncoding.DecodeString(h.Get("X-Amz-Server-Side-Encryption-Customer-Key"))
	if err != nil || len(key) != 32 || h.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5") == "" {
		t.Fatal(h)
	}
}

func TestReportedCommandHasNoSecret(t *testing.T) {
	got := strings.Join(redact([]string{"bench", "--secret-key", "s1", "--other-secret-key=s2", "-secret-key", "s3", "--for", "1s"}), " ")
	if got != "bench --secret-key … --other-secret-key=… -secret-key … --for 1s" {
		t.Fatal(got)
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{}, {"--start", "a", "--endpoint", "b"}, {"--start", "a", "extra"}, {"--start", "a", "--payload", "odd"},
		{"--start", "a", "--rounds", "0"}, {"--start", "a", "--other-cmd", "x", "--other-endpoint", "y"}, {"--start", "a", "--pids", "x"}, {"--start", "a", "--small", "5"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
}
