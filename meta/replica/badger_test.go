package replica_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/meta/replica"
	"holdfast/node/drive"
)

func openDrive(t testing.TB, dir string) *drive.Drive {
	t.Helper()
	d, err := drive.Open(t.Context(), drive.Config{Path: dir, Cluster: id.Cluster{1}, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func update(t testing.TB, kv replica.KV, f func(replica.Txn) error) {
	t.Helper()
	txn := kv.Begin(true)
	defer txn.Discard()
	err := f(txn)
	if err == nil {
		err = txn.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBadgerKeepsValuesLargerThanItsTablesTake(t *testing.T) {
	dir := t.TempDir()
	d := openDrive(t, dir)
	kv := replica.NewBadger(d.KV(), d.Flushed)
	value := make([]byte, 2_300_000)
	_, _ = rand.Read(value)
	keys := func(txn replica.Txn, prefix string) (n int) {
		it := txn.Iterate([]byte(prefix))
		defer it.Close()
		for it.Seek([]byte(prefix)); it.Valid(); it.Next() {
			n++
			if v, err := it.Value(); prefix == "g" && (err != nil || !bytes.Equal(v, value)) {
				t.Errorf("iterator: %d bytes, %v", len(v), err)
			}
		}
		return n
	}
	update(t, kv, func(txn replica.Txn) error { return txn.Set([]byte("g1"), value) })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDrive(t, dir)
	defer d.Close()
	kv = replica.NewBadger(d.KV(), d.Flushed)
	txn := kv.Begin(false)
	if v, err := txn.Get([]byte("g1")); err != nil || !bytes.Equal(v, value) {
		t.Fatalf("got %d bytes, %v", len(v), err)
	}
	if n := keys(txn, "g"); n != 1 {
		t.Errorf("%d keys", n)
	}
	txn.Discard()
	update(t, kv, func(txn replica.Txn) error { return txn.Set([]byte("g1"), value[:1_600_000]) })
	update(t, kv, func(txn replica.Txn) error { return txn.Set([]byte("g1"), []byte("small")) })
	txn = kv.Begin(false)
	defer txn.Discard()
	if v, err := txn.Get([]byte("g1")); err != nil || string(v) != "small" {
		t.Errorf("got %d bytes, %v", len(v), err)
	}
	if n := keys(txn, "rp"); n != 0 {
		t.Errorf("%d pieces are left behind", n)
	}
}

func TestFlushMovesWhatWasCommittedIntoTables(t *testing.T) {
	d := openDrive(t, t.TempDir())
	defer d.Close()
	kv := replica.NewBadger(d.KV(), d.Flushed)
	update(t, kv, func(txn replica.Txn) error { return txn.Set([]byte("g1"), []byte("v")) })
	txn := kv.Begin(false)
	version := txn.Version()
	txn.Discard()
	if kv.Flushed() >= version {
		t.Fatal("flushed before it was asked to")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	start := time.Now()
	if err := kv.Flush(ctx, version); err != nil {
		t.Fatal(err)
	}
	t.Logf("took %v", time.Since(start))
	if kv.Flushed() < version {
		t.Error("not flushed")
	}
}

func TestTransactionThatIsTooBigSaysSo(t *testing.T) {
	d := openDrive(t, t.TempDir())
	defer d.Close()
	txn := replica.NewBadger(d.KV(), d.Flushed).Begin(true)
	defer txn.Discard()
	for i := range 100 {
		if err := txn.Set(fmt.Appendf(nil, "g%d", i), make([]byte, 100_000)); err != nil {
			if !errors.Is(err, replica.ErrTxnTooBig) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Error("took 10 MB")
}

func TestDiscardClosesIteratorsThatAreStillOpen(t *testing.T) {
	d := openDrive(t, t.TempDir())
	defer d.Close()
	txn := replica.NewBadger(d.KV(), d.Flushed).Begin(true)
	txn.Iterate([]byte("g")).Seek([]byte("g"))
	txn.Discard()
}
