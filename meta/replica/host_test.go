package replica_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"holdfast/meta/replica"
	"holdfast/meta/replica/replicatest"
	"holdfast/proto/metapb"
)

func testConfig(t testing.TB, groups uint32, drives ...*replicatest.Drive) replica.Config {
	cfg := replica.Config{Groups: groups, Apply: testApply, Answer: testAnswer, Logger: testLogger(t)}
	for _, d := range drives {
		cfg.Drives = append(cfg.Drives, d.Handle())
	}
	return cfg
}

// beginning is that of a new cluster on drives.
func beginning(factor int, drives []*replicatest.Drive) *replica.Beginning {
	b := &replica.Beginning{Replicas: factor}
	for _, d := range drives {
		b.Drives = append(b.Drives, d.ID)
	}
	return b
}

// testLogger is silent unless REPLICA_LOG has a level (-4 shows raft's every word).
func testLogger(t testing.TB) *slog.Logger {
	level, err := strconv.Atoi(os.Getenv("REPLICA_LOG"))
	if err != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.Level(level)}))
}

func testDrives(n int) []*replicatest.Drive {
	out := make([]*replicatest.Drive, n)
	for i := range out {
		out[i] = replicatest.NewDrive(i + 1)
	}
	return out
}

func mustOpen(t testing.TB, cfg replica.Config) *replica.Host {
	t.Helper()
	h, err := replica.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	mustBeReady(t, h)
	return h
}

func mustBeReady(t testing.TB, h *replica.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.WaitReady(ctx); err != nil {
		t.Fatalf("not ready: %v", err)
	}
}

func mustClose(t testing.TB, h *replica.Host) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustPut(t testing.TB, h *replica.Host, group uint32, key, value string) *metapb.Result {
	t.Helper()
	res, err := h.Propose(t.Context(), group, encode(put(key, value)))
	if err != nil || res.GetKind() != 0 {
		t.Fatalf("put %s: %v, %v", key, res, err)
	}
	return res
}

func mustGet(t testing.TB, h *replica.Host, group uint32, key string) string {
	t.Helper()
	a, err := h.Ask(t.Context(), group, &metapb.Query{Key: key})
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return parseRegister(a.GetMessage()).value
}

func TestAcknowledgedWritesAreReadAlsoAfterAPowerCut(t *testing.T) {
	drives := testDrives(6)
	cfg := testConfig(t, 16, drives...)
	cfg.Beginning = beginning(5, drives)
	start := time.Now()
	h := mustOpen(t, cfg)
	t.Logf("ready after %v", time.Since(start))
	for g := range uint32(17) {
		for i := range 20 {
			mustPut(t, h, g, fmt.Sprint(i%7), fmt.Sprintf("g%d-%d", g, i))
		}
		if got := mustGet(t, h, g, "3"); got != fmt.Sprintf("g%d-17", g) {
			t.Fatalf("group %d: read %q", g, got)
		}
	}
	for _, d := range drives {
		d.Crash()
	}
	_ = h.Close()
	for _, d := range drives {
		d.Restart()
	}
	start = time.Now()
	h = mustOpen(t, cfg)
	t.Logf("ready again after %v", time.Since(start))
	for g := range uint32(17) {
		if got := mustGet(t, h, g, "3"); got != fmt.Sprintf("g%d-17", g) {
			t.Fatalf("group %d after the power cut: read %q", g, got)
		}
	}
	mustClose(t, h)
}
