package object

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"holdfast/erasure"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// content is a body on its way into storage.
type content struct {
	group      uint32
	number     uint32 // of the part
	body       io.Reader
	size       int64 // plaintext bytes
	contentMD5 []byte
	checksum   *Checksum
	objectKey  *seal.ObjectKey // nil: plain
	showMD5    bool            // the ETag is the MD5 of the body
}

// stored is a body in storage: the part's record and, if it was asked for, the plain checksum.
type stored struct {
	part *metapb.Part
	sum  []byte // raw
}

// store reads a body into shards or, when small, into the record. On an error nothing is left.
func (e *Engine) store(ctx context.Context, c content) (stored, error) {
	w := writing{
		content: c,
		digests: newDigests(c.showMD5 || c.contentMD5 != nil, c.checksum),
		src:     &exactReader{src: c.body, left: c.size},
		part:    &metapb.Part{Number: c.number, Size: uint64(c.size), ModifiedMs: e.cfg.Now().UnixMilli()},
		length:  c.size,
	}
	if c.objectKey != nil {
		w.length = seal.SealedLen(c.size)
	}
	err := e.write(ctx, &w)
	if err == nil {
		err = w.finish(e.cfg.Rand)
	}
	w.dataKey.Zero()
	if err != nil {
		e.discard(ctx, w.part)
		return stored{}, err
	}
	return stored{part: w.part, sum: w.sum}, nil
}

// writing is the state of one store.
type writing struct {
	content
	digests *digests
	src     *exactReader
	dataKey *seal.DataKey
	part    *metapb.Part
	length  int64 // bytes to store: ciphertext of sealed, plaintext of plain bodies
	sum     []byte
}

func (e *Engine) write(ctx context.Context, w *writing) error {
	if w.length <= int64(e.cfg.InlineLimit) {
		if w.length > 0 && e.cfg.Placer.Full() {
			return kind.New(kind.Full, "a drive has reached its reserve: delete objects or add space")
		}
		stream, err := id.Random[id.Data](e.cfg.Rand)
		if err != nil {
			return err
		}
		return e.writeInline(w, stream)
	}
	data, err := id.NewData(w.group, e.cfg.Rand)
	if err != nil {
		return err
	}
	return e.writeShards(ctx, w, data)
}

// open draws the part's data key and binds it to the stream.
func (w *writing) open(stream [16]byte, rand io.Reader) error {
	w.part.StreamId = stream[:]
	if w.objectKey == nil {
		return nil
	}
	var err error
	w.dataKey, w.part.WrappedKey, err = w.objectKey.NewDataKey(w.number, stream, rand)
	return err
}

func (e *Engine) writeInline(w *writing, stream [16]byte) error {
	if err := w.open(stream, e.cfg.Rand); err != nil {
		return err
	}
	plain := make([]byte, w.size, max(w.length, 1))
	if _, err := io.ReadFull(w.src, plain); err != nil {
		return bodyError(err)
	}
	if w.size == 0 {
		if err := w.src.finish(); err != nil {
			return bodyError(err)
		}
	}
	if w.digests != nil {
		w.digests.write(plain)
	}
	w.part.Inline = plain
	if w.dataKey != nil {
		var err error
		if w.part.Inline, err = seal.SealBytes(w.dataKey, stream, plain); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) writeShards(ctx context.Context, w *writing, data id.Data) error {
	if err := w.open(data, e.cfg.Rand); err != nil {
		return err
	}
	scheme := e.cfg.Scheme
	shards := scheme.K + scheme.M
	chosen, spares := e.cfg.Placer.Place(data, shards)
	spec := fanout.PutSpec{
		Data: data, Scheme: scheme, BlockLen: erasure.BlockLen(scheme.K), Length: w.length,
		Drives: chosen, Spares: spares, Margin: min(1, scheme.M),
	}
	var src io.Reader = w.src
	switch {
	case w.dataKey != nil:
		// The plaintext is gone after sealing in place, so digests see it on its way in.
		if w.digests != nil {
			w.src.seen = w.digests.write
		}
		src = seal.NewSealReader(w.dataKey, data, w.src, w.size)
	case w.digests != nil:
		// Plain blocks stay as they are: MD5, the slowest step, runs beside encoding and writing.
		spec.Inspect = w.digests.write
	}
	drives, err := e.cfg.Shards.Put(ctx, spec, src)
	if err != nil {
		if w.src.err != nil {
			return bodyError(w.src.err)
		}
		return err
	}
	w.part.DataId = data[:]
	w.part.Placement = &metapb.Placement{
		Layout: erasure.Layout{Scheme: scheme, BlockLen: spec.BlockLen, Length: w.length}.Proto(),
		Drives: driveBytes(drives),
	}
	return nil
}

// finish checks the digests and writes ETag and checksum into the part.
func (w *writing) finish(rand io.Reader) error {
	md5sum, sum, err := w.digests.check(w.contentMD5, w.checksum)
	if err != nil {
		return err
	}
	w.sum = sum
	if w.showMD5 {
		w.part.Etag = hex.EncodeToString(md5sum)
	} else if w.part.Etag, err = randomETag(rand); err != nil {
		return err
	}
	if sum == nil {
		return nil
	}
	w.part.Checksum = &metapb.Checksum{Algorithm: w.checksum.Algorithm, Type: metapb.Checksum_FULL_OBJECT, Value: sum}
	if w.dataKey != nil {
		w.part.Checksum.Value = nil
		w.part.Checksum.Sealed, err = w.dataKey.SealSmall(checksumLabel, sum, rand)
	}
	return err
}

// checksumLabel separates sealed checksums from whatever else may be sealed under a key.
const checksumLabel = "checksum"

// randomETag is the ETag of a sealed object: it says nothing about the plaintext.
func randomETag(rand io.Reader) (string, error) {
	v, err := id.Random[id.Version](rand)
	return v.String(), err
}

// discard deletes the shards of a part that no version will name.
func (e *Engine) discard(ctx context.Context, p *metapb.Part) {
	if p == nil || p.Placement == nil {
		return
	}
	ref, err := refOf(p)
	if err != nil {
		e.cfg.Logger.Warn("shards of a failed write cannot be deleted; the orphan sweep will", "data", fmt.Sprintf("%x", p.DataId), "error", err)
		return
	}
	e.cfg.Shards.Discard(ctx, ref.Data, ref.Drives)
}

// driveBytes is drives as stored: an empty one is a shard that is missing.
func driveBytes(drives []id.Drive) [][]byte {
	out := make([][]byte, len(drives))
	for i := range drives {
		if !drives[i].IsZero() {
			out[i] = drives[i][:]
		}
	}
	return out
}

// bodyError tells a body that ended early from one whose reader had another reason.
func bodyError(err error) error {
	switch {
	case kind.Of(err) != kind.Unknown:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return kind.Wrap(kind.IncompleteBody, err, "You did not provide the number of bytes specified by the Content-Length HTTP header")
	case errors.Is(err, context.Canceled):
		return kind.Wrap(kind.Canceled, err, "the client went away")
	}
	return kind.Wrap(kind.IncompleteBody, err, "The request body could not be read to its end")
}

// exactReader yields exactly left bytes of src, then asks src for its end before it hands out the
// last of them: readers that verify signatures and digests report there, and a caller which
// reads a known length would not ask. A failure sticks in err.
type exactReader struct {
	src  io.Reader
	left int64
	seen func([]byte) // told all bytes in order; may be nil
	err  error
}

func (r *exactReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.src.Read(p)
	r.left -= int64(n)
	if n > 0 && r.seen != nil {
		r.seen(p[:n])
	}
	switch {
	case r.left == 0 && (err == nil || errors.Is(err, io.EOF)):
		if err == nil {
			err = r.finish()
		} else {
			err = nil
		}
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		r.err = err
		return 0, err
	}
	return n, nil
}

// finish asks src for its end.
func (r *exactReader) finish() error {
	var one [1]byte
	switch n, err := r.src.Read(one[:]); {
	case n > 0:
		return kind.New(kind.InvalidRequest, "The body is longer than its declared length")
	case err == nil || errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}
