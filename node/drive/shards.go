package drive

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/drive/blob"
	"holdfast/node/drive/index"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

// openShards opens the index, replays the shard log into it, and finds lost blobs.
func (d *Drive) openShards(ctx context.Context) error {
	var err error
	d.index, err = index.Open(index.Config{
		DB:        d.db,
		FreeBlob:  func(n uint64) error { return d.blobs.Remove(n) },
		OnApplied: d.gc.wrote,
		OnDead:    d.gc.wake,
		OnStale:   d.deleteStale,
		OnFailure: d.Fail,
		Logger:    d.log,
	})
	if err != nil {
		return err
	}
	d.blobs, err = blob.Open(blob.Config{
		FS: d.cfg.FS, Dir: d.path(blobsName), Next: d.index.NextBlob(), Logger: d.log,
	})
	if err != nil {
		return err
	}
	cfg := d.logConfig(shardsName)
	cfg.Gaps = true
	cfg.Salvage = func(from, to log.Pos, err error) {
		d.damaged.Add(1)
		d.log.Error("shard log is damaged; shards in it are lost here", "from", from.String(), "to", to.String(), "error", err)
	}
	d.gc.tables.pos = d.index.Applied() // what Badger opens with is in its tables
	d.shard, err = log.Open(cfg, d.index.Applied(), d.replay)
	if err != nil {
		return fmt.Errorf("drive: open shard log: %w", err)
	}
	if err := d.index.Start(); err != nil {
		return err
	}
	d.retainSegments()
	d.blobs.Skip(d.index.NextBlob())
	if d.clean && !d.fresh {
		return nil
	}
	return d.findBlobs(ctx)
}

// deleteStale deletes a copy that landed behind the deletion of its shard: the deletion may be
// dropped one day while the copy is still there. Nobody waits for it.
func (d *Drive) deleteStale(gone index.Deletion) {
	list := []index.Deletion{gone}
	payload := encodeDeletions(list)
	d.shard.Append(kindDelete, [][]byte{payload}, func(p log.Pos, err error) {
		if err == nil {
			d.index.Submit(index.Op{Kind: index.Delete, Pos: p, Bytes: log.RecordSize(len(payload)), Deleted: list})
		}
	})
}

// retainSegments drops the figures of segments that are gone: removed shortly before a crash, or lost.
func (d *Drive) retainSegments() {
	there := make(map[uint64]bool)
	for _, s := range d.shard.Segments() {
		there[s.ID] = true
	}
	d.index.Retain(func(segment uint64) bool { return there[segment] })
}

// replay gives one record of the shard log to the index.
func (d *Drive) replay(p log.Pos, recordKind uint8, payload []byte) error {
	op, err := decodeRecord(p, recordKind, payload)
	if errors.Is(err, shard.ErrDamaged) { // its checksums were right: written wrong, so lost
		d.log.Error("record of the shard log makes no sense", "at", p.String(), "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	return d.index.Replay(op)
}

// ReadBlock implements node.Drive.
func (d *Drive) ReadBlock(ctx context.Context, want node.Spec, n, off int, dst []byte) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	if n < 0 || n >= want.Blocks() || off < 0 || off+len(dst) > want.BlockSize(n) {
		return fmt.Errorf("drive: bytes %d to %d of block %d of %s: out of range", off, off+len(dst), n, want.Shard)
	}
	return d.at(ctx, want.Shard, func(e index.Entry) error {
		if e.Spec != want {
			return fmt.Errorf("%w: %s is stored with another geometry", shard.ErrDamaged, want.Shard)
		}
		if e.Blob != 0 {
			return d.blobs.ReadBlock(e.Blob, want, n, off, dst)
		}
		return d.readLogged(e, n, off, dst)
	})
}

// maxMoves bounds how often a read follows a shard that is being replaced or moved meanwhile.
const maxMoves = 4

// at finds a shard and calls read with its entry; again if it was moved in between.
func (d *Drive) at(ctx context.Context, s node.Shard, read func(index.Entry) error) error {
	var last index.Entry
	for range maxMoves {
		if err := ctx.Err(); err != nil {
			return kind.Wrap(kind.Canceled, err, "drive: read %s", s)
		}
		e, ok, err := d.index.Get(s)
		if err != nil {
			return d.fail(err)
		}
		if !ok {
			return kind.New(kind.NotFound, "drive %s: no shard %s", d.ID(), s)
		}
		err = read(e)
		if !errors.Is(err, log.ErrNoSegment) && !errors.Is(err, blob.ErrGone) && !errors.Is(err, shard.ErrDamaged) {
			return d.answer(err)
		}
		if e == last { // not moved: its bytes are lost
			if kind.Of(d.answer(err)) == kind.Damaged {
				return d.answer(err)
			}
			return kind.Wrap(kind.Damaged, err, "drive %s: %s has lost its bytes", d.ID(), s)
		}
		last = e
	}
	return kind.New(kind.Unavailable, "drive %s: %s keeps moving", d.ID(), s)
}

// Stat implements node.Drive.
func (d *Drive) Stat(_ context.Context, s node.Shard) (node.Spec, error) {
	if err := d.enter(); err != nil {
		return node.Spec{}, err
	}
	defer d.leave()
	e, ok, err := d.index.Get(s)
	if err != nil {
		return node.Spec{}, d.fail(err)
	}
	if !ok {
		return node.Spec{}, kind.New(kind.NotFound, "drive %s: no shard %s", d.ID(), s)
	}
	return e.Spec, nil
}

// Verify implements node.Drive.
func (d *Drive) Verify(ctx context.Context, s node.Shard) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	return d.at(ctx, s, func(e index.Entry) error {
		if e.Blob != 0 {
			if err := d.verifyRecord(e); err != nil {
				return err
			}
			return d.blobs.Verify(e.Blob, e.Spec)
		}
		return d.verifyRecord(e)
	})
}

// maxDeletions bounds the shards of one record of deletions.
const maxDeletions = 1024

// Delete implements node.Drive.
func (d *Drive) Delete(ctx context.Context, shards []node.Shard) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	if err := d.index.Admit(ctx); err != nil {
		return d.answer(err)
	}
	var there []node.Shard
	for _, s := range shards {
		_, ok, err := d.index.Get(s)
		if err != nil {
			return d.fail(err)
		}
		if ok {
			there = append(there, s)
		}
	}
	for len(there) > 0 {
		n := min(len(there), maxDeletions)
		if err := d.delete(ctx, there[:n]); err != nil {
			return d.answer(err)
		}
		there = there[n:]
	}
	return nil
}

// delete records deletions and waits until they are durable.
func (d *Drive) delete(ctx context.Context, shards []node.Shard) error {
	deletions := make([]index.Deletion, len(shards))
	for i, s := range shards {
		deletions[i].Shard = s
	}
	return d.append(ctx, kindDelete, [][]byte{encodeDeletions(deletions)}, func(op *index.Op) {
		op.Kind = index.Delete
		for i := range deletions {
			deletions[i].At = op.Pos
		}
		op.Deleted = deletions
	}, nil)
}

// append writes a record of the shard log, tells the index, and waits. fill completes the op, on
// the log's goroutine; free, if set, is called when the payload is no longer needed.
func (d *Drive) append(ctx context.Context, recordKind uint8, payload [][]byte, fill func(*index.Op), free func()) error {
	size := 0
	for _, p := range payload {
		size += len(p)
	}
	done := make(chan error, 1)
	d.shard.Append(recordKind, payload, func(p log.Pos, err error) {
		if err == nil {
			op := index.Op{Pos: p, Bytes: log.RecordSize(size)}
			fill(&op)
			d.index.Submit(op)
		}
		if free != nil {
			free()
		}
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done(): // whether it is durable is unknown
		return kind.Wrap(kind.Timeout, ctx.Err(), "drive %s: waiting for the log", d.ID())
	}
}

// List implements node.Drive.
func (d *Drive) List(ctx context.Context, after node.Shard, limit int) ([]node.Spec, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	entries, err := d.index.List(ctx, after, limit)
	if err != nil {
		if ctx.Err() != nil {
			return nil, kind.Wrap(kind.Canceled, err, "drive: list")
		}
		return nil, d.fail(err)
	}
	specs := make([]node.Spec, len(entries))
	for i, e := range entries {
		specs[i] = e.Spec
	}
	return specs, nil
}

// Status implements node.Drive.
func (d *Drive) Status() node.Status {
	room := d.space.now()
	s := node.Status{
		ID: d.ID(), Path: d.cfg.Path, TotalBytes: room.Total, FreeBytes: room.Free,
		Shards: d.index.Shards(), ReadOnly: room.Free < d.space.reserve,
	}
	if s.ReadOnly {
		s.Reason = fmt.Sprintf("%d bytes free, %d are reserved", room.Free, d.space.reserve)
	}
	if err := d.Failed(); err != nil {
		s.Out, s.Reason = true, err.Error()
	}
	return s
}
