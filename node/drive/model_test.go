package drive

import (
	"context"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"holdfast/node"
)

// TestMain keeps the model test short unless the command line says otherwise.
func TestMain(m *testing.M) {
	if path := os.Getenv("HOLDFAST_TEST_POWERCUT_DRIVE"); path != "" {
		victim(path)
	}
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if !set {
		if err := flag.Set("rapid.checks", "8"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// copyDrive copies a drive's directory as a kill, or a power cut that spared all files, leaves it.
// with says which files to take.
func copyDrive(t testing.TB, from, to string, with func(path string) bool) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		rel := strings.TrimPrefix(path, from)
		if e.IsDir() {
			return os.MkdirAll(to+rel, 0o700)
		}
		if !with(rel) {
			return nil
		}
		return copySparse(path, to+rel)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copySparse copies a file and leaves holes where there are zeros.
func copySparse(from, to string) error {
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	buf := make([]byte, 256<<10)
	for off := int64(0); ; {
		n, err := in.ReadAt(buf, off)
		if n > 0 && strings.Trim(string(buf[:n]), "\x00") != "" {
			if _, err := out.WriteAt(buf[:n], off); err != nil {
				return err
			}
		}
		off += int64(n)
		if err == io.EOF {
			return out.Truncate(off)
		}
		if err != nil {
			return err
		}
	}
}

func noMemtables(path string) bool { return !strings.HasSuffix(path, ".mem") }

// crash leaves d as a kill would, and opens what it left.
func crash(t testing.TB, d *Drive, with func(path string) bool) *Drive {
	t.Helper()
	d.gc.stop() // so that the copy is of one moment
	cfg := d.cfg
	cfg.Path = filepath.Join(t.TempDir(), "drive")
	copyDrive(t, d.cfg.Path, cfg.Path, with)
	closeDrive(t, d)
	after := open(t, cfg)
	if after.Clean() {
		t.Fatal("a crash was taken for a clean stop")
	}
	return after
}

// model is a drive and what it should hold.
type model struct {
	t       testing.TB
	d       *Drive
	version uint64
	holds   map[node.Shard]held
}

type held struct {
	spec    node.Spec
	version uint64
}

func (m *model) put(r *rapid.T) {
	n := rapid.IntRange(0, 30).Draw(r, "name")
	s := spec(n, 3000, rapid.SampledFrom([]uint64{0, 1, 500, 2999, 3000, 3001, 9000, 15_000, 16_384, 20_000}).Draw(r, "length"))
	m.version++
	put(m.t, m.d, s, content(s, m.version))
	m.holds[s.Shard] = held{s, m.version}
}

func (m *model) delete(r *rapid.T) {
	var gone []node.Shard
	for _, n := range rapid.SliceOfN(rapid.IntRange(0, 30), 1, 12).Draw(r, "names") {
		gone = append(gone, spec(n, 1, 1).Shard)
	}
	if err := m.d.Delete(context.Background(), gone); err != nil {
		m.t.Fatal(err)
	}
	for _, s := range gone {
		delete(m.holds, s)
	}
}

func (m *model) abort(r *rapid.T) {
	s := spec(rapid.IntRange(0, 30).Draw(r, "name"), 3000, 20_000)
	w, err := m.d.Create(context.Background(), s)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := w.WriteBlock(context.Background(), node.AllocBlock(3000)); err != nil {
		m.t.Fatal(err)
	}
	w.Abort()
}

func (m *model) read(r *rapid.T) {
	s := spec(rapid.IntRange(0, 30).Draw(r, "name"), 1, 1)
	if h, ok := m.holds[s.Shard]; ok {
		wantShard(m.t, m.d, h.spec, content(h.spec, h.version))
		return
	}
	wantNone(m.t, m.d, s)
}

func (m *model) reopen(*rapid.T) {
	closeDrive(m.t, m.d)
	m.d = open(m.t, m.d.cfg)
	if !m.d.Clean() {
		m.t.Fatal("a clean stop was not noticed")
	}
	m.all()
}

func (m *model) crash(*rapid.T) {
	m.d = crash(m.t, m.d, noMemtables)
	m.all()
}

func (m *model) loseIndex(*rapid.T) {
	m.d = crash(m.t, m.d, func(path string) bool { return !strings.HasPrefix(path, "/badger/") })
	if !m.d.Fresh() {
		m.t.Fatal("a lost database was not noticed")
	}
	m.all()
}

func (m *model) collect(*rapid.T) {
	m.d.gc.wake()
	if err := m.d.index.Flush(); err != nil {
		m.t.Fatal(err)
	}
}

// all compares everything.
func (m *model) all() {
	m.t.Helper()
	list, err := m.d.List(context.Background(), node.Shard{}, 1000)
	if err != nil {
		m.t.Fatal(err)
	}
	if len(list) != len(m.holds) || m.d.Status().Shards != int64(len(m.holds)) {
		m.t.Fatalf("%d shards are listed, %d counted, want %d", len(list), m.d.Status().Shards, len(m.holds))
	}
	for _, s := range list {
		h := m.holds[s.Shard]
		if s != h.spec {
			m.t.Fatalf("%s is listed as %+v, want %+v", s.Shard, s, h.spec)
		}
		wantShard(m.t, m.d, s, content(s, h.version))
		if err := m.d.Verify(context.Background(), s.Shard); err != nil {
			m.t.Fatal(err)
		}
	}
}

func TestADriveEqualsItsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		cfg := config(filepath.Join(t.TempDir(), "drive"))
		cfg.SegmentBytes, cfg.BlobBytes = 64<<10, 16_384
		m := &model{t: t, d: open(t, cfg), holds: map[node.Shard]held{}}
		defer func() { closeDrive(t, m.d) }()
		r.Repeat(map[string]func(*rapid.T){
			"put":       m.put,
			"put2":      m.put,
			"put3":      m.put,
			"put4":      m.put,
			"delete":    m.delete,
			"delete2":   m.delete,
			"read":      m.read,
			"abort":     m.abort,
			"collect":   m.collect,
			"reopen":    m.reopen,
			"crash":     m.crash,
			"loseIndex": m.loseIndex,
		})
		m.all()
	})
}
