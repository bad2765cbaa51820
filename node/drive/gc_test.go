package drive

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/drive/log"
)

// gcDrive is a drive with small segments whose collector runs only when a test calls it.
func gcDrive(t testing.TB) *Drive {
	t.Helper()
	cfg := config(t.TempDir())
	cfg.SegmentBytes = 64 << 10
	d := open(t, cfg)
	d.gc.stop()
	return d
}

// collectAll collects until nothing is worth it.
func collectAll(t testing.TB, d *Drive) {
	t.Helper()
	for {
		again, err := d.collect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !again {
			return
		}
	}
}

func logBytes(d *Drive) (n int64) {
	for _, s := range d.shard.Segments() {
		n += s.Bytes
	}
	return n
}

func TestDeadSpaceIsGivenBack(t *testing.T) {
	d := gcDrive(t)
	var all []node.Spec
	for i := range 100 {
		s := spec(i, 4096, 10_000)
		put(t, d, s, content(s, 1))
		all = append(all, s)
	}
	before := logBytes(d)
	var gone []node.Shard
	var kept []node.Spec
	for i, s := range all {
		if i%5 == 0 {
			kept = append(kept, s)
		} else {
			gone = append(gone, s.Shard)
		}
	}
	if err := d.Delete(context.Background(), gone); err != nil {
		t.Fatal(err)
	}
	collectAll(t, d)
	if after := logBytes(d); after > before/2 {
		t.Errorf("the log had %d bytes, has %d, of which %d are needed", before, after, len(kept)*10_000)
	}
	wantAll(t, d, kept)
	d = crash(t, d, func(path string) bool { return !strings.HasPrefix(path, "/badger/") })
	wantAll(t, d, kept)
	if n := d.Status().Shards; n != int64(len(kept)) {
		t.Errorf("%d shards after the index was rebuilt, want %d", n, len(kept))
	}
	closeDrive(t, d)
}

func TestADeletionOutlivesItsSegmentWhileTheShardsRecordIsThere(t *testing.T) {
	d := gcDrive(t)
	victim := spec(1000, 4096, 3000)
	put(t, d, victim, content(victim, 1))
	var full []node.Spec // keeps the victim's segment from being collected
	for i := range 5 {
		s := spec(i, 4096, 10_000)
		put(t, d, s, content(s, 1))
		full = append(full, s)
	}
	var junk []node.Shard
	for i := range 20 {
		s := spec(100+i, 4096, 10_000)
		put(t, d, s, content(s, 1))
		junk = append(junk, s.Shard)
		if i == 5 {
			if err := d.Delete(context.Background(), []node.Shard{victim.Shard}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Delete(context.Background(), junk); err != nil {
		t.Fatal(err)
	}
	first := d.shard.Segments()[0].ID
	collectAll(t, d)
	if s := d.shard.Segments(); s[0].ID != first || len(s) > 3 {
		t.Fatalf("segments left: %v; the first should be, those of junk not", s)
	}
	d = crash(t, d, func(path string) bool { return !strings.HasPrefix(path, "/badger/") })
	defer closeDrive(t, d)
	wantNone(t, d, victim)
	wantAll(t, d, full)
}

func TestACollectionOfDamagedRecordsKeepsTheirSegment(t *testing.T) {
	d := gcDrive(t)
	defer closeDrive(t, d)
	var gone []node.Shard
	for i := range 30 {
		s := spec(i, 4096, 10_000)
		put(t, d, s, content(s, 1))
		if i > 0 {
			gone = append(gone, s.Shard)
		}
	}
	path, from, _ := place(t, d, spec(0, 4096, 10_000))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flip(t, f, from+500)
	if err := d.Delete(context.Background(), gone); err != nil {
		t.Fatal(err)
	}
	collectAll(t, d) // ends
	if err := d.Verify(context.Background(), spec(0, 1, 1).Shard); !kind.Is(err, kind.Damaged) {
		t.Errorf("the damaged shard: %v", err)
	}
	repaired := spec(0, 4096, 10_000)
	put(t, d, repaired, content(repaired, 1))
	collectAll(t, d)
	if s := d.shard.Segments(); s[0].ID == 1 {
		t.Error("the damaged segment stays although nothing in it is needed")
	}
	wantShard(t, d, repaired, content(repaired, 1))
}

func TestReadersAndWritersGoOnWhileSpaceIsCollected(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.SegmentBytes, cfg.BlobBytes = 64<<10, 12_000
	d := open(t, cfg)
	defer closeDrive(t, d)
	const workers, rounds, names = 6, 40, 12
	var all sync.WaitGroup
	for w := range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range rounds {
				s := spec(w*100+i%names, 4096, uint64(3000+i%4*3500))
				if err := tryPut(d, s, content(s, 1)); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				got, err := tryRead(d, s)
				if err != nil || string(got) != string(content(s, 1)) {
					t.Errorf("read %s: %v", s.Shard, err)
				}
				if i%3 > 0 {
					if err := d.Delete(context.Background(), []node.Shard{s.Shard}); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
				if _, err := d.List(context.Background(), s.Shard, 5); err != nil {
					t.Errorf("list: %v", err)
				}
			}
		}()
	}
	all.Wait()
}

func TestReadersFindShardsThatAreMovedUnderThem(t *testing.T) {
	d := gcDrive(t)
	defer closeDrive(t, d)
	kept := spec(0, 4096, 10_000)
	put(t, d, kept, content(kept, 1))
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				got, err := tryRead(d, kept)
				// Without a processor for long enough a reader may find it moved each time.
				if !kind.Is(err, kind.Unavailable) && (err != nil || string(got) != string(content(kept, 1))) {
					t.Errorf("read: %v", err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	for round := range 10 {
		var junk []node.Shard
		for i := range 12 {
			s := spec(1+round*20+i, 4096, 10_000)
			put(t, d, s, content(s, 1))
			junk = append(junk, s.Shard)
		}
		if err := d.Delete(context.Background(), junk); err != nil {
			t.Fatal(err)
		}
		collectAll(t, d)
	}
	close(stop)
	all.Wait()
}

// copyStill copies a database without its memtables, again until no compaction came in between: a
// power cut takes all files at one moment, and a copy does not.
func copyStill(t *testing.T, from, to string) {
	t.Helper()
	manifest := func() string {
		b, err := os.ReadFile(filepath.Join(from, badger.ManifestFilename))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for before := ""; before != manifest(); {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		before = manifest()
		copyDrive(t, from, to, noMemtables)
	}
}

// TestWhatIsFlushedSurvivesWithoutMemtables writes as a group replica does, beside the index, until
// Badger has flushed some of it, and then loses the memtables: all up to Flushed must be there, of
// both, each with the position of its own.
func TestWhatIsFlushedSurvivesWithoutMemtables(t *testing.T) {
	d := gcDrive(t)
	value := make([]byte, 512<<10)
	key := func(i int) []byte { return []byte{'g', byte(i >> 8), byte(i)} }
	var versions []uint64
	var applied []log.Pos
	for i := 0; len(versions) == 0 || d.Flushed() < versions[len(versions)/2]; i++ {
		s := spec(i, 4096, 100)
		put(t, d, s, content(s, 1))
		if err := d.index.Flush(); err != nil {
			t.Fatal(err)
		}
		err := d.KV().Badger().Update(func(txn *badger.Txn) error { return txn.Set(key(i), value) })
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, d.Version())
		applied = append(applied, d.index.Applied())
	}
	flushed := d.Flushed()
	if flushed > d.Version() {
		t.Fatalf("flushed %d of %d", flushed, d.Version())
	}
	dir := filepath.Join(t.TempDir(), "badger")
	copyStill(t, d.path(badgerName), dir)
	closeDrive(t, d)
	db, err := badger.Open(badgerOptions(dir, d.identity.Drive, d.log))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	last := 0
	for i, v := range versions {
		err := db.View(func(txn *badger.Txn) error { _, err := txn.Get(key(i)); return err })
		if err != nil && v <= flushed {
			t.Fatalf("transaction %d, version %d of %d flushed: %v", i, v, flushed, err)
		}
		if v <= flushed {
			last = i
		}
	}
	var state []byte
	err = db.View(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte("sp"))
		if err != nil {
			return err
		}
		state, err = item.ValueCopy(nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := positionIn(state); got.Less(applied[last]) {
		t.Errorf("the index is at %s, the transaction flushed last had it at %s", got, applied[last])
	}
}

// positionIn reads the position from the index's state.
func positionIn(state []byte) log.Pos {
	return log.Pos{
		Segment: binary.LittleEndian.Uint64(state),
		Offset:  int64(binary.LittleEndian.Uint64(state[8:])),
	}
}

func TestTheReplayIsKeptShort(t *testing.T) {
	d := gcDrive(t)
	defer closeDrive(t, d)
	s := spec(1, 4096, 100)
	put(t, d, s, content(s, 1))
	if err := d.index.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := d.shortenReplay(); err != nil {
		t.Fatal(err)
	}
	want := d.index.Applied()
	if !d.gc.tables.held(d).Less(want) {
		t.Fatal("the tables hold the index before they were asked to")
	}
	d.gc.written.Add(maxReplay)
	if err := d.shortenReplay(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); d.gc.tables.held(d).Less(want); {
		if time.Now().After(deadline) {
			t.Fatal("the memtable was not flushed")
		}
		runtime.Gosched() // Badger's own goroutine writes the table
	}
}
