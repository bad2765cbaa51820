package drive

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"holdfast/internal/kind"
)

func TestEveryFlippedByteOfATableIsFound(t *testing.T) {
	dir := t.TempDir()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithCompression(0))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		for i := range 6 {
			if err := txn.Set(fmt.Appendf(nil, "key %d", i), make([]byte, 10*i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%d tables, error %v", len(names), err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyTables(t.Context(), dir); err != nil {
		t.Fatalf("a sound table: %v", err)
	}
	for i := range whole {
		bad := append([]byte(nil), whole...)
		bad[i] ^= 0x10
		if err := os.WriteFile(names[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := verifyTables(t.Context(), dir); !kind.Is(err, kind.Damaged) {
			t.Errorf("byte %d of %d flipped: %v", i, len(whole), err)
		}
	}
}
