package drive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/drive/blob"
	"holdfast/node/drive/index"
	"holdfast/node/drive/shard"
)

func (d *Drive) path(name string) string { return filepath.Join(d.cfg.Path, name) }

// sweepPage is how many entries of the index are looked at a time.
const sweepPage = 4096

// findBlobs looks at the files that the index does not know, after an unclean stop or a rebuild.
// A whole one that no shard of its name competes with is taken in: it was committed and the log
// lost it, or it was about to be, and then it is an orphan that the cluster removes on evidence.
// Any other was never committed, or is not needed, and is removed.
func (d *Drive) findBlobs(ctx context.Context) error {
	known, err := d.knownBlobs(ctx)
	if err != nil {
		return err
	}
	var unknown []uint64
	err = d.blobs.Numbers(func(n uint64) error {
		if _, ok := slices.BinarySearch(known, n); !ok {
			unknown = append(unknown, n)
		}
		d.blobs.Skip(n + 1)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for _, n := range unknown {
		if err := d.judgeBlob(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// knownBlobs are the numbers that the index names, sorted.
func (d *Drive) knownBlobs(ctx context.Context) ([]uint64, error) {
	var known []uint64
	var after node.Shard
	for {
		entries, err := d.index.List(ctx, after, sweepPage)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			slices.Sort(known)
			return known, nil
		}
		for _, e := range entries {
			if e.Blob != 0 {
				known = append(known, e.Blob)
			}
		}
		after = entries[len(entries)-1].Shard
	}
}

func (d *Drive) judgeBlob(ctx context.Context, n uint64) error {
	spec, err := d.blobs.Head(n)
	if err == nil {
		err = d.blobs.Verify(n, spec)
	}
	if err != nil && !errors.Is(err, shard.ErrDamaged) && !errors.Is(err, blob.ErrGone) {
		return fmt.Errorf("drive: look at blob %d: %w", n, err)
	}
	if err == nil {
		_, there, gerr := d.index.Get(spec.Shard)
		if gerr != nil {
			return gerr
		}
		if !there {
			d.log.Info("took in a blob that the log did not name", "blob", n, "shard", spec.Shard.String())
			return d.adopt(ctx, n, spec)
		}
	}
	d.log.Info("removed a blob that was never committed or is not needed", "blob", n)
	return d.blobs.Remove(n)
}

// adopt records a whole blob as a shard.
func (d *Drive) adopt(ctx context.Context, n uint64, spec node.Spec) error {
	h := shard.Header{Spec: spec, Blob: n}
	payload := make([]byte, shard.HeaderLen)
	h.Encode(payload)
	err := d.append(ctx, kindShard, [][]byte{payload}, func(op *index.Op) {
		op.Kind, op.Shard = index.Put, h
	}, nil)
	if err != nil && kind.Of(err) == kind.Unknown {
		return fmt.Errorf("drive: take in blob %d: %w", n, err)
	}
	return err
}
