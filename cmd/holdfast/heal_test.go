package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"holdfast/api/sigv4"
	"holdfast/erasure"
)

// admin calls the admin API.
func (r *running) admin(t *testing.T, method, what string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.address+"/-/admin/v1/"+what, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sigv4.Sign(req, sigv4.Credentials{AccessKey: "tester", SecretKey: "tester-password"}, "us-east-1", "s3", time.Now(), emptySHA256)
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s, %v", method, what, resp.Status, err)
	}
	return body
}

func (r *running) healed(t *testing.T) (n int64) {
	t.Helper()
	var status struct{ Healed int64 }
	if err := json.Unmarshal(r.admin(t, "GET", "status"), &status); err != nil {
		t.Fatal(err)
	}
	return status.Healed
}

// scrub runs a whole scrub.
func (r *running) scrub(t *testing.T) {
	t.Helper()
	done := func() (n int) {
		_, text := r.fetch(t, "https://"+r.address+"/-/metrics")
		_, rest, _ := strings.Cut(text, "\nholdfast_scrubs_total ")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
	before := done()
	r.admin(t, "POST", "scrub")
	for end := time.Now().Add(patience); done() == before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the scrub did not end")
		}
	}
}

// flipIn flips a bit of the first file that matches, where it is certain to matter.
func flipIn(t *testing.T, pattern string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("nothing matches %s: %v", pattern, err)
	}
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err = f.ReadAt(b[:], 70); err == nil {
		b[0] ^= 4
		_, err = f.WriteAt(b[:], 70)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// load writes and reads back until the returned function is called.
func (r *running) load(t *testing.T) (stop func() int64) {
	t.Helper()
	var requests atomic.Int64
	var wg sync.WaitGroup
	ended := make(chan struct{})
	for w := range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				key, body := fmt.Sprintf("load/%d/%d", w, n%20), payload(1+(n%2)*200_000)
				r.put(t, key, body, nil)
				r.wants(t, key, body, nil)
				requests.Add(1)
			}
		})
	}
	return sync.OnceValue(func() int64 { close(ended); wg.Wait(); return requests.Load() })
}

// TestDamagedTablesAndRaftLogsAreHealedWhileTheServerRuns, under a load of which no request fails.
func TestDamagedTablesAndRaftLogsAreHealedWhileTheServerRuns(t *testing.T) {
	f := newFixture(t, 4, erasure.Scheme{K: 2, M: 2})
	r := f.start(t)
	if err := r.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	large := payload(1_000_000)
	for n := range 20 {
		r.put(t, fmt.Sprint("small", n), payload(1000), nil)
	}
	r.put(t, "large", large, nil)
	if err := r.end(); err != nil { // so that there are tables
		t.Fatal(err)
	}
	r = f.start(t)
	r.waitWhole(t)
	for n, damage := range []string{"drive2/badger/*.sst", "drive3/raft/*.log", "drive1/badger/*.sst"} {
		stop := r.load(t)
		defer stop()
		flipIn(t, filepath.Join(f.dir, damage))
		r.scrub(t)
		if healed := r.healed(t); healed != int64(n+1) {
			t.Fatalf("%s was flipped, and %d drives healed", damage, healed)
		}
		r.waitWhole(t)
		t.Logf("%d requests meanwhile", stop())
		if _, err := os.Stat(filepath.Dir(filepath.Join(f.dir, damage)) + ".damaged"); err != nil {
			t.Errorf("%s: what was damaged was not moved aside: %v", damage, err)
		}
	}
	r.scrub(t)
	if healed := r.healed(t); healed != 3 {
		t.Errorf("a second scrub found damage: %d healed", healed)
	}
	r.wants(t, "large", large, nil)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	// What was healed counts: one that was not may go.
	if err := os.RemoveAll(f.cfg.Data[3]); err != nil {
		t.Fatal(err)
	}
	f.start(t).wants(t, "large", large, nil)
}
