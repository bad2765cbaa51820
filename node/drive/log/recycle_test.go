package log

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/vfs"
)

// TestRemovedSegmentsAreUsedAgain: a log that is cut as it grows stops making files, and nothing of
// what a segment held before comes back.
func TestRemovedSegmentsAreUsedAgain(t *testing.T) {
	m := vfs.NewMem()
	made := 0
	faulty := vfs.NewFaulty(m, nil)
	faulty.Decide(func(c vfs.Call) vfs.Fault {
		if c.Op == vfs.OpRename && strings.Contains(c.Path, sparePrefix) {
			made++
		}
		return vfs.Fault{}
	})
	var want []rec
	l, _ := open(t, memConfig(faulty), Pos{})
	for i := range 200 {
		data := random(uint64(i), 300)
		p := put(t, l, 7, data)
		want = append(want, rec{p, 7, data})
		if i%20 == 19 {
			if err := l.RemoveBefore(p.Segment); err != nil {
				t.Fatal(err)
			}
			for want[0].pos.Segment < p.Segment {
				want = want[1:]
			}
		}
		if i%50 == 49 {
			l.Close()
			var got []rec
			l, got = open(t, memConfig(faulty), Pos{})
			same(t, got, want)
		}
	}
	l.Close()
	if made < 10 {
		t.Errorf("%d renames of spares: segments are not used again", made)
	}
	if n := len(contents(t, m)); n > 6 {
		t.Errorf("%d files are left", n)
	}
}

// TestATailInAUsedSegmentIsCutLikeAnyOther: behind the last record lies what the segment held before.
// A torn batch there is cut, however little of it arrived, and what follows is read.
func TestATailInAUsedSegmentIsCutLikeAnyOther(t *testing.T) {
	files, last := usedSegment(t)
	name := fmt.Sprintf("%06d.log", last.pos.Segment)
	if len(bytes.TrimRight(files[name][last.pos.Offset+pageBytes:], "\x00")) == 0 {
		t.Fatal("nothing of the old segment is left behind the last record")
	}
	start := last.pos.Offset
	for cut := start; cut < start+RecordSize(len(last.data)); cut += 8 {
		torn := bytes.Clone(files[name])
		copy(torn[cut:], random(uint64(cut), 64)) // and no mark
		clear(torn[start+RecordSize(len(last.data)):][:headerLen])
		with := map[string][]byte{}
		for n, b := range files {
			with[n] = b
		}
		with[name] = torn
		l, got := open(t, pagesConfig(restore(t, with)), Pos{})
		n := len(got)
		again := put(t, l, 7, last.data)
		if again != last.pos {
			t.Fatalf("cut at %d: the log goes on at %s, not at %s", cut, again, last.pos)
		}
		l.Close()
		_, got = open(t, pagesConfig(l.cfg.FS), Pos{})
		if len(got) != n+1 || !bytes.Equal(got[n].data, last.data) {
			t.Fatalf("cut at %d: %d records, want %d", cut, len(got), n+1)
		}
	}
}

// TestADroppedSegmentIsNotUsedAgain: its number is given out once more, so what a torn first batch
// left in it would be whole there.
func TestADroppedSegmentIsNotUsedAgain(t *testing.T) {
	m := vfs.NewMem()
	l, _ := open(t, pagesConfig(m), Pos{})
	size := pageBytes - RecordSize(headInfoLen)
	first, second := random(1, int(size)-headerLen), random(2, 100)
	if at := putBatch(l, first, second); at != (Pos{1, pageBytes}) {
		t.Fatalf("the second record is at %s", at)
	}
	l.Close()
	torn := bytes.Clone(contents(t, m)["000001.log"])
	clear(torn[:pageBytes])                                     // of the batch only the second record arrived,
	clear(torn[pageBytes+RecordSize(len(second)):][:headerLen]) // and no mark
	l, got := open(t, pagesConfig(restore(t, map[string][]byte{"000001.log": torn})), Pos{})
	if len(got) != 0 {
		t.Fatalf("%d records of a segment without a head", len(got))
	}
	if left := contents(t, l.cfg.FS); len(left) != 0 {
		t.Errorf("%d files are left to be used again", len(left))
	}
	l.Close()
}

// usedSegment is a log whose last segment was used before, and its last record.
func usedSegment(t *testing.T) (map[string][]byte, rec) {
	m := vfs.NewMem()
	l, _ := open(t, pagesConfig(m), Pos{})
	var last rec
	for i := 0; i < 200 || last.pos.Offset < 500 || last.pos.Offset > 1000; i++ {
		data := random(uint64(i), 300)
		last = rec{put(t, l, 7, data), 7, data}
		if err := l.RemoveBefore(last.pos.Segment); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	return contents(t, m), last
}

// pagesConfig has segments of several pages.
func pagesConfig(fs vfs.FS) Config {
	cfg := memConfig(fs)
	cfg.SegmentBytes = 4 * pageBytes
	return cfg
}
