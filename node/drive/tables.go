package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"holdfast/internal/kind"
	"holdfast/node/drive/kv"
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
// kind.Damaged if one is bad, or was when something read it; when the drive is opened the next time a new database is begun,
// and what it held is rebuilt from the drive's own logs and from the other replicas.
func (d *Drive) VerifyTables(ctx context.Context) error {
	if err := d.db.Damage(); err != nil {
		return err
	}
	return verifyTables(ctx, filepath.Join(d.cfg.Path, badgerName))
}

// verifyTables is run before Badger opens its tables as well: Badger (4.9.6) would either follow a nil pointer in a goroutine
// of its own, or leave the table out and go on without what was in it. So Badger need not check a table whole, and
// does not read every table that it has just written once more.
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
		if err := kv.Verify(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drive: %w", err)
		}
	}
	return nil
}
