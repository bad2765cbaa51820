package index

import (
	"context"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"holdfast/node"
	"holdfast/node/drive/kv"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

func database(t testing.TB) *kv.DB {
	t.Helper()
	dir := t.TempDir()
	b, err := badger.Open(badger.DefaultOptions(dir).WithLoggingLevel(badger.ERROR).
		WithCompression(options.None).WithMemTableSize(4 << 20).WithValueThreshold(64 << 10))
	if err != nil {
		t.Fatal(err)
	}
	db, err := kv.New(kv.Config{Badger: b, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func at(segment uint64, offset int64) log.Pos { return log.Pos{Segment: segment, Offset: offset} }

func name(n byte) node.Shard {
	s := node.Shard{Index: n % 3}
	s.Data[0], s.Data[15] = 1, n
	return s
}

func header(n byte, blob uint64) shard.Header {
	return shard.Header{Spec: node.Spec{Shard: name(n), K: 2, M: 1, BlockLen: 100, Length: 250}, Blob: blob}
}

func put(p log.Pos, n byte, blob uint64) Op {
	return Op{Kind: Put, Pos: p, Bytes: 400, Shard: header(n, blob)}
}

func copied(p log.Pos, n byte, blob uint64, origin log.Pos) Op {
	h := header(n, blob)
	h.Origin = origin
	return Op{Kind: Copy, Pos: p, Bytes: 400, Shard: h}
}

func deleted(p log.Pos, n byte, before log.Pos) Op {
	return Op{Kind: Delete, Pos: p, Bytes: 80, Deleted: []Deletion{{name(n), before}}}
}

// fixture is an index and what it reported.
type fixture struct {
	*Index
	freed []uint64
	stale []Deletion
}

// reopen opens an index on db and replays ops.
func reopen(t testing.TB, db *kv.DB, ops ...Op) *fixture {
	t.Helper()
	f := &fixture{}
	x, err := Open(Config{
		DB:        db,
		FreeBlob:  func(n uint64) error { f.freed = append(f.freed, n); return nil },
		OnStale:   func(d Deletion) { f.stale = append(f.stale, d) },
		OnFailure: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Index = x
	for _, op := range ops {
		if err := x.Replay(op); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return f
}

// wantPlace checks where a shard is; the zero place: nowhere.
func (f *fixture) wantPlace(t testing.TB, n byte, want log.Pos) {
	t.Helper()
	e, ok, err := f.Get(name(n))
	if err != nil || ok == want.IsZero() || e.Place != want {
		t.Errorf("shard %d is at %s (%v, %v), want %s", n, e.Place, ok, err, want)
	}
}

func TestAnOpIsSeenAtOnceAndStaysSeen(t *testing.T) {
	f := reopen(t, database(t))
	for _, flush := range []func() error{func() error { return nil }, f.Flush} {
		f.Submit(put(at(1, 100), 1, 0))
		f.Submit(put(at(1, 500), 2, 7))
		f.wantPlace(t, 1, at(1, 100))
		f.Submit(deleted(at(1, 900), 1, at(1, 900)))
		f.wantPlace(t, 1, log.Pos{})
		if err := flush(); err != nil {
			t.Fatal(err)
		}
		f.wantPlace(t, 1, log.Pos{})
		f.wantPlace(t, 2, at(1, 500))
	}
	if f.Shards() != 1 || f.NextBlob() != 8 || f.Applied() != at(1, 900) {
		t.Errorf("%d shards, next blob %d, applied %s", f.Shards(), f.NextBlob(), f.Applied())
	}
}

func TestABlobIsFreedWhenItsShardIsDeletedOrReplaced(t *testing.T) {
	f := reopen(t, database(t))
	f.Submit(put(at(1, 100), 1, 5))
	f.Submit(put(at(1, 200), 1, 6))                // frees 5
	f.Submit(copied(at(1, 300), 1, 6, at(1, 200))) // frees none
	f.Submit(put(at(1, 400), 2, 9))                // stays
	f.Submit(deleted(at(1, 500), 1, at(1, 500)))   // frees 6
	f.Submit(deleted(at(1, 600), 3, at(1, 600)))   // was not there
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(f.freed) != "[5 6]" {
		t.Errorf("freed %v", f.freed)
	}
}

func TestFiguresCountWhatIsNeeded(t *testing.T) {
	db := database(t)
	f := reopen(t, db)
	f.Submit(put(at(1, 100), 1, 0))
	f.Submit(put(at(1, 500), 2, 0))
	f.Submit(put(at(2, 100), 2, 0))
	f.Submit(deleted(at(2, 500), 1, at(2, 500)))
	f.Submit(copied(at(3, 100), 2, 0, at(2, 100)))
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "map[1:{0 0} 2:{0 80} 3:{400 0}]"
	if got := fmt.Sprint(f.Figures()); got != want {
		t.Errorf("figures %s, want %s", got, want)
	}
	f.Close()
	f = reopen(t, db)
	if got := fmt.Sprint(f.Figures()); got != want {
		t.Errorf("figures after reopen %s, want %s", got, want)
	}
	f.Retain(func(segment uint64) bool { return segment == 3 })
	f.Submit(put(at(3, 500), 9, 0))
	f.Close()
	if got := fmt.Sprint(reopen(t, db).Figures()); got != "map[3:{800 0}]" {
		t.Errorf("figures after two segments went: %s", got)
	}
}

func TestALateCopyDoesNotBringADeletedShardBack(t *testing.T) {
	f := reopen(t, database(t))
	f.Submit(put(at(1, 100), 1, 0))
	f.Submit(deleted(at(1, 500), 1, at(1, 500)))
	f.Submit(copied(at(2, 100), 1, 0, at(1, 100)))
	f.Submit(put(at(2, 500), 2, 0))
	f.Submit(put(at(2, 900), 2, 0))
	f.Submit(copied(at(3, 100), 2, 0, at(2, 500))) // of the one that was replaced
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	f.wantPlace(t, 1, log.Pos{})
	f.wantPlace(t, 2, at(2, 900))
	if len(f.stale) != 1 || f.stale[0] != (Deletion{name(1), at(1, 101)}) {
		t.Errorf("stale copies reported: %v", f.stale)
	}
}

// TestAReplayGivesTheSameFromAnyStart replays a history, in which collection took some of the
// segments, from every position that Badger may have been left at.
func TestAReplayGivesTheSameFromAnyStart(t *testing.T) {
	history := []Op{
		put(at(1, 100), 1, 0),
		put(at(1, 500), 2, 0),
		put(at(1, 900), 3, 0),
		put(at(2, 100), 4, 0),
		deleted(at(2, 500), 2, at(2, 500)),
		copied(at(3, 100), 1, 0, at(1, 100)), // segment 1 is collected
		copied(at(3, 500), 3, 0, at(1, 900)),
		deleted(at(3, 900), 3, at(3, 900)),
		put(at(3, 950), 2, 0),                // 2 is repaired
		copied(at(4, 100), 4, 0, at(2, 100)), // segment 2 is collected, its deletion copied
		deleted(at(4, 500), 2, at(2, 500)),
	}
	for start := range len(history) + 1 {
		db := database(t)
		f := reopen(t, db)
		for _, op := range history[:start] {
			f.Submit(op)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		var left []Op
		for _, op := range history {
			if op.Pos.Segment > 2 {
				left = append(left, op)
			}
		}
		f = reopen(t, db, left...)
		f.wantPlace(t, 1, at(3, 100))
		f.wantPlace(t, 2, at(3, 950))
		f.wantPlace(t, 3, log.Pos{})
		f.wantPlace(t, 4, at(4, 100))
		if f.Shards() != 3 {
			t.Errorf("start %d: %d shards", start, f.Shards())
		}
		f.Close()
	}
}

func TestListPagesInOrder(t *testing.T) {
	f := reopen(t, database(t))
	for n := byte(1); n <= 50; n++ {
		f.Submit(put(at(1, int64(n)*1000), n, 0))
	}
	var after node.Shard
	seen := byte(0)
	for {
		page, err := f.List(context.Background(), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if seen++; e.Shard != name(seen) {
				t.Fatalf("%s in place %d", e.Shard, seen)
			}
		}
		after = page[len(page)-1].Shard
	}
	if seen != 50 {
		t.Errorf("%d listed", seen)
	}
}

func TestCallersWaitWhenTooMuchIsPending(t *testing.T) {
	x, err := Open(Config{DB: database(t), FreeBlob: func(uint64) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for n := range maxPending {
		x.Submit(put(at(1, int64(n+1)*1000), byte(n), 0)) // nothing applies them before Start
	}
	if err := x.Admit(ctx); err != nil {
		t.Errorf("%d pending: %v", maxPending, err)
	}
	x.Submit(put(at(2, 1), 1, 0))
	if err := x.Admit(ctx); err == nil {
		t.Error("admitted although too much is pending")
	}
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	if err := x.Admit(context.Background()); err != nil {
		t.Error(err)
	}
	x.Close()
}

func TestEntryFormatIsWhatItWas(t *testing.T) {
	e := Entry{Spec: header(5, 0).Spec, Blob: 0x0102, Place: at(3, 4096), Origin: at(1, 200), Bytes: 400}
	got := hex.EncodeToString(e.encode())
	if got != entryV1 {
		t.Errorf("the format changed; it is now\n%s", got)
	}
	back, err := decodeEntry(e.Shard, e.encode())
	if err != nil || back != e {
		t.Errorf("decoded %+v, %v", back, err)
	}
}

const entryV1 = "0102010064000000fa0000000000000002010000000000000300000000000000" +
	"00100000000000000100000000000000c8000000000000009001000000000000"
