package seal

import (
	"errors"
	"fmt"
	"io"
)

// ErrLongSource is returned when a source has more bytes than were announced.
var ErrLongSource = errors.New("seal: the source is longer than announced")

// maxEmptyReads bounds how often a source may return nothing before it counts as broken.
const maxEmptyReads = 100

// sealReader yields the ciphertext of a stream.
type sealReader struct {
	c       *chunks
	src     io.Reader
	next    int64  // chunk to be sealed next
	staging []byte // made on the first read into less than a chunk
	pending []byte // sealed and not yet returned, in staging
	err     error
}

// NewSealReader returns the ciphertext of size plaintext bytes from src, SealedLen(size) bytes. A
// Read with room for whole chunks fills it: plaintext is read straight into p and sealed there.
// The final chunk is sealed only after src said io.EOF; a src that is too short gives
// io.ErrUnexpectedEOF, one that is too long ErrLongSource, and its own errors come through, so in all
// these cases the stream stays without its end. The data key must be fresh: see DataKey.
func NewSealReader(k *DataKey, stream [16]byte, src io.Reader, size int64) io.Reader {
	c, err := newChunks(k, stream, size)
	if err == nil {
		err = k.spend(stream)
	}
	return &sealReader{c: c, src: src, err: err}
}

func (r *sealReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(r.pending) > 0 {
			m := copy(p[n:], r.pending)
			r.pending = r.pending[m:]
			n += m
			continue
		}
		if r.err == nil && r.next > r.c.last {
			r.err = io.EOF
		}
		if r.err != nil {
			break
		}
		room := p[n:]
		want := r.c.plainLen(r.next) + Overhead
		if len(room) < want {
			if n > 0 {
				break // the caller may come back with room for a chunk
			}
			r.stage(want)
			continue
		}
		if r.err = r.sealNext(room[:want]); r.err == nil {
			n += want
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, r.err
}

// stage seals the next chunk into the staging buffer.
func (r *sealReader) stage(want int) {
	if r.staging == nil {
		r.staging = make([]byte, want) // chunks never grow
	}
	if r.err = r.sealNext(r.staging[:want]); r.err == nil {
		r.pending = r.staging[:want]
	}
}

// sealNext reads and seals the next chunk in buf, which is cleared on an error: plaintext never
// stays in a buffer that is bound for a disk.
func (r *sealReader) sealNext(buf []byte) error {
	plain := buf[:len(buf)-Overhead]
	got, err := io.ReadFull(r.src, plain)
	if err == nil && r.next == r.c.last {
		err = r.expectEOF()
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		clear(plain[:got])
		return fmt.Errorf("seal: read source: %w", err)
	}
	r.c.seal(r.next, buf)
	r.next++
	return nil
}

// expectEOF asks the source for its end: readers that verify a signature or a checksum do so there.
func (r *sealReader) expectEOF() error {
	var one [1]byte
	for range maxEmptyReads {
		n, err := r.src.Read(one[:])
		switch {
		case n > 0:
			return ErrLongSource
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}
