package blob

import (
	"fmt"

	"holdfast/node"
	"holdfast/node/drive/shard"
)

// slotLen is the room of a block of n bytes in the file.
func slotLen(n int) int64 { return (int64(n) + shard.TrailerLen + page - 1) / page * page }

// slotAt is where block n begins.
func slotAt(s node.Spec, n int) int64 { return page + int64(n)*slotLen(int(s.BlockLen)) }

// Size is the length of the file of a shard.
func Size(s node.Spec) int64 {
	n := s.Blocks()
	if n == 0 {
		return page
	}
	return slotAt(s, n-1) + slotLen(s.BlockSize(n-1))
}

// Writer writes one blob. It is used by one goroutine.
type Writer struct {
	store *Store
	spec  node.Spec
	file  spare
	next  int // number of the next block
}

// Create takes a file for a shard of at least one block.
func (s *Store) Create(spec node.Spec) (*Writer, error) {
	f, err := s.take()
	if err != nil {
		return nil, err
	}
	return &Writer{store: s, spec: spec, file: f}, nil
}

// Number is the file's number.
func (w *Writer) Number() uint64 { return w.file.number }

// WriteBlock writes the next block, whose length is right. The trailer room behind it is
// overwritten if the block is node.Aligned; else it is copied.
func (w *Writer) WriteBlock(block []byte) error {
	n, size := w.next, len(block)
	if !node.Aligned(block) {
		buf := w.store.buffer(size)
		defer w.store.buffers.Put(buf)
		copy((*buf)[:size], block)
		block = (*buf)[:size]
	}
	slot := block[:slotLen(size)]
	shard.Seal(slot[size:], w.spec, n, block)
	clear(slot[size+shard.TrailerLen:])
	var err error
	if n == 0 {
		err = w.first(slot)
	} else {
		_, err = w.file.file.WriteAt(slot, slotAt(w.spec, n))
	}
	if err != nil {
		return fmt.Errorf("blob: write block %d of %s: %w", n, w.spec.Shard, err)
	}
	w.next++
	return nil
}

// first writes the head together with block 0.
func (w *Writer) first(slot []byte) error {
	head, _ := w.store.pages.Get().(*[]byte)
	if head == nil {
		b := node.AllocBlock(page - node.BlockTrailer)[:page]
		head = &b
	}
	defer w.store.pages.Put(head)
	clear(*head)
	shard.Header{Spec: w.spec, Blob: w.file.number}.Encode(*head)
	_, err := w.file.file.WriteVec([][]byte{*head, slot}, 0)
	return err
}

// Commit makes the blob durable. Its name already is.
func (w *Writer) Commit() error {
	if err := w.file.file.Sync(); err != nil {
		w.file.file.Close()
		return &SyncError{fmt.Errorf("blob: sync %d: %w", w.file.number, err)}
	}
	return w.file.file.Close()
}

// Abort drops the file.
func (w *Writer) Abort() { w.store.drop(w.file) }

// buffer is a pooled aligned buffer with room for a block of n bytes and its trailer.
func (s *Store) buffer(n int) *[]byte {
	b, _ := s.buffers.Get().(*[]byte)
	if b == nil || cap(*b) < n+shard.TrailerLen {
		fresh := node.AllocBlock(n)
		b = &fresh
	}
	*b = (*b)[:cap(*b)]
	return b
}
