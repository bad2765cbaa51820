package object

import (
	"context"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// Put stores one object; doc.go tells the way.
func (e *Engine) Put(ctx context.Context, r PutRequest) (PutResult, error) {
	if r.Size > MaxPutSize {
		return PutResult{}, kind.New(kind.EntityTooLarge, "Your proposed upload exceeds the maximum allowed size")
	}
	t, err := e.target(ctx, r.Bucket, r.Key)
	if err != nil {
		return PutResult{}, err
	}
	version, err := id.Random[id.Version](e.cfg.Rand)
	if err != nil {
		return PutResult{}, err
	}
	objectKey, envelope, err := e.newEnvelope(ctx, sealing{r.Customer, r.SSE}, t, version)
	if err != nil {
		return PutResult{}, err
	}
	defer objectKey.Zero()
	s, err := e.store(ctx, content{group: t.group, number: 1, body: r.Body, size: r.Size,
		contentMD5: r.ContentMD5, checksum: r.Checksum, objectKey: objectKey, showMD5: showsMD5(envelope)})
	if err != nil {
		return PutResult{}, err
	}
	m := newManifest(version, r.Attributes, s.part)
	m.Envelope = envelope
	if err := e.objectChecksum(m, s.sum, objectKey); err != nil {
		e.discard(ctx, s.part)
		return PutResult{}, err
	}
	return e.publish(ctx, t, m, &metapb.PutVersion{Condition: r.Condition.proto(), Versioning: t.versioning}, s.sum)
}

// newManifest describes an object of one part.
func newManifest(version id.Version, a Attributes, p *metapb.Part) *metapb.Manifest {
	return &metapb.Manifest{
		VersionId: version[:], NullVersion: true, Size: p.Size, Etag: p.Etag, ModifiedMs: p.ModifiedMs,
		Parts: []*metapb.Part{p}, Headers: a.Headers, Metadata: a.Metadata, StorageClass: a.StorageClass, Tags: a.Tags,
		Retention: a.Retention.proto(), LegalHold: a.LegalHold, Owner: a.Owner, Acl: a.ACL,
	}
}

// objectChecksum moves the only part's checksum to the object: it is one and the same, but
// sealed under the object's key, so that it is read without opening the part's.
func (e *Engine) objectChecksum(m *metapb.Manifest, sum []byte, key *seal.ObjectKey) error {
	if sum == nil {
		return nil
	}
	c := m.Parts[0].Checksum
	m.Parts[0].Checksum = nil
	if key != nil {
		sealed, err := key.SealSmall(checksumLabel, sum, e.cfg.Rand)
		if err != nil {
			return err
		}
		c.Sealed = sealed
	}
	m.Checksum = c
	return nil
}

// publish commits a version and deletes its new shards if it was refused.
func (e *Engine) publish(ctx context.Context, t target, m *metapb.Manifest, put *metapb.PutVersion, sum []byte) (PutResult, error) {
	put.Manifest = m
	cmd := e.command(t)
	cmd.Op = &metapb.Command_PutVersion{PutVersion: put}
	if _, err := e.commit(ctx, t, cmd); err != nil {
		if surely(err) && len(put.ShareFrom) == 0 {
			for _, p := range m.Parts {
				e.discard(ctx, p)
			}
		}
		return PutResult{}, err
	}
	out := putResult(m, sum)
	out.VersionID = newVersionText(m, t.versioning)
	return out, nil
}

func putResult(m *metapb.Manifest, sum []byte) PutResult {
	r := PutResult{SSE: sseOf(m.Envelope), ETag: m.Etag, Modified: modified(m.ModifiedMs), Size: int64(m.Size)}
	if sum != nil {
		r.Checksum = checksumValue(m.Checksum, sum)
	}
	return r
}

// modified is a Last-Modified in whole seconds, as HTTP has it.
func modified(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func (c Condition) proto() *metapb.Condition {
	if c == (Condition{}) {
		return nil
	}
	p := &metapb.Condition{IfMatch: c.IfMatch, IfNoneMatch: c.IfNoneMatch}
	if !c.IfLastModified.IsZero() {
		p.IfModifiedMs = c.IfLastModified.UnixMilli()
	}
	if c.IfSize != nil {
		p.IfSize = *c.IfSize + 1
	}
	return p
}
