package replica

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// The test's state machine: PutVersion sets a register (the key) to the manifest's ETag, if the
// condition's ETag, when there is one, is the present value. Each entry also counts itself, so
// that one applied twice or not at all shows.

func testApply(s fsm.Store, _ uint32, _ uint64, cmd *metapb.Command) (*metapb.Result, error) {
	n, err := s.Get([]byte("count"))
	if err != nil {
		return nil, err
	}
	var count uint64
	if n != nil {
		count = binary.BigEndian.Uint64(n)
	}
	if err := s.Set([]byte("count"), binary.BigEndian.AppendUint64(nil, count+1)); err != nil {
		return nil, err
	}
	put := cmd.GetPutVersion()
	key := []byte("k" + cmd.GetKey())
	old, err := s.Get(key)
	if err != nil {
		return nil, err
	}
	if want := put.GetCondition().GetIfMatch(); want != "" && want != string(old) {
		return &metapb.Result{Kind: uint32(kind.PreconditionFailed), Message: string(old)}, nil
	}
	if cmd.GetKey() == "poison" {
		return nil, fmt.Errorf("%w: poison", fsm.ErrDamaged)
	}
	if big := put.GetManifest().GetSize(); big > 0 {
		if err := s.Set([]byte("b"+cmd.GetKey()), make([]byte, big)); err != nil {
			return nil, err
		}
	}
	return &metapb.Result{Message: string(old), Found: old != nil}, s.Set(key, []byte(put.GetManifest().GetEtag()))
}

func testAnswer(r fsm.Reader, _ uint32, q *metapb.Query) (*metapb.Answer, error) {
	if q.GetKey() == "" { // everything, as a hash would have it
		a := &metapb.Answer{}
		it := r.Iterate(nil)
		defer it.Close()
		for it.Seek(nil); it.Valid(); it.Next() {
			v, err := it.Value()
			if err != nil {
				return nil, err
			}
			a.Message += fmt.Sprintf("%s=%x;", it.Key(), v)
		}
		return a, nil
	}
	v, err := r.Get([]byte("k" + q.GetKey()))
	return &metapb.Answer{Message: string(v)}, err
}

func putCommand(key, value string) []byte {
	return encodeCommand(&metapb.Command{Key: key, Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{
		Manifest: &metapb.Manifest{Etag: value}}}})
}

func encodeCommand(c *metapb.Command) []byte {
	b, err := proto.Marshal(c)
	if err != nil {
		panic(err)
	}
	return b
}

// testDrive is a drive that can crash.
type testDrive struct {
	id     id.Drive
	kv     *memKV
	disk   *memDisk
	failed error
}

func newTestDrive(n int) *testDrive {
	d := &testDrive{kv: newMemKV(), disk: newMemDisk()}
	d.id[0], d.id[15] = 0xd0, byte(n)
	return d
}

func (d *testDrive) handle() DriveHandle {
	return DriveHandle{
		ID: d.id, KV: d.kv, OpenLog: d.disk.open, ResetLog: d.disk.reset,
		Fail: func(err error) { d.failed = err },
	}
}

func (d *testDrive) crash() { d.disk.crash(); d.kv.crash() }

func (d *testDrive) restart() { d.kv.reopen(); d.failed = nil }

func testConfig(t testing.TB, groups uint32, drives ...*testDrive) Config {
	cfg := Config{Groups: groups, Apply: testApply, Answer: testAnswer, Logger: testLogger(t)}
	for _, d := range drives {
		cfg.Drives = append(cfg.Drives, d.handle())
	}
	return cfg
}

func testLogger(t testing.TB) *slog.Logger {
	level := slog.Level(100)
	if v, err := strconv.Atoi(os.Getenv("REPLICA_LOG")); err == nil {
		level = slog.Level(v)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
}

func testDrives(n int) []*testDrive {
	out := make([]*testDrive, n)
	for i := range out {
		out[i] = newTestDrive(i + 1)
	}
	return out
}

func mustOpen(t testing.TB, cfg Config) *Host {
	t.Helper()
	h, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.WaitReady(ctx); err != nil {
		t.Fatalf("not ready: %v", err)
	}
	return h
}

func mustBootstrap(t testing.TB, cfg Config, factor int) {
	t.Helper()
	if wrote, err := Bootstrap(t.Context(), cfg, factor); err != nil || !wrote {
		t.Fatalf("Bootstrap: %v, %v", wrote, err)
	}
}

func mustPut(t testing.TB, h *Host, group uint32, key, value string) *metapb.Result {
	t.Helper()
	res, err := h.Propose(t.Context(), group, putCommand(key, value))
	if err != nil || res.GetKind() != 0 {
		t.Fatalf("put %s: %v, %v", key, res, err)
	}
	return res
}

func mustGet(t testing.TB, h *Host, group uint32, key string) string {
	t.Helper()
	a, err := h.Ask(t.Context(), group, &metapb.Query{Key: key})
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return a.GetMessage()
}

func TestAcknowledgedWritesAreReadAlsoAfterARestart(t *testing.T) {
	drives := testDrives(6)
	cfg := testConfig(t, 16, drives...)
	mustBootstrap(t, cfg, 5)
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
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range drives {
		d.crash()
		d.restart()
	}
	start = time.Now()
	h = mustOpen(t, cfg)
	t.Logf("ready again after %v", time.Since(start))
	for g := range uint32(17) {
		if got := mustGet(t, h, g, "3"); got != fmt.Sprintf("g%d-17", g) {
			t.Fatalf("group %d after restart: read %q", g, got)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}
