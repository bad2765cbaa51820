package object

import (
	"context"
	"io"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// Copy copies an object. Onto itself, with data that need not change (new metadata, or a new
// customer key for a sealed object), it makes a version that shares the data: a rewrap reads and
// writes no data byte.
func (e *Engine) Copy(ctx context.Context, r CopyRequest) (PutResult, error) {
	for try := 1; ; try++ {
		res, err := e.copyOnce(ctx, r)
		if !kind.Is(err, kind.Conflict) || try == commitTries {
			return res, err
		}
	}
}

func (e *Engine) copyOnce(ctx context.Context, r CopyRequest) (PutResult, error) {
	src, err := e.find(ctx, r.Source.Bucket, r.Source.Key, r.Source.VersionID, r.Source.Customer, &metapb.GetVersion{})
	if err != nil {
		return PutResult{}, err
	}
	defer src.key.Zero()
	if err := r.Source.Condition.checkSource(src.Info); err != nil {
		return PutResult{}, err
	}
	if !r.Replace {
		r.Headers, r.Metadata = src.Headers, src.Metadata
	}
	if !r.ReplaceTags {
		r.Tags = src.Tags
	}
	t, err := e.target(ctx, r.Bucket, r.Key)
	if err != nil {
		return PutResult{}, err
	}
	if r.sharesData(t, src) {
		return e.share(ctx, t, src, r)
	}
	return e.copyData(ctx, t, src, r)
}

func (r CopyRequest) sealing() sealing { return sealing{r.Customer, r.SSE} }

// sharesData reports whether the copy can use the source's data as it is.
func (r CopyRequest) sharesData(t target, src found) bool {
	sameKey := t.bucket == src.bucket && t.key == src.target.key
	return sameKey && r.sealing().same(src.manifest.Envelope) && (r.ChecksumAlgorithm == metapb.Checksum_NONE || r.ChecksumAlgorithm == src.checksumAlgorithm())
}

func (f found) checksumAlgorithm() metapb.Checksum_Algorithm {
	return f.manifest.GetChecksum().GetAlgorithm()
}

// share commits a version with the source's parts. Only the envelope and the metadata are new.
func (e *Engine) share(ctx context.Context, t target, src found, r CopyRequest) (PutResult, error) {
	version, err := id.Random[id.Version](e.cfg.Rand)
	if err != nil {
		return PutResult{}, err
	}
	old := src.manifest
	m := newManifest(version, r.Attributes, old.Parts[0])
	m.Parts, m.Size, m.Etag, m.Multipart, m.Checksum = old.Parts, old.Size, old.Etag, old.Multipart, old.Checksum
	m.ModifiedMs = e.cfg.Now().UnixMilli()
	if src.key != nil {
		if m.Envelope, err = e.wrap(ctx, src.key, r.sealing(), t, version); err != nil {
			return PutResult{}, err
		}
	}
	res, err := e.publish(ctx, t, m, &metapb.PutVersion{Condition: r.Condition.proto(), Versioning: t.versioning, ShareFrom: old.VersionId}, nil)
	res.Checksum = src.Checksum
	return res, err
}

func (e *Engine) copyData(ctx context.Context, t target, src found, r CopyRequest) (PutResult, error) {
	if src.Size > MaxPutSize {
		return PutResult{}, kind.New(kind.InvalidRequest, "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(MaxPutSize))
	}
	algorithm := r.ChecksumAlgorithm
	if algorithm == metapb.Checksum_NONE {
		algorithm = src.checksumAlgorithm()
	}
	body := e.pipe(ctx, src, 0, src.Size)
	defer body.Close()
	return e.Put(ctx, PutRequest{Bucket: r.Bucket, Key: r.Key, Body: body, Size: src.Size, Customer: r.Customer, SSE: r.SSE,
		Condition: r.Condition, Attributes: r.Attributes, Checksum: askFor(algorithm)})
}

// askFor is a checksum without a claim.
func askFor(a metapb.Checksum_Algorithm) *Checksum {
	if a == metapb.Checksum_NONE {
		return nil
	}
	return &Checksum{Algorithm: a, Type: metapb.Checksum_FULL_OBJECT}
}

// pipe reads a range of an object as a stream. Close ends the goroutine behind it and waits for
// that, because the source's key is forgotten next.
func (e *Engine) pipe(ctx context.Context, src found, off, n int64) io.ReadCloser {
	r, w := io.Pipe()
	p := &sourcePipe{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer func() {
			if v := recover(); v != nil {
				w.CloseWithError(kind.New(kind.Unknown, "object: reading a copy's source panicked: %v", v))
			}
		}()
		_, err := e.stream(ctx, src, off, n, w)
		w.CloseWithError(err)
	}()
	return p
}

type sourcePipe struct {
	*io.PipeReader
	done chan struct{}
}

func (p *sourcePipe) Close() error {
	err := p.PipeReader.Close()
	<-p.done
	return err
}
