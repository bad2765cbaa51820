package seal

import (
	"fmt"
	"io"

	"holdfast/internal/kind"
)

// Opener takes the ciphertext that Locate named, in order and in pieces of any size, and writes the
// plaintext of the range. What it writes is authentic: a chunk is opened whole before a byte of it
// leaves, at the place in the stream where the metadata says that it is, the final one included.
type Opener struct {
	c       *chunks
	out     io.Writer
	next    int64 // chunk expected next
	end     int64 // first chunk not expected
	skip    int   // plaintext bytes of the next chunk before the range
	left    int64 // plaintext bytes of the range not yet written
	staging []byte
	staged  int // bytes of the next chunk in staging
	err     error
}

// NewOpener opens the plaintext range [off, off+n) of a stream of size plaintext bytes and writes it
// to out, at most ChunkSize bytes a Write. Errors of k or the range come from Write and Close.
func NewOpener(k *DataKey, stream [16]byte, size, off, n int64, out io.Writer) *Opener {
	o := &Opener{out: out, left: n}
	if !validRange(off, n, size) {
		o.err = fmt.Errorf("seal: range %d+%d of a stream of %d bytes", off, n, size)
		return o
	}
	if o.c, o.err = newChunks(k, stream, size); o.err != nil {
		return o
	}
	_, length, first, skip := Locate(off, n, size)
	o.next, o.end, o.skip = first, first, int(skip)
	if length > 0 {
		o.end = lastChunk(off+n) + 1
	}
	return o
}

// Write takes the next ciphertext. Whole chunks in b are opened in place, so b changes; b is not
// kept. After an error every call returns it.
func (o *Opener) Write(b []byte) error {
	for len(b) > 0 && o.err == nil {
		if o.next >= o.end {
			o.err = kind.New(kind.Damaged, "seal: more ciphertext than the range has")
			break
		}
		want := o.c.plainLen(o.next) + Overhead
		if o.staged == 0 && len(b) >= want {
			o.emit(b[:want])
			b = b[want:]
			continue
		}
		if o.staging == nil {
			o.staging = make([]byte, want) // chunks never grow
		}
		n := copy(o.staging[o.staged:want], b)
		o.staged += n
		b = b[n:]
		if o.staged == want {
			o.staged = 0
			o.emit(o.staging[:want])
		}
	}
	return o.err
}

// emit opens the next chunk and writes what the range has of it.
func (o *Opener) emit(chunk []byte) {
	plain, err := o.c.open(o.next, chunk)
	if err != nil {
		o.err = err
		return
	}
	o.next++
	plain = plain[o.skip:]
	o.skip = 0
	plain = plain[:min(int64(len(plain)), o.left)]
	o.left -= int64(len(plain))
	if len(plain) == 0 {
		return
	}
	n, err := o.out.Write(plain)
	if err == nil && n < len(plain) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.err = fmt.Errorf("seal: write plaintext: %w", err)
	}
}

// Close reports whether the whole range was written.
func (o *Opener) Close() error {
	if o.err == nil && o.next < o.end {
		o.err = kind.New(kind.Damaged, "seal: the ciphertext ends in or before chunk %d", o.next)
	}
	return o.err
}
