package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// Tests with the real log, drive and state machine.

const realGroups = 3

func (c *realCluster) put(t testing.TB, key string, body []byte) {
	t.Helper()
	if _, err := c.client.Apply(t.Context(), meta.GroupOf(realGroups, benchBucket, key), putObject(key, body)); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func (c *realCluster) mustHave(t testing.TB, key string, body []byte) {
	t.Helper()
	q := &metapb.Query{Bucket: benchBucket[:], Key: key, Op: &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{}}}
	a, err := c.client.Ask(t.Context(), meta.GroupOf(realGroups, benchBucket, key), q)
	if err != nil {
		t.Errorf("get %s: %v", key, err)
		return
	}
	if got := a.GetManifest().GetParts()[0].GetInline(); string(got) != string(body) {
		t.Errorf("%s: %d bytes", key, len(got))
	}
}

func bodyOf(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("%06d", i), 700)) }

// copyTree copies what a crash of the process would leave: everything written so far.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a memtable that Badger has just flushed, or a segment that was cut
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		in, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(target)
		if err != nil {
			return err
		}
		defer out.Close()
		_, err = io.Copy(out, in)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crashCopy is copyTree at a moment: again, until nothing changed meanwhile. Else a table would be from before a flush
// and the log from after it was cut, which no crash leaves.
func crashCopy(t testing.TB, from string) (to string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		to = t.TempDir()
		before := shape(t, from)
		copyTree(t, from, to)
		if shape(t, from) == before {
			return to
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not come to rest", from)
		}
	}
}

// shape is which files there are, how long they are and when they were written, but for Badger's own logs, which nobody reads.
func shape(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".mem") {
			return nil // what vanishes under the walk is missed the second time
		}
		if info, err := d.Info(); err == nil {
			fmt.Fprintln(&all, path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestRealDrivesComeBackFromCleanAndUncleanStops(t *testing.T) {
	dir := t.TempDir()
	c := openReal(t, dir, 3, 3, realGroups)
	const first, second = 300, 600
	spread(first, 16, func(_, i int) { c.put(t, fmt.Sprint(i), bodyOf(i)) })
	c.close(t)

	c = openReal(t, dir, 3, 3, realGroups)
	spread(second-first, 16, func(_, i int) { c.put(t, fmt.Sprint(first+i), bodyOf(first+i)) })
	for i := 1; i <= first; i += 10 { // replaced: replays must not bring the old ones back
		c.put(t, fmt.Sprint(i), bodyOf(-i))
	}
	crashed := crashCopy(t, dir)
	c.close(t)

	c = openReal(t, crashed, 3, 3, realGroups)
	for i := 1; i <= second; i++ {
		body := bodyOf(i)
		if i <= first && i%10 == 1 {
			body = bodyOf(-i)
		}
		c.mustHave(t, fmt.Sprint(i), body)
	}
	c.waitEqual(t)
	c.close(t)
}

func (c *realCluster) waitEqual(t testing.TB) {
	t.Helper()
	for g := range c.host.Groups() + 1 {
		for try := 0; ; try++ {
			seen := map[string]bool{}
			for _, d := range c.drives {
				if index, sum, err := c.host.Hash(t.Context(), g, d.ID()); err == nil {
					seen[fmt.Sprintf("%d %x", index, sum)] = true
				}
			}
			if len(seen) == 1 {
				break
			}
			if try == 200 {
				t.Fatalf("group %d: replicas differ: %v", g, seen)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func TestRealLogsAreCutOnlyBehindWhatTheTablesHold(t *testing.T) {
	dir := t.TempDir()
	c := openRealWith(t, dir, 3, 3, realGroups, 4<<20, 1<<20)
	const puts, keys = 1300, 500 // 33 MB: more than a memtable
	large := func(i int) []byte { return bytes.Repeat(bodyOf(i%keys), 6) }
	spread(puts, 32, func(_, i int) { c.put(t, fmt.Sprint(i%keys), large(i)) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cut := func() bool {
		for _, d := range c.host.Status(ctx).Drives {
			if d.LogBytes > 20<<20 {
				return false
			}
		}
		return true
	}
	for !cut() {
		if ctx.Err() != nil {
			t.Fatalf("logs are not cut: %+v", c.host.Status(t.Context()).Drives)
		}
		time.Sleep(100 * time.Millisecond)
	}
	crashed := crashCopy(t, dir)
	c.close(t)
	c = openReal(t, crashed, 3, 3, realGroups)
	for i := range keys {
		c.mustHave(t, fmt.Sprint(i), large(i))
	}
	if missing := c.host.Missing(t.Context()); len(missing) > 0 {
		t.Errorf("missing: %+v", missing)
	}
	c.waitEqual(t)
	c.close(t)
}

func TestRealDriveWithADamagedLogIsRebuilt(t *testing.T) {
	dir := t.TempDir()
	c := openReal(t, dir, 3, 3, realGroups)
	spread(100, 16, func(_, i int) { c.put(t, fmt.Sprint(i), bodyOf(i)) })
	c.close(t)

	segments, err := filepath.Glob(filepath.Join(dir, "d1", "raft", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	f, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff, 0xee}, 4000); err != nil {
		t.Fatal(err)
	}
	f.Close()

	c = openReal(t, dir, 3, 3, realGroups)
	missing := c.host.Missing(t.Context())
	if len(missing) != realGroups+1 {
		t.Fatalf("missing: %+v", missing)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, m := range missing {
		if m.Drive != c.drives[1].ID() {
			t.Errorf("missing %+v", m)
		}
		if err := c.host.MoveReplica(ctx, m.Group, m.Drive, m.Drive); err != nil {
			t.Fatal(err)
		}
	}
	if left := c.host.Missing(t.Context()); len(left) > 0 {
		t.Errorf("still missing: %+v", left)
	}
	c.waitEqual(t)
	for i := 1; i <= 100; i++ {
		c.mustHave(t, fmt.Sprint(i), bodyOf(i))
	}
	c.close(t)
}

// TestNoFlippedByteInARaftLogLosesACommittedEntry flips bytes of one of three logs at sampled places. The
// drive either finds it, or had nothing there; the group has everything either way.
func TestNoFlippedByteInARaftLogLosesACommittedEntry(t *testing.T) {
	base := t.TempDir()
	c := openReal(t, base, 3, 3, realGroups)
	spread(60, 16, func(_, i int) { c.put(t, fmt.Sprint(i), bodyOf(i)) })
	c.close(t)
	refused := 0
	for n := range 6 {
		dir := t.TempDir()
		copyTree(t, base, dir)
		path := filepath.Join(dir, "d1", "raft", "000001.log")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(raw, "\x00"))
		raw[(n*2+1)*used/12] ^= 0x40
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		c := openReal(t, dir, 3, 3, realGroups)
		for _, m := range c.host.Missing(t.Context()) {
			refused++
			if m.Drive != c.drives[1].ID() {
				t.Errorf("missing %+v", m)
			}
		}
		for i := 1; i <= 60; i++ {
			c.mustHave(t, fmt.Sprint(i), bodyOf(i))
		}
		c.close(t)
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

func TestRealStateMachineRefusalsComeBackByKind(t *testing.T) {
	c := openReal(t, t.TempDir(), 1, 1, realGroups)
	defer c.close(t)
	q := &metapb.Query{Bucket: benchBucket[:], Key: "none", Op: &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{}}}
	if _, err := c.client.Ask(t.Context(), 1, q); !kind.Is(err, kind.NoSuchKey) {
		t.Errorf("%v", err)
	}
	cmd := putObject("k", []byte("x"))
	cmd.GetPutVersion().Condition = &metapb.Condition{IfMatch: "0123456789abcdef0123456789abcdef"}
	if _, err := c.client.Apply(t.Context(), 1, cmd); !kind.Is(err, kind.NoSuchKeyCondition) {
		t.Errorf("%v", err)
	}
	answers, err := c.client.AskAll(t.Context(), &metapb.Query{Bucket: benchBucket[:], Op: &metapb.Query_ListObjects{ListObjects: &metapb.ListObjects{Limit: 10}}})
	if err != nil || len(answers) != realGroups {
		t.Errorf("%d answers, %v", len(answers), err)
	}
}
