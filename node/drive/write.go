package drive

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/node/drive/blob"
	"holdfast/node/drive/index"
	"holdfast/node/drive/shard"
)

// Create implements node.Drive. Small shards are gathered in memory and go to the log in one
// record; large ones go to a file as they come.
func (d *Drive) Create(ctx context.Context, spec node.Spec) (node.Writer, error) {
	if err := shard.Check(spec); err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	if err := d.index.Admit(ctx); err != nil {
		return nil, d.answer(err)
	}
	if err := d.space.admit(blob.Size(spec)); err != nil {
		return nil, d.answer(err)
	}
	w := writer{d: d, spec: spec}
	if spec.Length >= uint64(d.cfg.BlobBytes) {
		file, err := d.blobs.Create(spec)
		if err != nil {
			return nil, d.answer(err)
		}
		return &blobWriter{writer: w, file: file}, nil
	}
	return &logWriter{writer: w, buf: d.buffers.get(loggedSize(spec))}, nil
}

// errEnded is returned by a Writer that was committed or aborted.
var errEnded = errors.New("drive: the shard was committed or aborted before")

// writer is what both kinds of Writer keep.
type writer struct {
	d     *Drive
	spec  node.Spec
	next  int // number of the next block
	ended bool
}

// check refuses a block that is not the next one.
func (w *writer) check(block []byte) error {
	if w.ended {
		return errEnded
	}
	if w.next >= w.spec.Blocks() {
		return fmt.Errorf("drive: block %d of %s, which has %d", w.next, w.spec.Shard, w.spec.Blocks())
	}
	if want := w.spec.BlockSize(w.next); len(block) != want {
		return fmt.Errorf("drive: block %d of %s has %d bytes, want %d", w.next, w.spec.Shard, len(block), want)
	}
	return nil
}

// end checks that the shard may be committed.
func (w *writer) end() error {
	if w.ended {
		return errEnded
	}
	if w.next != w.spec.Blocks() {
		return fmt.Errorf("drive: commit %s after %d of %d blocks", w.spec.Shard, w.next, w.spec.Blocks())
	}
	return nil
}

// commit writes the record that makes the shard visible.
func (w *writer) commit(ctx context.Context, h shard.Header, payload []byte, free func()) error {
	h.Encode(payload)
	err := w.d.append(ctx, kindShard, [][]byte{payload}, func(op *index.Op) {
		op.Kind, op.Shard = index.Put, h
	}, free)
	return w.d.answer(err)
}

// logWriter gathers a small shard.
type logWriter struct {
	writer
	buf *[]byte
}

func (w *logWriter) WriteBlock(_ context.Context, block []byte) error {
	if err := w.d.admit(); err != nil {
		return err
	}
	if err := w.check(block); err != nil {
		return err
	}
	at := (*w.buf)[blockAt(w.spec, w.next):]
	copy(at, block)
	shard.Seal(at[len(block):], w.spec, w.next, block)
	w.next++
	return nil
}

func (w *logWriter) Commit(ctx context.Context) error {
	if err := w.d.enter(); err != nil {
		return err
	}
	defer w.d.leave()
	if err := w.end(); err != nil {
		return err
	}
	w.ended = true
	d, buf := w.d, w.buf
	return w.commit(ctx, shard.Header{Spec: w.spec}, *buf, func() { d.buffers.put(buf) })
}

func (w *logWriter) Abort() {
	if !w.ended {
		w.ended = true
		w.d.buffers.put(w.buf)
	}
}

// blobWriter writes a large shard to its file.
type blobWriter struct {
	writer
	file *blob.Writer
}

func (w *blobWriter) WriteBlock(ctx context.Context, block []byte) error {
	if err := w.d.enter(); err != nil {
		return err
	}
	defer w.d.leave()
	if err := w.check(block); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return kind.Wrap(kind.Canceled, err, "drive: write %s", w.spec.Shard)
	}
	if err := w.file.WriteBlock(block); err != nil {
		return w.d.answer(err)
	}
	w.next++
	return nil
}

func (w *blobWriter) Commit(ctx context.Context) error {
	if err := w.d.enter(); err != nil {
		return err
	}
	defer w.d.leave()
	if err := w.end(); err != nil {
		return err
	}
	w.ended = true
	if err := w.file.Commit(); err != nil {
		return w.d.answer(err)
	}
	h := shard.Header{Spec: w.spec, Blob: w.file.Number()}
	return w.commit(ctx, h, make([]byte, shard.HeaderLen), nil)
}

func (w *blobWriter) Abort() {
	if !w.ended {
		w.ended = true
		w.file.Abort()
	}
}
