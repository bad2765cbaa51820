package fanout

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
)

// rig is a Fanout over drives in memory.
type rig struct {
	t      testing.TB
	f      *Fanout
	drives []*nodetest.Drive
	router *client.Drives
	names  []id.Drive
	next   byte
}

func newRig(t testing.TB, drives int, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, router: client.NewDrives()}
	for i := range drives {
		name := id.Drive{0xD0, byte(i + 1)}
		d := nodetest.NewDrive(name)
		r.drives = append(r.drives, d)
		r.names = append(r.names, name)
		r.router.Add(d)
	}
	// The machine may be busy: hedging is off but where a test is about it.
	cfg := Config{Drives: r.router, HedgeMin: time.Hour, HedgeMax: time.Hour, HedgeFirst: time.Hour}
	if change != nil {
		change(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.f = f
	return r
}

// drive is the fake behind an ID.
func (r *rig) drive(name id.Drive) *nodetest.Drive {
	for i := range r.names {
		if r.names[i] == name {
			return r.drives[i]
		}
	}
	r.t.Fatalf("no drive %s", name)
	return nil
}

func (r *rig) spec(s erasure.Scheme, length int64) PutSpec {
	r.next++
	return PutSpec{
		Data: id.Data{0, 0, 0, 1, r.next}, Scheme: s, Length: length,
		Drives: r.names[:s.Shards()], Spares: r.names[s.Shards():], Margin: min(1, s.M),
	}
}

func (spec PutSpec) ref(drives []id.Drive) Ref {
	l, err := spec.validate()
	if err != nil {
		panic(err)
	}
	return Ref{Data: spec.Data, Layout: l, Drives: drives}
}

func (r *rig) put(spec PutSpec, data []byte) Ref {
	r.t.Helper()
	drives, err := r.f.Put(context.Background(), spec, bytes.NewReader(data))
	if err != nil {
		r.t.Fatalf("put %d bytes %s: %v", len(data), spec.Scheme, err)
	}
	return spec.ref(drives)
}

func (r *rig) get(ref Ref, off, n int64) ([]byte, error) {
	var out bytes.Buffer
	err := r.f.Get(context.Background(), ref, off, n, func(b []byte) error {
		out.Write(b)
		for i := range b {
			b[i] = 0x55 // the sink may
		}
		return nil
	})
	return out.Bytes(), err
}

func (r *rig) mustGet(ref Ref, want []byte) {
	r.t.Helper()
	got, err := r.get(ref, 0, ref.Layout.Length)
	if err != nil {
		r.t.Fatalf("get %d bytes %s: %v", len(want), ref.Layout.Scheme, err)
	}
	if !bytes.Equal(got, want) {
		r.t.Fatalf("get %d bytes %s: wrong bytes", len(want), ref.Layout.Scheme)
	}
}

// census counts the shards on all drives, and fails when a writer was left open.
func (r *rig) census() int {
	r.t.Helper()
	n := 0
	for i, d := range r.drives {
		shards, open := d.Census()
		n += len(shards)
		if open != 0 {
			r.t.Errorf("drive %d: %d writers left open", i, open)
		}
	}
	return n
}

func randomBytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	io.ReadFull(rng, b)
	return b
}

func shardOf(ref Ref, i int) node.Shard { return node.Shard{Data: ref.Data, Index: uint8(i)} }
