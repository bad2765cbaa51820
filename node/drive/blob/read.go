package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"holdfast/internal/vfs"
	"holdfast/node"
	"holdfast/node/drive/shard"
)

// ErrGone: there is no file of that number (any more).
var ErrGone = errors.New("blob: no such file")

// ReadBlock reads bytes [off, off+len(dst)) of block n, after the whole block was verified.
func (s *Store) ReadBlock(number uint64, spec node.Spec, n, off int, dst []byte) error {
	h, err := s.acquire(number)
	if err != nil {
		return err
	}
	defer s.handles.release(h)
	size := spec.BlockSize(n)
	if len(dst) == size { // straight into the caller's buffer
		var trailer [shard.TrailerLen]byte
		if err := readVec(h.file, [][]byte{dst, trailer[:]}, slotAt(spec, n)); err != nil {
			return err
		}
		return shard.Open(trailer[:], spec, n, dst)
	}
	buf := s.buffer(size)
	defer s.buffers.Put(buf)
	b := (*buf)[:size+shard.TrailerLen]
	if err := readVec(h.file, [][]byte{b}, slotAt(spec, n)); err != nil {
		return err
	}
	if err := shard.Open(b[size:], spec, n, b[:size]); err != nil {
		return err
	}
	copy(dst, b[off:])
	return nil
}

func (s *Store) acquire(number uint64) (*handle, error) {
	h, err := s.handles.acquire(number)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %d", ErrGone, number)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: open %d: %w", number, err)
	}
	return h, nil
}

// readVec fills bufs; a file that is too short is damaged.
func readVec(f vfs.File, bufs [][]byte, off int64) error {
	_, err := f.ReadVec(bufs, off)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: file too short", shard.ErrDamaged)
	}
	if err != nil {
		return fmt.Errorf("blob: read: %w", err)
	}
	return nil
}

// Head reads and checks the header of a file.
func (s *Store) Head(number uint64) (node.Spec, error) {
	h, err := s.acquire(number)
	if err != nil {
		return node.Spec{}, err
	}
	defer s.handles.release(h)
	buf := s.buffer(page)
	defer s.buffers.Put(buf)
	b := (*buf)[:page]
	if err := readVec(h.file, [][]byte{b}, 0); err != nil {
		return node.Spec{}, err
	}
	head, err := shard.DecodeHeader(b)
	if err != nil {
		return node.Spec{}, err
	}
	if head.Blob != number || !head.Origin.IsZero() || !isZero(b[shard.HeaderLen:]) {
		return node.Spec{}, fmt.Errorf("%w: head of file %d", shard.ErrDamaged, number)
	}
	return head.Spec, nil
}

// Verify reads the whole file and checks every byte of it.
func (s *Store) Verify(number uint64, spec node.Spec) error {
	got, err := s.Head(number)
	if err != nil {
		return err
	}
	if got != spec {
		return fmt.Errorf("%w: file %d holds %s", shard.ErrDamaged, number, got.Shard)
	}
	h, err := s.acquire(number)
	if err != nil {
		return err
	}
	defer s.handles.release(h)
	buf := s.buffer(int(spec.BlockLen))
	defer s.buffers.Put(buf)
	for n := range spec.Blocks() {
		size := spec.BlockSize(n)
		b := (*buf)[:slotLen(size)]
		if err := readVec(h.file, [][]byte{b}, slotAt(spec, n)); err != nil {
			return err
		}
		if err := shard.Open(b[size:], spec, n, b[:size]); err != nil {
			return err
		}
		if !isZero(b[size+shard.TrailerLen:]) {
			return fmt.Errorf("%w: bytes behind block %d of %s", shard.ErrDamaged, n, spec.Shard)
		}
	}
	return nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
