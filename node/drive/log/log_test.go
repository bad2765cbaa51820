package log

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"holdfast/internal/vfs"
)

// rec is a record as a test sees it.
type rec struct {
	pos  Pos
	kind uint8
	data []byte
}

func config(dir string) Config {
	return Config{FS: vfs.OS{}, Dir: dir, Identity: "test", SegmentBytes: 64 << 10}
}

// open opens a log and returns what it replayed.
func open(t testing.TB, cfg Config, from Pos) (*Log, []rec) {
	t.Helper()
	l, got, err := tryOpen(cfg, from)
	if err != nil {
		t.Fatal(err)
	}
	return l, got
}

func tryOpen(cfg Config, from Pos) (*Log, []rec, error) {
	var got []rec
	l, err := Open(cfg, from, func(p Pos, kind uint8, payload []byte) error {
		got = append(got, rec{p, kind, bytes.Clone(payload)})
		return nil
	})
	return l, got, err
}

// put appends one record and waits for it.
func put(t testing.TB, l *Log, kind uint8, parts ...[]byte) Pos {
	t.Helper()
	p, err := tryPut(l, kind, parts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPut(l *Log, kind uint8, parts ...[]byte) (Pos, error) {
	type answer struct {
		p   Pos
		err error
	}
	c := make(chan answer, 1)
	l.Append(kind, parts, func(p Pos, err error) { c <- answer{p, err} })
	a := <-c
	return a.p, a.err
}

func random(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func same(t testing.TB, got, want []rec) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("replayed %d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].pos != want[i].pos || got[i].kind != want[i].kind || !bytes.Equal(got[i].data, want[i].data) {
			t.Fatalf("record %d differs: at %s, want %s", i, got[i].pos, want[i].pos)
		}
	}
}

func TestRecordsComeBackInOrderOverSegmentsAndReopens(t *testing.T) {
	dir := t.TempDir()
	var want []rec
	for round := range 4 {
		l, got := open(t, config(dir), Pos{})
		same(t, got, want)
		for i := range 40 {
			data := random(uint64(round*100+i), i*397)
			p := put(t, l, uint8(i), data[:i], data[i:i*2], data[i*2:])
			want = append(want, rec{p, uint8(i), data})
		}
		for _, w := range want {
			kind, data, err := l.Read(w.pos, nil)
			if err != nil || kind != w.kind || !bytes.Equal(data, w.data) {
				t.Fatalf("read %s: kind %d, %v", w.pos, kind, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{0, 1, 50, len(want) - 1} {
		l, got := open(t, config(dir), want[i].pos)
		same(t, got, want[i:])
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConcurrentAppendsAreAnsweredInOrderAndShareSyncs(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.OS{}, nil)
	cfg := config(t.TempDir())
	cfg.FS = faulty
	cfg.SegmentBytes = 16 << 20
	l, _ := open(t, cfg, Pos{})
	put(t, l, 0)
	faulty.Decide(nil)
	var mu sync.Mutex
	var last Pos
	var all sync.WaitGroup
	const writers, each = 64, 20
	for w := range writers {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range each {
				c := make(chan struct{})
				l.Append(1, [][]byte{fmt.Appendf(nil, "%d/%d", w, i)}, func(p Pos, err error) {
					mu.Lock()
					if err != nil || !last.Less(p) {
						t.Errorf("answered %s after %s: %v", p, last, err)
					}
					last = p
					mu.Unlock()
					close(c)
				})
				<-c
			}
		}()
	}
	all.Wait()
	if n := faulty.Count(vfs.OpSync); n > writers*each/4 {
		t.Errorf("%d syncs for %d appends by %d writers", n, writers*each, writers)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
