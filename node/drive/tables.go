package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"

	"holdfast/internal/kind"
	"holdfast/node/drive/log"
)

// VerifyRaftLog reads the log of the group replicas and checks it. The error has kind.Damaged if it
// is bad; when the drive is opened the next time it is replaced, and the replicas are given up.
func (d *Drive) VerifyRaftLog(ctx context.Context) error {
	d.raftMu.Lock()
	l := d.raft
	d.raftMu.Unlock()
	if l == nil {
		return nil
	}
	err := l.Verify(ctx)
	switch {
	case ctx.Err() != nil:
		return kind.Wrap(kind.Canceled, ctx.Err(), "drive: verify raft log")
	case errors.Is(err, log.ErrDamaged):
		return kind.Wrap(kind.Damaged, err, "drive: raft log of %s", d.cfg.Path)
	case err != nil:
		return fmt.Errorf("drive: verify raft log of %s: %w", d.cfg.Path, err)
	}
	return nil
}

// VerifyTables reads every table of the drive's database and checks its checksums. The error has
// kind.Damaged if one is bad; when the drive is opened the next time a new database is begun, and what it held is
// rebuilt from the drive's own logs and from the other replicas.
func (d *Drive) VerifyTables(ctx context.Context) error {
	return verifyTables(ctx, filepath.Join(d.cfg.Path, badgerName))
}

// verifyTables is run before Badger opens its tables as well, because Badger (4.9.6) does not
// survive a bad one: with checks at table and block it follows a nil pointer in a goroutine of its own, and
// with checks at table it leaves the table out and goes on without what was in it.
func verifyTables(ctx context.Context, dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return fmt.Errorf("drive: list %s: %w", dir, err)
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return kind.Wrap(kind.Canceled, ctx.Err(), "drive: verify tables")
		}
		// A table that is gone was compacted into another since it was listed.
		switch err := verifyTable(name); {
		case err == nil || errors.Is(err, fs.ErrNotExist):
		case ofMachine(err):
			return fmt.Errorf("drive: table %s: %w", name, err)
		default:
			return kind.Wrap(kind.Damaged, err, "drive: table %s", name)
		}
	}
	return nil
}

// verifyTable checks one table. Badger's own reader does it, which panics on some kinds of damage;
// and the file is mapped, so that an I/O error is a fault.
func verifyTable(name string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("its reader gave up: %v", v)
		}
	}()
	if _, ok := table.ParseFileID(name); !ok {
		return fmt.Errorf("its name is no table's")
	}
	file, err := z.OpenMmapFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close(-1) }() // it was only read
	// Without verification OpenTable leaves closing to its caller.
	t, err := table.OpenTable(file, table.Options{ReadOnly: true, ChkMode: options.NoVerification, Compression: options.None, BlockSize: 4 << 10})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
