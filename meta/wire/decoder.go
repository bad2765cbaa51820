package wire

import (
	"encoding/binary"

	"holdfast/internal/id"
)

// decoder reads little-endian fields. After the first that is cut off, failed is set and all are zero.
type decoder struct {
	buf    []byte
	off    int
	failed bool
}

// openFrame checks the size and the version of a frame.
func openFrame(frame []byte) (decoder, error) {
	if len(frame) == 0 || len(frame) > maxFrame || frame[0] != version {
		return decoder{}, errFrame
	}
	return decoder{buf: frame, off: 1}, nil
}

// bytes returns the next n bytes, as a part of the frame.
func (d *decoder) bytes(n int) []byte {
	if d.failed || n < 0 || n > len(d.buf)-d.off {
		d.failed = true
		return nil
	}
	b := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

func (d *decoder) u8() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) drive() (drive id.Drive) {
	copy(drive[:], d.bytes(id.Size))
	return drive
}
