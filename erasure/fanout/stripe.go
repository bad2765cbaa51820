package fanout

import (
	"io"

	"holdfast/node"
)

// stripe is the buffers of one stripe of a write.
type stripe struct {
	n       int // number of the stripe they hold
	dataLen int // bytes of data, without padding
	size    int // of each block
	count   int // of blocks
	bufs    [node.MaxShards]*block
	slices  [node.MaxShards][]byte // bufs cut to size
}

func (f *Fanout) newStripe(count, class int) *stripe {
	s := f.shells.Get().(*stripe)
	s.count = count
	for i := range count {
		s.bufs[i] = f.blocks.get(class)
	}
	return s
}

func (f *Fanout) freeStripe(s *stripe) {
	for i := range s.count {
		f.blocks.put(s.bufs[i])
		s.bufs[i], s.slices[i] = nil, nil
	}
	f.shells.Put(s)
}

// begin cuts the blocks for stripe n.
func (s *stripe) begin(n, dataLen, size int) {
	s.n, s.dataLen, s.size = n, dataLen, size
	for i := range s.count {
		s.slices[i] = s.bufs[i].buf[:size]
	}
}

func (s *stripe) blocks() [][]byte { return s.slices[:s.count] }

// data is the part of data block i that is not padding.
func (s *stripe) data(i int) []byte {
	left := s.dataLen - i*s.size
	return s.slices[i][:max(0, min(s.size, left))]
}

// fill reads the data into the k data blocks and zeroes the padding. filled is told of each block.
func (s *stripe) fill(src io.Reader, k int, filled func(bytes int)) error {
	first := s.bufs[0].buf
	if k > 1 && s.dataLen <= cap(first)-node.BlockTrailer {
		// A short stripe is read in one piece, for a sealing reader needs room for whole chunks to
		// work in place; then it is dealt out.
		whole := first[:s.dataLen]
		if err := readFull(src, whole); err != nil {
			return err
		}
		for i := 1; i < k; i++ {
			from := min(i*s.size, s.dataLen)
			n := copy(s.slices[i], whole[from:])
			clear(s.slices[i][n:])
		}
		filled(s.dataLen)
		return nil
	}
	for i := range k {
		data := s.data(i)
		if err := readFull(src, data); err != nil {
			return err
		}
		clear(s.slices[i][len(data):])
		if len(data) > 0 {
			filled(len(data))
		}
	}
	return nil
}

// readFull is io.ReadFull, but an error that comes with the last bytes counts: a body whose
// signature or checksum turns out wrong at its end must not be stored.
func readFull(src io.Reader, p []byte) error {
	for len(p) > 0 {
		n, err := src.Read(p)
		if n < 0 || n > len(p) {
			panic("fanout: a reader returned an impossible count")
		}
		p = p[n:]
		switch {
		case err == nil:
		case err != io.EOF:
			return err
		case len(p) > 0:
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}
