package drive

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/drive/blob"
	"holdfast/node/drive/index"
	"holdfast/node/drive/log"
)

// entryOf is where a shard is.
func entryOf(t testing.TB, d *Drive, s node.Spec) index.Entry {
	t.Helper()
	e, ok, err := d.index.Get(s.Shard)
	if err != nil || !ok {
		t.Fatalf("%s is not in the index: %v", s.Shard, err)
	}
	return e
}

// place is the file and range in which a shard lies.
func place(t testing.TB, d *Drive, s node.Spec) (path string, from, to int64) {
	t.Helper()
	e := entryOf(t, d, s)
	if e.Blob != 0 {
		return d.path(fmt.Sprintf("%s/%02x/%016x", blobsName, e.Blob/4096, e.Blob)), 0, blob.Size(s)
	}
	return d.path(fmt.Sprintf("%s/%06d.log", shardsName, e.Place.Segment)),
		e.Place.Offset, e.Place.Offset + int64(e.Bytes)
}

// flip changes one byte of a file.
func flip(t testing.TB, f *os.File, at int64) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x41
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFlippedByteOfAShardIsFound(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.BlobBytes = 5000
	d := open(t, cfg)
	defer closeDrive(t, d)
	for name, s := range map[string]node.Spec{"log": spec(1, 700, 1800), "blob": spec(2, 4000, 5003)} {
		t.Run(name, func(t *testing.T) {
			data := content(s, 1)
			put(t, d, s, data)
			path, from, to := place(t, d, s)
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			seenByRead := 0
			for at := from; at < to; at++ {
				flip(t, f, at)
				if err := d.Verify(context.Background(), s.Shard); !kind.Is(err, kind.Damaged) {
					t.Fatalf("byte %d: Verify says %v", at-from, err)
				}
				got, err := tryRead(d, s)
				switch {
				case kind.Is(err, kind.Damaged):
					seenByRead++
				case err != nil || string(got) != string(data):
					t.Fatalf("byte %d: ReadBlock says %v, or wrong bytes", at-from, err)
				}
				flip(t, f, at)
			}
			if min := int(s.Length) + s.Blocks()*node.BlockTrailer; seenByRead < min {
				t.Errorf("ReadBlock found %d flips, want all %d in blocks and trailers", seenByRead, min)
			}
			if err := d.Verify(context.Background(), s.Shard); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStaleSwappedAndForeignBlocksAreDamage(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.BlobBytes = 5000
	d := open(t, cfg)
	defer closeDrive(t, d)
	for _, length := range []uint64{4000, 8000} {
		a, b := spec(1, 2000, length), spec(2, 2000, length)
		put(t, d, a, content(a, 1))
		put(t, d, b, content(b, 1))
		pathA, fromA, toA := place(t, d, a)
		pathB, fromB, _ := place(t, d, b)
		bytesA, err := os.ReadFile(pathA)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(pathB, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytesA[fromA:toA], fromB); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := tryRead(d, b); !kind.Is(err, kind.Damaged) {
			t.Errorf("length %d: another shard's blocks were read: %v", length, err)
		}
		other := a
		other.Length--
		if err := d.ReadBlock(context.Background(), other, 0, 0, make([]byte, 10)); !kind.Is(err, kind.Damaged) {
			t.Errorf("length %d: a shard of another geometry was read: %v", length, err)
		}
		if err := d.Delete(context.Background(), []node.Shard{a.Shard, b.Shard}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadsOutOfRangeAreRefused(t *testing.T) {
	d := open(t, config(t.TempDir()))
	defer closeDrive(t, d)
	s := spec(1, 1000, 2500)
	put(t, d, s, content(s, 1))
	for _, c := range []struct{ n, off, len int }{{-1, 0, 1}, {3, 0, 1}, {0, -1, 1}, {0, 1000, 1}, {2, 400, 200}, {2, 0, 501}} {
		if err := d.ReadBlock(context.Background(), s, c.n, c.off, make([]byte, c.len)); err == nil {
			t.Errorf("read %+v of 3 blocks", c)
		}
	}
	dst := make([]byte, 100)
	if err := d.ReadBlock(context.Background(), s, 2, 400, dst); err != nil || string(dst) != string(content(s, 1)[2400:]) {
		t.Errorf("the last 100 bytes: %v", err)
	}
}

// fill puts n shards of both kinds and returns them.
func fill(t testing.TB, d *Drive, from, n int) []node.Spec {
	t.Helper()
	var all []node.Spec
	for i := from; i < from+n; i++ {
		s := spec(i, 65536, uint64(i*7919%200_000))
		if i%5 == 0 {
			s.Length += 256 << 10
		}
		put(t, d, s, content(s, 1))
		all = append(all, s)
	}
	return all
}

func wantAll(t testing.TB, d *Drive, all []node.Spec) {
	t.Helper()
	for _, s := range all {
		wantShard(t, d, s, content(s, 1))
		if err := d.Verify(context.Background(), s.Shard); err != nil {
			t.Error(err)
		}
	}
}

func TestTheIndexIsRebuiltWhenTheDatabaseIsGone(t *testing.T) {
	cfg := config(t.TempDir())
	d := open(t, cfg)
	all := fill(t, d, 0, 20)
	if err := d.Delete(context.Background(), []node.Shard{all[3].Shard, all[5].Shard}); err != nil {
		t.Fatal(err)
	}
	closeDrive(t, d)
	if err := os.RemoveAll(d.path(badgerName)); err != nil {
		t.Fatal(err)
	}
	d = open(t, cfg)
	defer closeDrive(t, d)
	if !d.Fresh() {
		t.Error("Fresh() is false")
	}
	wantNone(t, d, all[3])
	wantNone(t, d, all[5])
	wantAll(t, d, append(append(all[:3:3], all[4]), all[6:]...))
}

func TestLargeShardsOutliveTheirLogAndIndex(t *testing.T) {
	cfg := config(t.TempDir())
	d := open(t, cfg)
	all := fill(t, d, 0, 20)
	closeDrive(t, d)
	for _, name := range []string{badgerName, shardsName} {
		if err := os.RemoveAll(d.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	d = open(t, cfg)
	defer closeDrive(t, d)
	found := 0
	for _, s := range all {
		if s.Length >= defaultBlobBytes {
			wantShard(t, d, s, content(s, 1))
			found++
		}
	}
	list, err := d.List(context.Background(), node.Shard{}, 100)
	if err != nil || found != 4 || len(list) != 4 {
		t.Errorf("%d of 4 large shards found, %d in the index, %v", found, len(list), err)
	}
}

func TestMemtableLogsAreNotBelievedAfterAnUncleanStop(t *testing.T) {
	damage := map[string]func(t *testing.T, mem string){
		"garbage": func(t *testing.T, mem string) {
			f, err := os.OpenFile(mem, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for at := int64(20); at < 4000; at += 97 {
				flip(t, f, at)
			}
		},
		// What a power cut can do: a newer transaction is there, older ones are not.
		"newer without older": func(t *testing.T, mem string) { writeNewer(t, mem) },
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			d := open(t, config(t.TempDir()))
			all := fill(t, d, 0, 10)
			if err := d.index.Flush(); err != nil {
				t.Fatal(err)
			}
			d.gc.stop()
			cfg := d.cfg
			cfg.Path = filepath.Join(t.TempDir(), "drive")
			copyDrive(t, d.cfg.Path, cfg.Path, func(string) bool { return true })
			closeDrive(t, d)
			mems, err := filepath.Glob(filepath.Join(cfg.Path, badgerName, "*.mem"))
			if err != nil || len(mems) != 1 {
				t.Fatalf("memtable logs: %v, %v", mems, err)
			}
			harm(t, mems[0])
			d = open(t, cfg)
			defer closeDrive(t, d)
			wantAll(t, d, all)
		})
	}
}

// writeNewer replaces a memtable log by one that holds nothing but a late position.
func writeNewer(t *testing.T, mem string) {
	t.Helper()
	dir := t.TempDir()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLoggingLevel(badger.ERROR).WithMemTableSize(memTableBytes))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	state := make([]byte, 32)
	binary.LittleEndian.PutUint64(state, 1)
	binary.LittleEndian.PutUint64(state[8:], 1<<40)
	err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("sp"), state) })
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(mem); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(filepath.Join(dir, "00001.mem"), mem); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedDatabaseNeverGivesWrongShards(t *testing.T) {
	d := open(t, config(t.TempDir()))
	all := fill(t, d, 1, 4)
	closeDrive(t, d)
	tables, err := filepath.Glob(d.path(badgerName + "/*"))
	if err != nil {
		t.Fatal(err)
	}
	replaced := 0
	for _, file := range tables {
		size := fileSize(t, file)
		if strings.HasSuffix(file, ".vlog") || strings.HasSuffix(file, "DISCARD") {
			size = min(size, 64) // nothing is in them
		}
		step := max(1, size/8)
		for at := step / 2; at < size; at += step {
			cfg := d.cfg
			cfg.Path = filepath.Join(t.TempDir(), "drive")
			copyDrive(t, d.cfg.Path, cfg.Path, func(string) bool { return true })
			f, err := os.OpenFile(filepath.Join(cfg.Path, badgerName, filepath.Base(file)), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			flip(t, f, at)
			f.Close()
			after, err := Open(context.Background(), cfg)
			if err != nil {
				t.Errorf("byte %d of %s: %v", at, filepath.Base(file), err)
				continue
			}
			wantAll(t, after, all)
			if after.Fresh() {
				replaced++
			}
			closeDrive(t, after)
		}
	}
	if replaced == 0 {
		t.Error("no damage made a new database necessary")
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestDamageInTheShardLogCostsOnlyTheShardsInIt(t *testing.T) {
	cfg := config(t.TempDir())
	d := open(t, cfg)
	var all []node.Spec
	for i := range 10 {
		s := spec(i, 4096, 3000)
		put(t, d, s, content(s, 1))
		all = append(all, s)
	}
	path, from, _ := place(t, d, all[4])
	after := crash2(t, d, func(dir string) {
		f, err := os.OpenFile(filepath.Join(dir, shardsName, filepath.Base(path)), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		flip(t, f, from+200)
	})
	defer closeDrive(t, after)
	wantNone(t, after, all[4])
	wantAll(t, after, append(all[:4:4], all[5:]...))
	put(t, after, all[4], content(all[4], 1))
	wantAll(t, after, all)
}

// crash2 is crash with a hand on the copy before it is opened.
func crash2(t *testing.T, d *Drive, harm func(dir string)) *Drive {
	t.Helper()
	d.gc.stop()
	cfg := d.cfg
	cfg.Path = filepath.Join(t.TempDir(), "drive")
	copyDrive(t, d.cfg.Path, cfg.Path, noMemtables)
	closeDrive(t, d)
	harm(cfg.Path)
	return open(t, cfg)
}

func TestADamagedRaftLogIsRefusedAndCanBeReset(t *testing.T) {
	cfg := config(t.TempDir())
	d := open(t, cfg)
	count := 0
	replay := func(log.Pos, uint8, []byte) error { count++; return nil }
	l, err := d.OpenRaftLog(replay)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		done := make(chan error, 1)
		l.Append(1, [][]byte{{byte(i), 1, 2, 3}}, func(_ log.Pos, err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	closeDrive(t, d)
	f, err := os.OpenFile(d.path(raftName+"/000001.log"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, f, 64+40)
	f.Close()
	d = open(t, cfg)
	defer closeDrive(t, d)
	if _, err := d.OpenRaftLog(replay); err == nil || count != 0 {
		t.Fatalf("a damaged raft log opened: %v, %d records", err, count)
	}
	if err := d.ResetRaftLog(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenRaftLog(replay); err != nil || count != 0 {
		t.Fatalf("after the reset: %v, %d records", err, count)
	}
}

func TestADriveIsKnownByItsIdentity(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "drive"))
	noCreate := cfg
	noCreate.Create = false
	wantError := func(what string, cfg Config, want error) {
		t.Helper()
		if d, err := Open(context.Background(), cfg); !errorIs(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
			if err == nil {
				d.Close()
			}
		}
	}
	wantError("a directory that is not there", noCreate, ErrNotFormatted)
	d := open(t, cfg)
	first := d.ID()
	wantError("a drive in use", cfg, ErrLocked)
	closeDrive(t, d)
	foreign := cfg
	foreign.Cluster = id.Cluster{9}
	wantError("another cluster's drive", foreign, ErrForeign)
	d = open(t, noCreate)
	if d.ID() != first || first.IsZero() {
		t.Errorf("the drive is now %s, was %s", d.ID(), first)
	}
	closeDrive(t, d)
	b, err := os.ReadFile(d.path(identityName))
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(b), `"format": 1`, `"format": 2`, 1)
	if err := os.WriteFile(d.path(identityName), []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	wantError("a newer format", cfg, ErrFormat)
	occupied := config(t.TempDir())
	if err := os.WriteFile(filepath.Join(occupied.Path, "holiday.jpg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError("a directory with other things in it", occupied, ErrNotFormatted)
}
