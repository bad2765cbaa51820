package log

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"holdfast/internal/vfs"
)

// memConfig is a log in memory with small segments.
func memConfig(fs vfs.FS) Config {
	return Config{FS: fs, Dir: "/log", Identity: "test", SegmentBytes: 4096, Spares: 2}
}

// sample writes a log of several segments and returns its records and files.
func sample(t testing.TB, sizes ...int) ([]rec, map[string][]byte) {
	t.Helper()
	m := vfs.NewMem()
	l, _ := open(t, memConfig(m), Pos{})
	var want []rec
	for i, n := range sizes {
		data := random(uint64(i), n)
		want = append(want, rec{put(t, l, 7, data), 7, data})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return want, contents(t, m)
}

func contents(t testing.TB, fs vfs.FS) map[string][]byte {
	t.Helper()
	names, err := fs.ReadDir("/log")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, n := range names {
		if files[n.Name()], err = vfs.ReadFile(fs, "/log/"+n.Name(), 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// restore makes a file system that holds the files.
func restore(t testing.TB, files map[string][]byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll("/log", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		f, err := m.OpenFile("/log/"+name, os.O_CREATE|os.O_RDWR, 0o600)
		if err == nil {
			_, err = f.WriteAt(b, 0)
		}
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.SyncDir("/log"); err != nil {
		t.Fatal(err)
	}
	return m
}

// flipped is files with one byte of one of them changed.
func flipped(files map[string][]byte, name string, i int) map[string][]byte {
	bad := map[string][]byte{}
	for n, b := range files {
		bad[n] = b
	}
	bad[name] = bytes.Clone(files[name])
	bad[name][i] ^= 0x10
	return bad
}

var sampleSizes = []int{50, 0, 110, 900, 1, 1700, 8, 9, 600, 2300, 40, 700, 1500, 300, 900}

func TestEveryFlippedByteIsFoundOrHarmless(t *testing.T) {
	want, files := sample(t, sampleSizes...)
	if len(files) < 2 {
		t.Fatalf("%d segments", len(files))
	}
	used, found := 0, 0
	for name := range files {
		for i := range files[name] {
			if files[name][i] != 0 {
				used++
			}
			l, got, err := tryOpen(memConfig(restore(t, flipped(files, name, i))), Pos{})
			switch {
			case err == nil:
				same(t, got, want)
				l.Close()
			case errors.Is(err, ErrDamaged):
				found++
				same(t, got, want[:len(got)])
			default:
				t.Fatalf("byte %d of %s: %v", i, name, err)
			}
		}
	}
	if found < used-headerLen { // but for the mark, whose loss costs nothing
		t.Errorf("%d flips were found, of %d bytes that are not zero", found, used)
	}
}

func TestSalvageGivesAllButTheDamagedRecords(t *testing.T) {
	want, files := sample(t, sampleSizes...)
	for name := range files {
		for i := 0; i < len(files[name]); i += 3 {
			cfg := memConfig(restore(t, flipped(files, name, i)))
			reports := 0
			cfg.Gaps = true
			cfg.Salvage = func(from, to Pos, err error) { reports++ }
			l, got, err := tryOpen(cfg, Pos{})
			if err != nil {
				t.Fatalf("byte %d of %s: %v", i, name, err)
			}
			if len(got) < len(want)-1 || len(got) < len(want) && reports == 0 {
				t.Fatalf("byte %d of %s: %d records of %d, %d reports", i, name, len(got), len(want), reports)
			}
			k := 0
			for _, g := range got {
				for k < len(want) && want[k].pos != g.pos {
					k++
				}
				if k == len(want) || !bytes.Equal(want[k].data, g.data) {
					t.Fatalf("byte %d of %s: a record at %s that was never written", i, name, g.pos)
				}
			}
			p := put(t, l, 1, []byte("after"))
			if _, data, err := l.Read(p, nil); err != nil || string(data) != "after" {
				t.Fatalf("byte %d of %s: append after salvage: %v", i, name, err)
			}
			l.Close()
		}
	}
}

func TestAMissingOrForeignSegmentIsDamage(t *testing.T) {
	_, files := sample(t, sampleSizes...)
	missing := map[string][]byte{}
	for n, b := range files {
		missing[n] = b
	}
	delete(missing, "000002.log")
	if _, _, err := tryOpen(memConfig(restore(t, missing)), Pos{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("segment 2 missing: %v", err)
	}
	cfg := memConfig(restore(t, files))
	cfg.Identity = "another drive"
	if l, got, err := tryOpen(cfg, Pos{}); err == nil && len(got) > 0 {
		t.Errorf("another drive's log was read: %d records", len(got))
		l.Close()
	}
	swapped := map[string][]byte{}
	for n, b := range files {
		swapped[n] = b
	}
	swapped["000001.log"], swapped["000002.log"] = files["000002.log"], files["000001.log"]
	if _, _, err := tryOpen(memConfig(restore(t, swapped)), Pos{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("segments swapped: %v", err)
	}
}

func TestNoAcknowledgedRecordIsLostInAPowerCut(t *testing.T) {
	for seed := range uint64(60) {
		powerCut(t, seed)
	}
}

// powerCut appends from several goroutines, cuts the power three times in the middle of it, and
// checks each time that what was acknowledged is there, and nothing that was never written.
func powerCut(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	config := func(fs vfs.FS) Config {
		cfg := memConfig(fs)
		cfg.SegmentBytes *= int64(1 + seed%3) // more than a page: behind the tail lies what was there before
		return cfg
	}
	m := vfs.NewMem()
	acked := map[Pos][]byte{}
	written := map[string]bool{}
	var floor uint64 // segments below it were given up
	for round := range 4 {
		faulty := vfs.NewFaulty(m, nil)
		cut := make(chan *vfs.Mem, 1)
		at, op := 1+r.IntN(12), vfs.OpSync
		if r.IntN(2) == 0 {
			op = vfs.OpWrite
		}
		crash := rand.New(rand.NewPCG(seed, uint64(round)))
		ackedThen := map[Pos][]byte{}
		var mu sync.Mutex
		faulty.Decide(func(c vfs.Call) vfs.Fault {
			if c.Op == op && c.N == at {
				mu.Lock() // first, for more may be acknowledged while the crash is made
				for p, d := range acked {
					ackedThen[p] = d
				}
				mu.Unlock()
				cut <- m.Crash(crash)
			}
			return vfs.Fault{}
		})
		l, _ := open(t, config(faulty), Pos{})
		var all sync.WaitGroup
		for i := range 20 {
			data := random(seed*1000+uint64(round*100+i), r.IntN(1500))
			written[string(data)] = true
			all.Add(1)
			l.Append(1, [][]byte{data}, func(p Pos, err error) {
				if err == nil {
					mu.Lock()
					acked[p] = data
					mu.Unlock()
				}
				all.Done()
			})
			if r.IntN(3) == 0 {
				all.Wait()
			}
			if r.IntN(6) == 0 { // segments are removed, and used again
				if segments := l.Segments(); len(segments) > 0 {
					floor = max(floor, segments[r.IntN(len(segments))].ID)
					_ = l.RemoveBefore(floor)
				}
			}
		}
		all.Wait()
		l.Close()
		select {
		case m = <-cut:
			acked = ackedThen
		default: // it took fewer calls
			m = m.Crash(crash)
		}
		l, got, err := tryOpen(config(m), Pos{})
		if err != nil {
			t.Fatalf("seed %d round %d: %v", seed, round, err)
		}
		l.Close()
		have := map[Pos][]byte{}
		for _, g := range got {
			have[g.pos] = g.data
			if !written[string(g.data)] {
				t.Fatalf("seed %d: a record at %s that was never written", seed, g.pos)
			}
		}
		for p, d := range acked {
			if p.Segment >= floor && !bytes.Equal(have[p], d) {
				t.Fatalf("seed %d round %d: the acknowledged record at %s is lost", seed, round, p)
			}
		}
		acked = have
	}
}

func TestAfterAFailedSyncNothingIsAcknowledged(t *testing.T) {
	for n := 1; n < 6; n++ {
		faulty := vfs.NewFaulty(vfs.NewMem(), nil)
		cfg := memConfig(faulty)
		cfg.SegmentBytes = 64 << 10
		failures := 0
		cfg.OnFailure = func(error) { failures++ }
		l, _ := open(t, cfg, Pos{})
		put(t, l, 1, []byte("fine"))
		faulty.Decide(func(c vfs.Call) vfs.Fault {
			if c.Op == vfs.OpSync && c.N == n {
				return vfs.Fault{Err: syscall.EIO}
			}
			return vfs.Fault{}
		})
		for i := 1; i <= n+3; i++ {
			_, err := tryPut(l, 1, []byte("later"))
			if (err == nil) != (i < n) {
				t.Fatalf("sync %d fails: append %d: %v", n, i, err)
			}
			if err != nil && (!errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO)) {
				t.Fatalf("refused with %v", err)
			}
		}
		if err := l.Close(); !errors.Is(err, ErrFailed) || failures != 1 {
			t.Errorf("close says %v after %d reports", err, failures)
		}
	}
}

func TestAFullFileSystemRefusesAndThenGoesOn(t *testing.T) {
	m := vfs.NewMem()
	faulty := vfs.NewFaulty(m, nil)
	cfg := memConfig(faulty)
	cfg.OnFailure = func(err error) { t.Errorf("failure: %v", err) }
	l, _ := open(t, cfg, Pos{})
	want := []rec{{put(t, l, 1, []byte("before")), 1, []byte("before")}}
	full := true
	faulty.Decide(func(c vfs.Call) vfs.Fault {
		if full && c.Op == vfs.OpWrite && c.Len > headerLen {
			return vfs.Fault{Err: syscall.ENOSPC, Short: c.Len / 2}
		}
		return vfs.Fault{}
	})
	for range 5 {
		if _, err := tryPut(l, 1, random(1, 2000)); !vfs.IsFull(err) {
			t.Fatalf("append to a full file system: %v", err)
		}
	}
	faulty.Decide(func(vfs.Call) vfs.Fault { return vfs.Fault{} })
	for i := range 10 {
		data := random(uint64(i), 900)
		want = append(want, rec{put(t, l, 2, data), 2, data})
	}
	l.Close()
	_, got := open(t, memConfig(m), Pos{})
	same(t, got, want)
}

// putBatch appends records which share one write, and returns the place of the last.
func putBatch(l *Log, records ...[]byte) Pos {
	var wait sync.WaitGroup
	wait.Add(len(records))
	var at Pos
	l.queue.mu.Lock()
	for _, d := range records {
		parts := [][]byte{d}
		l.queue.entries = append(l.queue.entries, entry{kind: 1, parts: parts, size: len(d),
			sum: payloadSum(parts), done: func(p Pos, err error) { at = p; wait.Done() }})
	}
	l.queue.mu.Unlock()
	l.queue.wake <- struct{}{}
	wait.Wait()
	return at
}

func TestATornTailIsNeverTakenForARecordLater(t *testing.T) {
	// A batch of two is torn so that its second record alone survives; then the first is written
	// again, byte for byte. The second must not come back behind it. The first ends with a page, so
	// that what is laid behind it up to the next one does not hide the second.
	m := vfs.NewMem()
	l, _ := open(t, pagesConfig(m), Pos{})
	put(t, l, 1, []byte("base"))
	size := pageBytes - RecordSize(headInfoLen) - RecordSize(len("base"))
	first, second := random(1, int(size)-headerLen), random(2, 480-headerLen)
	at := putBatch(l, first, second)
	if at.Offset != pageBytes {
		t.Fatalf("the second record is at %s", at)
	}
	l.Close()
	files := contents(t, m)
	torn := bytes.Clone(files["000001.log"])
	clear(torn[at.Offset-size : at.Offset]) // the first record
	clear(torn[at.Offset+480:])             // the mark
	m = restore(t, map[string][]byte{"000001.log": torn})
	l, got := open(t, pagesConfig(m), Pos{})
	if len(got) != 1 {
		t.Fatalf("%d records after the torn tail was cut, want 1", len(got))
	}
	cut := contents(t, m)["000001.log"]
	put(t, l, 1, first)
	l.Close()
	again := bytes.Clone(contents(t, m)["000001.log"])
	copy(again[at.Offset:], cut[at.Offset:at.Offset+headerLen]) // the mark was not synced
	_, got = open(t, pagesConfig(restore(t, map[string][]byte{"000001.log": again})), Pos{})
	if len(got) != 2 || !bytes.Equal(got[1].data, first) {
		t.Fatalf("%d records, want base and the first", len(got))
	}
}

func TestAStaleRecordInTheMiddleIsDamage(t *testing.T) {
	// Two histories of one log; a record of one in the place of its peer in the other is whole and
	// where it belongs, but not what was written before its successor.
	history := func(version uint64) ([]rec, map[string][]byte) {
		m := vfs.NewMem()
		l, _ := open(t, memConfig(m), Pos{})
		var all []rec
		for i := range uint64(5) {
			data := random(i, 100)
			if i == 2 {
				data = random(100+version, 100)
			}
			all = append(all, rec{put(t, l, 1, data), 1, data})
		}
		l.Close()
		return all, contents(t, m)
	}
	all, files := history(1)
	_, stale := history(2)
	at := all[2].pos.Offset
	copy(files["000001.log"][at:at+RecordSize(100)], stale["000001.log"][at:])
	_, got, err := tryOpen(memConfig(restore(t, files)), Pos{})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func TestSegmentsAreRemovedWhileTheyAreRead(t *testing.T) {
	l, _ := open(t, memConfig(vfs.NewMem()), Pos{})
	var places []Pos
	for i := range 40 {
		places = append(places, put(t, l, 1, random(uint64(i), 1000)))
	}
	segments := l.Segments()
	if len(segments) < 5 {
		t.Fatalf("%d segments", len(segments))
	}
	seg, err := l.files.acquire(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.RemoveBefore(3); err != nil {
		t.Fatal(err)
	}
	if err := readFull(seg, make([]byte, 10), 0); err != nil {
		t.Errorf("a reader lost its segment: %v", err)
	}
	l.files.release(seg)
	if _, _, err := l.Read(places[0], nil); !errors.Is(err, ErrNoSegment) {
		t.Errorf("read of a removed segment: %v", err)
	}
	last := segments[len(segments)-1].ID
	if err := l.RemoveBefore(last + 10); err != nil {
		t.Fatal(err)
	}
	if left := l.Segments(); len(left) != 1 || left[0].ID != last {
		t.Errorf("left: %v; the one that is written must stay", left)
	}
	put(t, l, 1, []byte("still"))
	l.Close()
}

func TestNewRecordsGoBehindWhatTheCallerHasSeen(t *testing.T) {
	_, files := sample(t, 10, 20)
	cfg := memConfig(restore(t, files))
	cfg.Gaps = true
	seen := Pos{Segment: 1, Offset: 3000}
	l, got := open(t, cfg, seen)
	if len(got) != 0 {
		t.Errorf("%d records from behind the end", len(got))
	}
	if p := put(t, l, 1, []byte("x")); !seen.Less(p) {
		t.Errorf("appended at %s, the caller has seen %s", p, seen)
	}
	l.Close()
}
