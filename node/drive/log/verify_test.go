package log

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"holdfast/internal/vfs"
)

// filled is a log with a few sealed segments.
func filled(t *testing.T) (*Log, Config) {
	t.Helper()
	cfg := Config{FS: vfs.OS{}, Dir: filepath.Join(t.TempDir(), "log"), Identity: "test", SegmentBytes: 4096}
	l, err := Open(cfg, Pos{}, func(Pos, uint8, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for n := range 40 {
		mustAppend(t, l, n)
	}
	if n := len(l.Segments()); n < 3 {
		t.Fatalf("only %d segments", n)
	}
	return l, cfg
}

func mustAppend(t *testing.T, l *Log, n int) {
	t.Helper()
	done := make(chan error, 1)
	l.Append(1, [][]byte{bytes.Repeat([]byte{byte(n + 1)}, 300)}, func(_ Pos, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFindsAFlipAnywhereInWhatIsSynced(t *testing.T) {
	l, cfg := filled(t)
	if err := l.Verify(t.Context()); err != nil {
		t.Fatalf("a whole log: %v", err)
	}
	for _, seg := range l.Segments() {
		path := filepath.Join(cfg.Dir, l.files.path(seg.ID)[len(cfg.Dir)+1:])
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The end record of a sealed segment is the last that counts; Bytes is where it ends.
		for off := int64(0); off < seg.Bytes; off += 37 {
			flip(t, f, off)
			// Padding behind a payload is not covered by any checksum, nor by any reader.
			if err := l.Verify(t.Context()); !errors.Is(err, ErrDamaged) && !isPadding(off) {
				t.Errorf("segment %d (sealed %v), flip at %d of %d: %v", seg.ID, seg.Sealed, off, seg.Bytes, err)
			}
			flip(t, f, off)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Errorf("all flips undone: %v", err)
	}
}

// isPadding reports whether an offset is between two records: they are of 340 bytes, aligned to 344,
// behind a head of 64.
func isPadding(off int64) bool { return off >= 64 && (off-64)%344 >= 340 }

func flip(t *testing.T, f *os.File, off int64) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyIsNotMisledByTheWriter(t *testing.T) {
	l, _ := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			l.Append(1, [][]byte{bytes.Repeat([]byte{byte(n)}, 500)}, func(Pos, error) {})
			if n%50 == 0 {
				segments := l.Segments()
				if err := l.RemoveBefore(segments[len(segments)/2].ID); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 200 {
		if err := l.Verify(t.Context()); err != nil {
			t.Errorf("a log that is written to and cut: %v", err)
			break
		}
	}
	cancel()
	wg.Wait()
}
