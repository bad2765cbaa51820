package kv

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"holdfast/internal/kind"
)

type quiet struct{}

func (quiet) Errorf(string, ...any)   {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Debugf(string, ...any)   {}

func opened(t *testing.T, dir string) *DB {
	t.Helper()
	b, err := badger.Open(badger.DefaultOptions(dir).WithCompression(options.None).WithBlockCacheSize(0).WithMemTableSize(1 << 20).
		WithValueLogFileSize(1 << 20).WithValueThreshold(100 << 10).WithBaseTableSize(256 << 10).WithNumCompactors(2).
		WithChecksumVerificationMode(options.OnBlockRead).WithLogger(quiet{}).WithDetectConflicts(false))
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Badger: b, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func write(t *testing.T, d *DB, f func(txn *Txn) error) {
	t.Helper()
	txn := d.Begin(true)
	defer txn.Discard()
	if err := errors.Join(f(txn), txn.Commit()); err != nil {
		t.Fatal(err)
	}
}

func key(n int) []byte { return fmt.Appendf(nil, "key%05d", n) }

// model is what a database should hold.
type model map[string]string

// churn sets and deletes at random, in both.
func (m model) churn(t *testing.T, d *DB, rng *rand.Rand, rounds int) {
	t.Helper()
	for range rounds {
		write(t, d, func(txn *Txn) error {
			var errs []error
			for range 50 {
				k := key(rng.IntN(2000))
				if rng.IntN(3) == 0 {
					delete(m, string(k))
					errs = append(errs, txn.Delete(k))
					continue
				}
				v := fmt.Sprintf("%d-%s", rng.Uint64(), strings.Repeat("v", rng.IntN(300)))
				m[string(k)] = v
				errs = append(errs, txn.Set(k, []byte(v)))
			}
			return errors.Join(errs...)
		})
	}
}

// check reads everything in every way. Damage is an answer; a wrong one is not.
func (m model) check(t *testing.T, d *DB) (met error) {
	t.Helper()
	for n := range 2000 {
		txn := d.Begin(false)
		item, err := txn.Get(key(n))
		want, there := m[string(key(n))]
		switch {
		case err != nil:
			met = err
		case there != (item != nil):
			t.Fatalf("%s: it is %v that it is there, and Get says %v", key(n), there, item != nil)
		case there:
			if v, err := item.ValueCopy(nil); err != nil || string(v) != want {
				t.Fatalf("%s: got %q, %v; want %q", key(n), v, err, want)
			}
		}
		txn.Discard()
	}
	return errors.Join(met, m.walk(t, d, "key", ""), m.walk(t, d, "key01", "key01500"))
}

func (m model) walk(t *testing.T, d *DB, prefix, from string) error {
	t.Helper()
	txn := d.Begin(false)
	defer txn.Discard()
	var got []string
	it := txn.Iterate([]byte(prefix))
	for it.Seek([]byte(max(prefix, from))); it.Valid(); it.Next() {
		got = append(got, string(it.Item().Key()))
		if v, err := it.Item().ValueCopy(nil); err != nil || string(v) != m[got[len(got)-1]] {
			t.Fatalf("walk: %s is %q, %v", got[len(got)-1], v, err)
		}
	}
	it.Close()
	var want []string
	for k := range m {
		if strings.HasPrefix(k, prefix) && k >= from {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	if txn.Err() != nil {
		want = want[:min(len(want), len(got))] // it stopped
	}
	if !slices.Equal(got, want) {
		t.Fatalf("walk of %q from %q: %d keys of %d, or others", prefix, from, len(got), len(want))
	}
	return txn.Err()
}

func TestReadsWhatWasWrittenWhileTablesComeAndGo(t *testing.T) {
	rng, m := rand.New(rand.NewPCG(1, 2)), model{}
	d := opened(t, t.TempDir())
	for range 20 {
		m.churn(t, d, rng, 30)
		if err := m.check(t, d); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.Badger().Tables()) == 0 || d.Damage() != nil {
		t.Fatalf("%d tables, damage %v", len(d.Badger().Tables()), d.Damage())
	}
}

func TestATransactionSeesItsOwnWritesAndDeletions(t *testing.T) {
	dir := t.TempDir()
	m := model{}
	d := opened(t, dir)
	m.churn(t, d, rand.New(rand.NewPCG(3, 4)), 20)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = opened(t, dir)
	txn := d.Begin(true)
	defer txn.Discard()
	gone, kept := 0, 0
	for k := range m {
		if gone++; gone > 100 {
			break
		}
		if err := txn.Delete([]byte(k)); err != nil {
			t.Fatal(err)
		}
		if item, err := txn.Get([]byte(k)); item != nil || err != nil {
			t.Fatalf("%s was deleted: %v, %v", k, item, err)
		}
		delete(m, k)
	}
	it := txn.Iterate([]byte("key"))
	for it.Seek([]byte("key")); it.Valid(); it.Next() {
		kept++
		if _, ok := m[string(it.Item().Key())]; !ok {
			t.Fatalf("%s was deleted and walked", it.Item().Key())
		}
	}
	it.Close()
	if err := txn.Commit(); err != nil || kept != len(m) || d.Damage() != nil {
		t.Fatalf("%v; %d keys were walked, %d there are", err, kept, len(m))
	}
	if err := m.check(t, d); err != nil {
		t.Fatal(err)
	}
}

// flip changes a byte of a file as a drive does that rots: under the mapping.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err = f.ReadAt(b, at); err == nil {
		b[0] ^= 0x40
		_, err = f.WriteAt(b, at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// filled is a directory with tables at several levels, and what it holds.
func filled(t *testing.T) (string, model) {
	dir, m := t.TempDir(), model{}
	d := opened(t, dir)
	m.churn(t, d, rand.New(rand.NewPCG(5, 6)), 400)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func clone(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func tablesIn(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no tables in %s: %v", dir, err)
	}
	return names
}

func TestNoFlippedByteOfATableEverChangesAnAnswer(t *testing.T) {
	dir, m := filled(t)
	rng, noticed := rand.New(rand.NewPCG(7, 8)), 0
	flips := 60
	if testing.Short() {
		flips = 15
	}
	for n := range flips {
		at := clone(t, dir)
		d := opened(t, at)
		names := tablesIn(t, at)
		name := names[rng.IntN(len(names))]
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		// Every second one into a block: what is behind is the index, of which Badger checks nothing once it is open.
		offset := rng.Int64N(info.Size() * 9 / 10)
		if n%2 == 1 {
			offset = info.Size() - 1 - rng.Int64N(info.Size()/20)
		}
		flip(t, name, offset)
		met := m.check(t, d)
		if met != nil {
			noticed++
			mark, err := os.ReadFile(filepath.Join(at, Mark))
			if err != nil || !kind.Is(met, kind.Damaged) || !bytes.Contains(mark, []byte("kv: ")) || d.Damage() == nil {
				t.Fatalf("%s at %d: %v; mark %q, %v", name, offset, met, mark, err)
			}
		} else if n%2 == 0 {
			t.Errorf("%s: a block was flipped at %d, and nobody noticed", name, offset)
		}
		_ = d.Close()
	}
	t.Logf("%d of %d flips were noticed; the others hit what is not read", noticed, flips)
}

func TestDamageThatACompactionSwallowedIsFound(t *testing.T) {
	dir, _ := filled(t)
	d := opened(t, dir)
	name := tablesIn(t, dir)[0]
	flip(t, name, 5000)
	// Nothing reads but compactions, which these writes bring about.
	for n, end := 0, time.Now().Add(time.Minute); d.Damage() == nil; n++ {
		if time.Now().After(end) {
			_, err := os.Stat(name)
			t.Fatalf("nobody noticed that %s is damaged; compacted: %v", name, err)
		}
		err := d.Badger().Update(func(txn *badger.Txn) error { return txn.Set(key(n%2000), make([]byte, 50<<10)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	txn := d.Begin(false)
	defer txn.Discard()
	if _, err := txn.Get(key(1)); !kind.Is(err, kind.Damaged) {
		t.Errorf("what is left of the database answers: %v", err)
	}
}

func TestARefusedLookIsToldAndTriedAgain(t *testing.T) {
	dir, m := filled(t)
	var told bytes.Buffer
	d := opened(t, dir)
	close(d.stop) // the test looks itself
	<-d.stopped
	d.stop = make(chan struct{}) // for Close
	d.cfg.Logger = slog.New(slog.NewTextHandler(&told, nil))
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	m.churn(t, d, rand.New(rand.NewPCG(4, 4)), 400)
	// The directory looks as if nothing had happened for long: only that the look failed brings the next one about.
	d.looked = time.Time{}
	if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	old := d.current
	none := before
	none.Cur = 0 // no file can be opened any more
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Skip(err)
	}
	d.look()
	d.look()
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
	if err != nil || d.current != old || strings.Count(told.String(), "not checked") != 1 || d.Damage() != nil {
		t.Fatalf("%v; told %q, damage %v", err, told.String(), d.Damage())
	}
	if d.look(); d.current == old {
		t.Error("it was not tried again")
	}
	if err := m.check(t, d); err != nil {
		t.Fatal(err)
	}
}

func TestNoMappingIsLeftBehind(t *testing.T) {
	dir, m := filled(t)
	d := opened(t, dir)
	mapped := func() int {
		b, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		return strings.Count(string(b), dir)
	}
	m.churn(t, d, rand.New(rand.NewPCG(9, 1)), 400)
	if err := d.refresh(); err != nil || mapped() == 0 {
		t.Fatalf("%v; %d mappings", err, mapped())
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := mapped(); n != 0 {
		t.Errorf("%d mappings are left", n)
	}
}

func BenchmarkGet(b *testing.B) {
	dir := b.TempDir()
	bd, err := badger.Open(badger.DefaultOptions(dir).WithCompression(options.None).WithBlockCacheSize(0).WithLogger(quiet{}).WithMemTableSize(4 << 20).WithValueThreshold(100 << 10))
	if err != nil {
		b.Fatal(err)
	}
	d, err := New(Config{Badger: bd, Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for n := range 500 {
		txn := d.Begin(true)
		for k := range 100 {
			if err := txn.Set(key(n*100+k), make([]byte, 400)); err != nil {
				b.Fatal(err)
			}
		}
		if err := txn.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	if err := d.refresh(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d tables", len(bd.Tables()))
	for _, c := range []struct {
		name string
		key  func(n int) []byte
	}{{"there", func(n int) []byte { return key(n * 7919 % 50000) }}, {"missing", func(n int) []byte { return append(key(n*7919%50000), 'x') }}} {
		b.Run(c.name+"/badger", func(b *testing.B) {
			for n := range b.N {
				txn := bd.NewTransaction(false)
				_, _ = txn.Get(c.key(n))
				txn.Discard()
			}
		})
		b.Run(c.name+"/kv", func(b *testing.B) {
			for n := range b.N {
				txn := d.Begin(false)
				if _, err := txn.Get(c.key(n)); err != nil {
					b.Fatal(err)
				}
				txn.Discard()
			}
		})
	}
}
