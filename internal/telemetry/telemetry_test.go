package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/-/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func newMetrics(t *testing.T, cfg Config) *Metrics {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wants(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(text, "\n"+l+"\n") {
			t.Errorf("scrape has no line %q", l)
		}
	}
}

func TestRequestsAreCountedByOperationAndCode(t *testing.T) {
	m := newMetrics(t, Config{Version: "1.2.3"})
	m.Observe("PutObject", 200, 0.003, 4096, 0)
	m.Observe("PutObject", 200, 0.004, 4096, 0)
	m.Observe("PutObject", 403, 0.0001, 0, 250)
	m.Observe("GetObject", 206, 0.7, 0, 100)
	wants(t, scrape(t, m),
		`holdfast_s3_requests_total{code="200",operation="PutObject"} 2`,
		`holdfast_s3_requests_total{code="403",operation="PutObject"} 1`,
		`holdfast_s3_requests_total{code="206",operation="GetObject"} 1`,
		`holdfast_s3_received_bytes_total{operation="PutObject"} 8192`,
		`holdfast_s3_sent_bytes_total{operation="PutObject"} 250`,
		`holdfast_s3_request_seconds_bucket{operation="PutObject",le="0.0005"} 1`,
		`holdfast_s3_request_seconds_bucket{operation="PutObject",le="0.005"} 3`,
		`holdfast_s3_request_seconds_count{operation="GetObject"} 1`,
		`holdfast_build_info{version="1.2.3"} 1`,
	)
}

func TestClusterStateIsReadAtEachScrape(t *testing.T) {
	leader := false
	m := newMetrics(t, Config{
		Drives: func() []Drive {
			return []Drive{{ID: "d1", Path: "/a", TotalBytes: 100, FreeBytes: 40, Shards: 7}, {ID: "d2", Path: "/b", Out: true, ReadOnly: true}}
		},
		Groups: func() []Group { return []Group{{Number: 3, Leader: leader, Term: 2, Applied: 99}} },
		Repair: func() Repair {
			return Repair{FullRedundancy: leader, Queued: 1, RebuiltShards: 2, FailedRebuilds: 3, ScrubbedShards: 4, DamagedShards: 5,
				Scrubs: 9, LastScrub: time.Unix(1234, 0), GarbageData: 6, ReclaimedData: 7, OrphanShards: 8}
		},
	})
	text := scrape(t, m)
	wants(t, text,
		`holdfast_drive_up{drive="d1",path="/a"} 1`, `holdfast_drive_up{drive="d2",path="/b"} 0`,
		`holdfast_drive_read_only{drive="d2",path="/b"} 1`, `holdfast_drive_free_bytes{drive="d1",path="/a"} 40`,
		`holdfast_drive_total_bytes{drive="d1",path="/a"} 100`, `holdfast_drive_shards{drive="d1",path="/a"} 7`,
		`holdfast_group_leader{group="3"} 0`, `holdfast_group_term{group="3"} 2`, `holdfast_group_applied{group="3"} 99`,
		`holdfast_repair_queue 1`, `holdfast_repair_rebuilt_shards_total 2`, `holdfast_repair_failed_total 3`,
		`holdfast_scrub_shards_total 4`, `holdfast_scrub_damaged_shards_total 5`, `holdfast_garbage_data 6`,
		`holdfast_reclaimed_data_total 7`, `holdfast_orphan_shards_total 8`, `holdfast_full_redundancy 0`,
		`holdfast_scrubs_total 9`, `holdfast_last_scrub_timestamp_seconds 1234`,
	)
	leader = true
	wants(t, scrape(t, m), `holdfast_group_leader{group="3"} 1`, `holdfast_full_redundancy 1`)
}

func TestSeriesAreBounded(t *testing.T) {
	m := newMetrics(t, Config{})
	for i := range MaxSeries + 500 {
		m.Observe(fmt.Sprintf("Op%d", i), 200, 0, 0, 0)
	}
	if n := len(*m.requests.known.Load()); n > MaxSeries+1 {
		t.Errorf("%d series, want at most %d", n, MaxSeries+1)
	}
	wants(t, scrape(t, m), `holdfast_s3_requests_total{code="other",operation="other"} 500`)
}

func TestObserveAllocatesNothingAndLosesNothing(t *testing.T) {
	m := newMetrics(t, Config{})
	m.Observe("GetObject", 200, 0.001, 0, 1)
	if n := testing.AllocsPerRun(100, func() { m.Observe("GetObject", 200, 0.001, 0, 1) }); n != 0 {
		t.Errorf("%v allocations an observation, want 0", n)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				m.Observe("PutObject", 200+(i+g)%5, 0.001, 0, 1)
			}
		})
	}
	wg.Wait()
	wants(t, scrape(t, m), `holdfast_s3_request_seconds_count{operation="PutObject"} 8000`)
}

func TestLogLinesNameTheRequest(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLogger(&out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	ctx := WithRequestID(context.Background(), "7F3A")
	l.With("drive", "d1").WithGroup("g").InfoContext(ctx, "slow", "n", 1)
	l.DebugContext(ctx, "not shown")
	var line struct {
		Msg, Drive string
		G          struct {
			N         int
			RequestID string `json:"request_id"`
		}
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if line.G.RequestID != "7F3A" || line.Drive != "d1" || line.G.N != 1 {
		t.Errorf("logged %s", out.String())
	}
}

func TestLoggerRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, c := range [][2]string{{"xml", "info"}, {"text", "loud"}, {"text", "info+2"}, {"", "info"}, {"json", ""}} {
		if _, err := NewLogger(io.Discard, c[0], c[1]); err == nil {
			t.Errorf("NewLogger(%q, %q) gave no error", c[0], c[1])
		}
	}
	for _, c := range [][2]string{{"text", "debug"}, {"json", "ERROR"}} {
		if _, err := NewLogger(io.Discard, c[0], c[1]); err != nil {
			t.Errorf("NewLogger(%q, %q): %v", c[0], c[1], err)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Observe("GetObject", 200, 0.001, 0, 4096)
	}
}
