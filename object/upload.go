package object

import (
	"context"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// CreateUpload begins a multipart upload and returns its ID. The object to be has it as its version ID,
// which is needed now, because the parts' keys are wrapped for it, and later by a client that asks
// again what became of its completion.
func (e *Engine) CreateUpload(ctx context.Context, r CreateUploadRequest) (UploadInfo, error) {
	t, err := e.target(ctx, r.Bucket, r.Key)
	if err != nil {
		return UploadInfo{}, err
	}
	upload, err := id.Random[id.Upload](e.cfg.Rand)
	if err != nil {
		return UploadInfo{}, err
	}
	version := id.Version(upload)
	key, envelope, err := e.newEnvelope(ctx, sealing{r.Customer, r.SSE}, t, version)
	if err != nil {
		return UploadInfo{}, err
	}
	key.Zero()
	u := &metapb.Upload{
		UploadId: upload[:], VersionId: version[:], Envelope: envelope, InitiatedMs: e.cfg.Now().UnixMilli(),
		Headers: r.Headers, Metadata: r.Metadata, StorageClass: r.StorageClass, Tags: r.Tags,
		ChecksumAlgorithm: r.ChecksumAlgorithm, ChecksumType: r.ChecksumType,
		Retention: r.Retention.proto(), LegalHold: r.LegalHold, Owner: r.Owner, Acl: r.ACL, Initiator: r.Initiator,
	}
	cmd := e.command(t)
	cmd.Op = &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: u}}
	if _, err := e.commit(ctx, t, cmd); err != nil {
		return UploadInfo{}, err
	}
	return uploadInfo(r.Bucket, r.Key, u), nil
}

func uploadInfo(bucket, key string, u *metapb.Upload) UploadInfo {
	up, _ := id.FromBytes[id.Upload](u.UploadId)
	return UploadInfo{
		Bucket: bucket, Key: key, UploadID: up.String(), Initiated: modified(u.InitiatedMs), StorageClass: u.StorageClass,
		Owner: u.Owner, Initiator: u.Initiator, Sealed: sealedByCustomer(u.Envelope), SSE: sseOf(u.Envelope), ChecksumAlgorithm: u.ChecksumAlgorithm, ChecksumType: u.ChecksumType,
	}
}

func errNoSuchUpload() error {
	return kind.New(kind.NoSuchUpload, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
}

// upload finds an upload. Parts named by numbers come with it, all of them for a nil list and
// withParts.
func (e *Engine) upload(ctx context.Context, bucket, key, uploadID string, withParts bool, numbers []uint32) (target, *metapb.Upload, []*metapb.Part, error) {
	t, err := e.target(ctx, bucket, key)
	if err != nil {
		return t, nil, nil, err
	}
	up, err := id.Parse[id.Upload](uploadID)
	if err != nil {
		return t, nil, nil, errNoSuchUpload()
	}
	a, err := e.cfg.Metadata.Ask(ctx, t.group, &metapb.Query{Bucket: t.bucket[:], Key: key, Op: &metapb.Query_GetUpload{
		GetUpload: &metapb.GetUpload{UploadId: up[:], WithParts: withParts, PartNumbers: numbers}}})
	if err != nil {
		return t, nil, nil, err
	}
	if a.Upload == nil {
		return t, nil, nil, errNoSuchUpload()
	}
	return t, a.Upload, a.Parts, nil
}

// PutPart stores one attempt of a part; the last one counts.
func (e *Engine) PutPart(ctx context.Context, r PartRequest) (PartInfo, error) {
	if r.Number < 1 || r.Number > MaxParts {
		return PartInfo{}, kind.New(kind.InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive")
	}
	if r.Size > MaxPutSize {
		return PartInfo{}, kind.New(kind.EntityTooLarge, "Your proposed upload exceeds the maximum allowed size")
	}
	t, u, _, err := e.upload(ctx, r.Bucket, r.Key, r.UploadID, false, nil)
	if err != nil {
		return PartInfo{}, err
	}
	if r.Checksum, err = partChecksum(u, r.Checksum); err != nil {
		return PartInfo{}, err
	}
	key, err := e.unlockUpload(ctx, u, r.Customer, t)
	if err != nil {
		return PartInfo{}, err
	}
	defer key.Zero()
	s, err := e.store(ctx, content{group: t.group, number: uint32(r.Number), body: r.Body, size: r.Size,
		contentMD5: r.ContentMD5, checksum: r.Checksum, objectKey: key, showMD5: showsMD5(u.Envelope)})
	if err != nil {
		return PartInfo{}, err
	}
	cmd := e.command(t)
	cmd.Op = &metapb.Command_PutPart{PutPart: &metapb.PutPart{UploadId: u.UploadId, Part: s.part}}
	if _, err := e.commit(ctx, t, cmd); err != nil {
		if surely(err) {
			e.discard(ctx, s.part)
		}
		return PartInfo{}, err
	}
	info := partInfo(s.part, s.sum)
	info.SSE = sseOf(u.Envelope)
	return info, nil
}

// partChecksum settles the checksum of a part: the upload's algorithm holds for all of them.
func partChecksum(u *metapb.Upload, c *Checksum) (*Checksum, error) {
	switch {
	case u.ChecksumAlgorithm == metapb.Checksum_NONE:
		return c, nil
	case c == nil:
		return askFor(u.ChecksumAlgorithm), nil
	case c.Algorithm != u.ChecksumAlgorithm:
		return nil, kind.New(kind.InvalidRequest, "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", u.ChecksumAlgorithm, c.Algorithm)
	}
	return c, nil
}

func partInfo(p *metapb.Part, sum []byte) PartInfo {
	i := PartInfo{Number: int(p.Number), ETag: p.Etag, Size: int64(p.Size), Modified: modified(p.ModifiedMs)}
	if sum != nil {
		i.Checksum = checksumValue(p.Checksum, sum)
	}
	return i
}

// CopyPart stores a part from another object.
func (e *Engine) CopyPart(ctx context.Context, r PartCopyRequest) (PartInfo, error) {
	src, err := e.find(ctx, r.Source.Bucket, r.Source.Key, r.Source.VersionID, r.Source.Customer, &metapb.GetVersion{})
	if err != nil {
		return PartInfo{}, err
	}
	defer src.key.Zero()
	if err := r.Source.Condition.checkSource(src.Info); err != nil {
		return PartInfo{}, err
	}
	first, length := int64(0), src.Size
	if rg := r.Source.Range; rg != nil {
		if rg.First < 0 || rg.Last < rg.First || rg.Last >= src.Size {
			return PartInfo{}, kind.New(kind.InvalidArgument, "Range specified is not valid for source object of size: %d", src.Size)
		}
		first, length = rg.First, rg.Last-rg.First+1
	}
	body := e.pipe(ctx, src, first, length)
	defer body.Close()
	return e.PutPart(ctx, PartRequest{Bucket: r.Bucket, Key: r.Key, UploadID: r.UploadID, Number: r.Number,
		Body: body, Size: length, Customer: r.Customer})
}

// AbortUpload drops an upload and its parts.
func (e *Engine) AbortUpload(ctx context.Context, bucket, key, uploadID string) error {
	t, u, _, err := e.upload(ctx, bucket, key, uploadID, false, nil)
	if err != nil {
		return err
	}
	cmd := e.command(t)
	cmd.Op = &metapb.Command_AbortUpload{AbortUpload: &metapb.AbortUpload{UploadId: u.UploadId}}
	_, err = e.commit(ctx, t, cmd)
	return err
}

// ListParts returns a page of an upload's parts after a number. Checksums of an upload with SSE-C are
// not shown: that would need its key.
func (e *Engine) ListParts(ctx context.Context, bucket, key, uploadID string, after, limit int) (PartsPage, error) {
	t, u, _, err := e.upload(ctx, bucket, key, uploadID, false, nil)
	if err != nil {
		return PartsPage{}, err
	}
	a, err := e.cfg.Metadata.Ask(ctx, t.group, &metapb.Query{Bucket: t.bucket[:], Key: key, Op: &metapb.Query_ListParts{
		ListParts: &metapb.ListParts{UploadId: u.UploadId, After: uint32(after), Limit: uint32(limit)}}})
	if err != nil {
		return PartsPage{}, err
	}
	var opened *seal.ObjectKey
	if u.Envelope.GetMethod() != 0 && u.ChecksumAlgorithm != metapb.Checksum_NONE {
		if opened, err = e.unlock(ctx, u.Envelope, nil, t, u.VersionId); err != nil {
			return PartsPage{}, err
		}
		defer opened.Zero()
	}
	page := PartsPage{UploadInfo: uploadInfo(bucket, key, u), More: a.Truncated}
	for _, p := range a.Parts {
		sum, err := partSum(p, opened)
		if err != nil {
			return PartsPage{}, err
		}
		page.Parts = append(page.Parts, partInfo(p, sum))
	}
	return page, nil
}
