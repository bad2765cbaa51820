package log

import (
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// SegmentInfo describes a segment. Bytes is what it holds; for sealed segments found on Open it
// is the length of the file, which may be a record more.
type SegmentInfo struct {
	ID     uint64
	Bytes  int64
	Sealed bool
}

// Segments lists the segments in ascending order.
func (l *Log) Segments() []SegmentInfo { return l.files.list() }

// Read returns the record at p, verified. The payload lies in dst if its capacity suffices.
func (l *Log) Read(p Pos, dst []byte) (kind uint8, payload []byte, err error) {
	s, err := l.files.acquire(p.Segment)
	if err != nil {
		return 0, nil, err
	}
	defer l.files.release(s)
	var head [headerLen]byte
	if err := readFull(s, head[:], p.Offset); err != nil {
		return 0, nil, err
	}
	h, err := decode(head[:], l.seed, p)
	if err != nil {
		return 0, nil, err
	}
	if h.form != formData {
		return 0, nil, fmt.Errorf("%w: no data record at %s", ErrDamaged, p)
	}
	if cap(dst) < int(h.length) {
		dst = make([]byte, h.length)
	}
	dst = dst[:h.length]
	if err := readFull(s, dst, p.Offset+headerLen); err != nil {
		return 0, nil, err
	}
	if xxh3.Hash(dst) != h.payload {
		return 0, nil, fmt.Errorf("%w: bad payload at %s", ErrDamaged, p)
	}
	return h.kind, dst, nil
}

// ReadPart fills the buffers, one after the other, with the payload's bytes from off on, without
// checking anything: for callers whose payload holds checksums of its own.
func (l *Log) ReadPart(p Pos, off int64, bufs ...[]byte) error {
	s, err := l.files.acquire(p.Segment)
	if err != nil {
		return err
	}
	defer l.files.release(s)
	_, err = s.file.ReadVec(bufs, p.Offset+headerLen+off)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: segment %d ends early", ErrDamaged, s.id)
	}
	if err != nil {
		return fmt.Errorf("log: read segment %d: %w", s.id, err)
	}
	return nil
}

func readFull(s *segment, dst []byte, off int64) error {
	n, err := s.file.ReadAt(dst, off)
	if n == len(dst) {
		return nil
	}
	if err == io.EOF {
		return fmt.Errorf("%w: segment %d ends at %d", ErrDamaged, s.id, off+int64(n))
	}
	return fmt.Errorf("log: read segment %d: %w", s.id, err)
}

// RemoveBefore deletes the sealed segments below segment. Durable before it returns.
func (l *Log) RemoveBefore(segment uint64) error {
	return l.remove(func(id uint64) bool { return id < segment })
}

// Remove deletes one sealed segment (Config.Gaps). Durable before it returns.
func (l *Log) Remove(segment uint64) error {
	return l.remove(func(id uint64) bool { return id == segment })
}

func (l *Log) remove(pick func(uint64) bool) error {
	n, err := l.files.remove(pick)
	if err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {
		return l.fail(fmt.Errorf("log: sync %s: %w", l.cfg.Dir, err))
	}
	return nil
}

// Scan calls visit with each whole record of a sealed segment in order; the payload is valid during
// the call. Damaged records are left out.
func (l *Log) Scan(segment uint64, visit func(p Pos, kind uint8, payload []byte) error) error {
	seg, err := l.files.acquire(segment)
	if err != nil {
		return err
	}
	defer l.files.release(seg)
	size, err := seg.file.Size()
	if err != nil {
		return fmt.Errorf("log: size of segment %d: %w", segment, err)
	}
	s := &scanner{file: seg.file, seed: l.seed, id: segment, size: size}
	for off := int64(0); off >= 0; {
		h, payload, err := s.record(off)
		switch {
		case err == nil && h.form == formData:
			if err := visit(Pos{segment, off}, h.kind, payload); err != nil {
				return err
			}
		case err == nil && h.form == formEnd:
			return nil
		case err != nil && !errors.Is(err, ErrDamaged):
			return err
		}
		if h.sum != 0 {
			off += h.size()
			continue
		}
		if off, err = s.find(off+align, s.size, func(h header) bool { return h.form != formMark }); err != nil {
			return err
		}
	}
	return nil
}
