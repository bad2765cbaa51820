package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"holdfast/erasure"
	"holdfast/internal/secret"
)

// patience bounds how long a test waits for what takes a second.
const patience = 30 * time.Second

// fixture is a configuration and the directory that it lives in.
type fixture struct {
	dir string
	cfg Config
}

func newFixture(t *testing.T, drives int, scheme erasure.Scheme) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	root, err := secret.NewRoot("tester", "tester-password")
	if err != nil {
		t.Fatal(err)
	}
	shared, _, err := secret.LoadOrCreate(filepath.Join(f.dir, "cluster.secret"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.cfg = Config{
		Address: "127.0.0.1:0", CertsDir: filepath.Join(f.dir, "certs"), Secret: shared, Root: root, Scheme: scheme, Region: "us-east-1",
		ReclaimAfter: time.Second, ScrubInterval: -1, Drain: 5 * time.Second, ElectionPatience: 5 * time.Second,
	}
	for n := range drives {
		f.cfg.Data = append(f.cfg.Data, filepath.Join(f.dir, "drive"+strconv.Itoa(n+1)))
	}
	return f
}

// running is a server under test.
type running struct {
	started
	*minio.Client
	http *http.Client
	end  func() error // stops it and returns what serve returned
}

// start runs the server until the test ends or end is called.
func (f *fixture) start(t *testing.T) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	up, ended := make(chan started, 1), make(chan error, 1)
	go func() {
		ended <- serve(ctx, f.cfg, func(s started) error { up <- s; return nil })
	}()
	r := &running{}
	r.end = func() error {
		cancel()
		err := <-ended
		ended <- err // for whoever asks again
		return err
	}
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Errorf("the server did not stop cleanly: %v", err)
		}
	})
	select {
	case r.started = <-up:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the server was not ready in time")
	}
	r.connect(t)
	return r
}

func (r *running) connect(t *testing.T) {
	t.Helper()
	pem, err := os.ReadFile(r.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	r.http = &http.Client{Transport: transport}
	r.Client, err = minio.New(r.address, &minio.Options{
		Creds: credentials.NewStaticV4("tester", "tester-password", ""), Secure: true, Transport: transport, Region: "us-east-1", MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *running) put(t *testing.T, key string, body []byte, sse encrypt.ServerSide) {
	t.Helper()
	_, err := r.PutObject(t.Context(), "bucket", key, bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{ServerSideEncryption: sse})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func (r *running) wants(t *testing.T, key string, body []byte, sse encrypt.ServerSide) {
	t.Helper()
	o, err := r.GetObject(t.Context(), "bucket", key, minio.GetObjectOptions{ServerSideEncryption: sse})
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%s: read %d bytes, %v; want the %d that were put", key, len(got), err, len(body))
	}
}

func (r *running) fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := r.http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// waitWhole waits until the server says that everything has full redundancy.
func (r *running) waitWhole(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, text := r.fetch(t, "https://"+r.address+"/-/metrics"); strings.Contains(text, "\nholdfast_full_redundancy 1\n") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("full redundancy was not reached")
		}
	}
}

func payload(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func customerKey(t *testing.T) encrypt.ServerSide {
	t.Helper()
	k, err := encrypt.NewSSEC(payload(32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestASecondStartFindsEverythingAgain, and a drive that was wiped in between is rebuilt.
func TestASecondStartFindsEverythingAgain(t *testing.T) {
	f := newFixture(t, 4, erasure.Scheme{K: 2, M: 2})
	key, small, large := customerKey(t), payload(1000), payload(1_000_000)
	first := f.start(t)
	if err := first.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	first.put(t, "small", small, key)
	first.put(t, "large", large, key)
	first.put(t, "plain", large, nil)
	if err := first.end(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	second := f.start(t)
	if second.scheme != f.cfg.Scheme || second.drives != 4 {
		t.Errorf("second start: %d drives, scheme %s", second.drives, second.scheme)
	}
	second.wants(t, "small", small, key)
	second.wants(t, "large", large, key)
	if err := second.end(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	if err := os.RemoveAll(f.cfg.Data[2]); err != nil {
		t.Fatal(err)
	}
	third := f.start(t)
	third.wants(t, "large", large, key)
	third.wants(t, "plain", large, nil)
	third.waitWhole(t)
	if _, text := third.fetch(t, "https://"+third.address+"/-/metrics"); !strings.Contains(text, "\nholdfast_repair_rebuilt_shards_total 2\n") {
		t.Error("the two shards of the wiped drive were not rebuilt")
	}
}

func TestHTTPAndHTTPSShareThePort(t *testing.T) {
	r := newFixture(t, 1, erasure.Scheme{}).start(t)
	for _, url := range []string{"http://", "https://"} {
		if code, body := r.fetch(t, url+r.address+"/-/live"); code != 200 {
			t.Errorf("%s live: %d %s", url, code, body)
		}
		if code, body := r.fetch(t, url+r.address+"/-/ready"); code != 200 || body != "{\"ready\":true}\n" {
			t.Errorf("%s ready: %d %s", url, code, body)
		}
		if code, _ := r.fetch(t, url+r.address+"/-/metrics"); code != 200 {
			t.Errorf("%s metrics: %d", url, code)
		}
		if code, _ := r.fetch(t, url+r.address+"/bucket/key"); code != 403 {
			t.Errorf("%s without credentials: %d", url, code)
		}
	}
	if code, _ := r.fetch(t, "https://"+r.address+"/-/admin/v1/status"); code != 403 {
		t.Errorf("admin without credentials: %d", code)
	}
}

func refused(t *testing.T, f *fixture, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := serve(ctx, f.cfg, func(started) error { cancel(); return nil })
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("serve: got %v, want an error with %q", err, want)
	}
}

func TestWrongDrivesAreRefused(t *testing.T) {
	f := newFixture(t, 3, erasure.Scheme{K: 1, M: 2})
	r := f.start(t)
	refused(t, f, "another process")
	if err := r.end(); err != nil {
		t.Fatal(err)
	}

	other := newFixture(t, 1, erasure.Scheme{})
	if err := other.start(t).end(); err != nil {
		t.Fatal(err)
	}
	mixed := *f
	mixed.cfg.Data = []string{f.cfg.Data[0], f.cfg.Data[1], other.cfg.Data[0]}
	refused(t, &mixed, "belongs to cluster")

	scheme := *f
	scheme.cfg.Scheme = erasure.Scheme{K: 2, M: 1}
	refused(t, &scheme, "the cluster was made with 1+2")

	few := *f
	few.cfg.Scheme, few.cfg.ElectionPatience = erasure.Scheme{}, 2*time.Second
	few.cfg.Data = f.cfg.Data[:1]
	refused(t, &few, "finds no majority")

	f.cfg.ElectionPatience = 2 * time.Second
	for _, d := range f.cfg.Data[1:] {
		if err := os.RemoveAll(d); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, f, "finds no majority")
}

func TestRequestsUnderWayFinishBeforeTheStop(t *testing.T) {
	f := newFixture(t, 1, erasure.Scheme{})
	r := f.start(t)
	if err := r.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	url, err := r.PresignedPutObject(t.Context(), "bucket", "slow", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	body, feed := io.Pipe()
	put := make(chan error, 1)
	go func() { put <- r.upload(url.String(), body, 100_000) }()
	data := payload(100_000)
	if _, err := feed.Write(data[:50_000]); err != nil { // nothing is read before the server asks for it
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.end() }()
	waitRefused(t, r.address) // the drain has begun
	if _, err := feed.Write(data[50_000:]); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if err := <-put; err != nil {
		t.Errorf("the request under way failed: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	f.start(t).wants(t, "slow", data, nil)
}

// upload sends a body once the server has said that it waits for it.
func (r *running) upload(url string, body io.Reader, length int64) error {
	transport := r.http.Transport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = patience
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPut, url, body)
	if err != nil {
		return err
	}
	req.ContentLength = length
	req.Header.Set("Expect", "100-continue")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return errors.Join(errors.New(resp.Status+": "+string(why)), err)
	}
	return nil
}

// waitRefused waits until the port takes no new connection.
func waitRefused(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address + "/-/live")
		if err != nil {
			return
		}
		resp.Body.Close()
		if time.Now().After(end) {
			t.Fatal("the server goes on taking connections")
		}
	}
}
