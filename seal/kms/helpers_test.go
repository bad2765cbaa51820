package kms_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/internal/secret"
	"holdfast/seal"
	"holdfast/seal/kms"
)

// dice is a random source that depends on its seed alone: SHA-256(seed | counter).
type dice struct {
	mu    sync.Mutex
	seed  string
	block uint64
	rest  []byte
}

func newDice(seed string) *dice { return &dice{seed: seed} }

func (d *dice) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range p {
		if len(d.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(d.seed), d.block))
			d.rest, d.block = sum[:], d.block+1
		}
		p[n], d.rest = d.rest[0], d.rest[1:]
	}
	return len(p), nil
}

func roll(seed string, n int) []byte {
	b := make([]byte, n)
	_, _ = newDice(seed).Read(b)
	return b
}

func clusterSecret(t testing.TB, seed string) secret.Cluster {
	t.Helper()
	return parsed(t, roll(seed, secret.Size))
}

func parsed(t testing.TB, raw []byte) secret.Cluster {
	t.Helper()
	c, err := secret.Parse(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_800_000_000_000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// memory is a store that tests look into and break.
type memory struct {
	mu      sync.Mutex
	records map[string][]byte
	loads   int
	down    error
	before  func() // runs ahead of a Save, unlocked
}

func newMemory() *memory { return &memory{records: map[string][]byte{}} }

func (m *memory) Load(context.Context) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	return slices.Collect(maps.Values(m.records)), m.down
}

func (m *memory) Save(_ context.Context, name string, old, record []byte) error {
	m.mu.Lock()
	before := m.before
	m.before = nil
	m.mu.Unlock()
	if before != nil {
		before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	if !bytes.Equal(m.records[name], old) || (m.records[name] == nil) != (old == nil) {
		return kind.New(kind.Conflict, "changed")
	}
	m.records[name] = bytes.Clone(record)
	return nil
}

func (m *memory) get(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.records[name])
}

func (m *memory) put(name string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[name] = bytes.Clone(b)
}

func (m *memory) breaks(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

func (m *memory) loaded() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loads
}

// node is one front's KMS.
func node(t testing.TB, store kms.Store, c *clock, seed string) *kms.Builtin {
	t.Helper()
	b, err := kms.NewBuiltin(kms.Config{Secret: clusterSecret(t, "cluster"), Store: store, Rand: newDice(seed), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func generate(t testing.TB, k kms.KMS, key string, c seal.Context) kms.DataKey {
	t.Helper()
	d, err := k.GenerateDataKey(t.Context(), key, c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code kms.Code) {
	t.Helper()
	if err == nil || kms.CodeOf(err) != code {
		t.Fatalf("error %v (code %q), want %q", err, kms.CodeOf(err), code)
	}
}

// same compares two keys by what they derive.
func same(t testing.TB, a, b *seal.KMSKey) bool {
	t.Helper()
	x, errX := a.Derive(nil, 32, "test")
	y, errY := b.Derive(nil, 32, "test")
	if err := errors.Join(errX, errY); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

func place(name string) kms.Place {
	return kms.Place{BucketName: "bucket-of-" + name, Binding: seal.Binding{
		Bucket: id.Bucket(roll("bucket "+name, 16)), Key: "key of " + name, Version: id.Version(roll("version "+name, 16))}}
}
