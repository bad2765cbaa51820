package log

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"holdfast/internal/vfs"
)

// window is how much of a segment a scan reads at a time.
const window = 1 << 20

// scanner walks over one segment.
type scanner struct {
	file vfs.File
	seed uint64
	id   uint64
	size int64 // of the file

	buf []byte
	off int64 // of buf in the file
}

// bytes returns up to n bytes at off, fewer at the end of the file. Valid until the next call.
func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= s.off && off+int64(n) <= s.off+int64(len(s.buf)) {
		return s.buf[off-s.off:][:n], nil
	}
	want := int(min(int64(max(n, window)), s.size-off))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf = s.buf[:want]
	s.off = off
	got, err := s.file.ReadAt(s.buf, off)
	s.buf = s.buf[:got]
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("log: read segment %d: %w", s.id, err)
	}
	return s.buf[:min(n, got)], nil
}

// record reads the record at off. A damaged one is an error that wraps ErrDamaged, together with
// the header if that much was whole.
func (s *scanner) record(off int64) (h header, payload []byte, err error) {
	b, err := s.bytes(off, headerLen)
	if err != nil {
		return h, nil, err
	}
	p := Pos{s.id, off}
	if h, err = decode(b, s.seed, p); err != nil {
		return header{}, nil, err
	}
	payload, err = s.bytes(off+headerLen, int(h.length))
	if err != nil {
		return h, nil, err
	}
	if len(payload) != int(h.length) || xxh3.Hash(payload) != h.payload {
		return h, nil, fmt.Errorf("%w: bad payload at %s", ErrDamaged, p)
	}
	return h, payload, nil
}

// find returns the first place in [off, limit) with a whole header that want accepts, or -1.
func (s *scanner) find(off, limit int64, want func(header) bool) (int64, error) {
	var mark [4]byte
	binary.LittleEndian.PutUint32(mark[:], magic)
	for off < limit && off+headerLen <= s.size {
		b, err := s.bytes(off, window)
		if err != nil {
			return -1, err
		}
		i := bytes.Index(b, mark[:])
		if i < 0 {
			if len(b) < window { // the end of the file
				return -1, nil
			}
			off += int64(len(b) - len(mark) + 1)
			continue
		}
		at := off + int64(i)
		off = at + 1
		if at >= limit {
			return -1, nil
		}
		if at%align != 0 {
			continue
		}
		head, err := s.bytes(at, headerLen)
		if err != nil {
			return -1, err
		}
		if h, err := decode(head, s.seed, Pos{s.id, at}); err == nil && want(h) {
			return at, nil
		}
	}
	return -1, nil
}

// leftover returns the end of the last whole header in [off, limit), or off.
func (s *scanner) leftover(off, limit int64) (int64, error) {
	end := off
	for {
		at, err := s.find(end, limit, func(header) bool { return true })
		if err != nil || at < 0 {
			return end, err
		}
		end = at + headerLen
	}
}
