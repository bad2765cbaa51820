package object

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the ETag of a multipart object is made of MD5s by definition
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// CompleteUpload makes an object of the named parts. The state machine checks them again, by
// ETag and attempt, so that a part uploaded meanwhile cannot slip in.
func (e *Engine) CompleteUpload(ctx context.Context, r CompleteRequest) (PutResult, error) {
	for try := 1; ; try++ {
		res, err := e.completeOnce(ctx, r)
		if !kind.Is(err, kind.Conflict) || try == commitTries {
			return res, err
		}
	}
}

func (e *Engine) completeOnce(ctx context.Context, r CompleteRequest) (PutResult, error) {
	if len(r.Parts) == 0 || len(r.Parts) > MaxParts {
		return PutResult{}, kind.New(kind.InvalidPart, "An upload is completed with 1 to %d parts", MaxParts)
	}
	t, u, parts, err := e.upload(ctx, r.Bucket, r.Key, r.UploadID, true, nil)
	if kind.Is(err, kind.NoSuchUpload) {
		return e.completedBefore(ctx, t, r)
	}
	if err != nil {
		return PutResult{}, err
	}
	// Complete works without a customer's key; with one, it must be the right one.
	var key *seal.ObjectKey
	if r.Customer != nil || u.Envelope.GetMethod() != 0 {
		if key, err = e.unlockUpload(ctx, u, r.Customer, t); err != nil {
			return PutResult{}, err
		}
		defer key.Zero()
	}
	chosen, err := choose(parts, r.Parts)
	if err != nil {
		return PutResult{}, err
	}
	sums, err := partSums(u, chosen, r.Parts, key)
	if err != nil {
		return PutResult{}, err
	}
	complete := &metapb.CompleteUpload{
		UploadId: u.UploadId, VersionId: u.VersionId, MinPartSize: MinPartSize, Condition: r.Condition.proto(), Versioning: t.versioning, Parts: completeParts(chosen),
	}
	complete.ExpectSize = 1 + sizeOf(chosen)
	if r.ExpectSize != nil {
		complete.ExpectSize = 1 + *r.ExpectSize
	}
	if complete.Etag, err = multipartETag(chosen, !showsMD5(u.Envelope), e.cfg.Rand); err != nil {
		return PutResult{}, err
	}
	sum, err := e.uploadChecksum(u, chosen, sums, r.Checksum, key, complete)
	if err != nil {
		return PutResult{}, err
	}
	cmd := e.command(t)
	cmd.Op = &metapb.Command_CompleteUpload{CompleteUpload: complete}
	res, err := e.commit(ctx, t, cmd)
	if err != nil {
		return PutResult{}, err
	}
	out := PutResult{SSE: sseOf(u.Envelope), ETag: res.Manifest.GetEtag(), Modified: modified(res.Manifest.GetModifiedMs()), Size: int64(res.Manifest.GetSize()),
		VersionID: newVersionText(res.Manifest, t.versioning)}
	if sum != nil {
		out.Checksum = checksumValue(complete.Checksum, sum)
	}
	return out, nil
}

// choose finds the named parts and compares their ETags.
func choose(have []*metapb.Part, named []CompletePart) ([]*metapb.Part, error) {
	byNumber := make(map[int]*metapb.Part, len(have))
	for _, p := range have {
		byNumber[int(p.Number)] = p
	}
	for i := 1; i < len(named); i++ {
		if named[i].Number <= named[i-1].Number {
			return nil, kind.New(kind.InvalidPartOrder, "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
	}
	out := make([]*metapb.Part, len(named))
	for i, n := range named {
		p := byNumber[n.Number]
		if p == nil || p.Etag != n.ETag {
			return nil, kind.New(kind.InvalidPart, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
		}
		if i < len(named)-1 && p.Size < MinPartSize {
			return nil, kind.New(kind.EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size")
		}
		out[i] = p
	}
	return out, nil
}

func sizeOf(parts []*metapb.Part) (size int64) {
	for _, p := range parts {
		size += int64(p.Size)
	}
	return size
}

func completeParts(chosen []*metapb.Part) []*metapb.CompletePart {
	out := make([]*metapb.CompletePart, len(chosen))
	for i, p := range chosen {
		out[i] = &metapb.CompletePart{Number: p.Number, Etag: p.Etag, StreamId: p.StreamId}
	}
	return out
}

// partSums opens the parts' checksums, where the upload has an algorithm and (if sealed) the key
// is there, and compares them with what the client claims.
func partSums(u *metapb.Upload, chosen []*metapb.Part, named []CompletePart, key *seal.ObjectKey) ([][]byte, error) {
	sums := make([][]byte, len(chosen))
	for i, p := range chosen {
		c := p.Checksum
		if c == nil || (len(c.Sealed) > 0 && key == nil) {
			if named[i].Checksum != "" && key == nil && u.Envelope != nil {
				return nil, kind.New(kind.SSECPartRequired, "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
			}
			sums = nil
			continue
		}
		sum, err := partSum(p, key)
		if err != nil {
			return nil, err
		}
		if claim := named[i].Checksum; claim != "" {
			raw, err := parseChecksum(named[i].ChecksumAlgorithm, claim)
			if err != nil {
				return nil, err
			}
			if named[i].ChecksumAlgorithm != c.Algorithm || !bytes.Equal(raw, sum) {
				return nil, kind.New(kind.InvalidPart, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified checksum may not match the part's.")
			}
		}
		if sums != nil {
			sums[i] = sum
		}
	}
	return sums, nil
}

// uploadChecksum computes the object's checksum from the parts', compares it with the client's
// claim and puts it into the command. It returns the raw value, nil without one.
func (e *Engine) uploadChecksum(u *metapb.Upload, chosen []*metapb.Part, sums [][]byte, claim *ChecksumValue, key *seal.ObjectKey, out *metapb.CompleteUpload) ([]byte, error) {
	if u.ChecksumAlgorithm == metapb.Checksum_NONE || sums == nil {
		return nil, nil
	}
	c := &metapb.Checksum{Algorithm: u.ChecksumAlgorithm, Type: u.ChecksumType}
	var sum []byte
	var err error
	if c.Type == metapb.Checksum_FULL_OBJECT {
		sizes := make([]uint64, len(chosen))
		for i, p := range chosen {
			sizes[i] = p.Size
		}
		if sum, err = fullObject(c.Algorithm, sums, sizes); err != nil {
			return nil, kind.Wrap(kind.InvalidRequest, err, "The checksum type FULL_OBJECT is not supported for %s", c.Algorithm)
		}
	} else {
		c.Type, c.Parts = metapb.Checksum_COMPOSITE, uint32(len(chosen))
		sum = composite(c.Algorithm, sums)
	}
	if claim != nil && claim.Algorithm == c.Algorithm {
		if trimParts(claim.Value) != checksumText(sum, metapb.Checksum_FULL_OBJECT, 0) {
			return nil, kind.New(kind.BadDigest, "The %s you specified did not match the calculated checksum.", c.Algorithm)
		}
	}
	c.Value = sum
	if u.Envelope != nil {
		c.Value = nil
		if c.Sealed, err = key.SealSmall(checksumLabel, sum, e.cfg.Rand); err != nil {
			return nil, err
		}
	}
	out.Checksum = c
	return sum, nil
}

func trimParts(text string) string {
	text, _, _ = strings.Cut(text, "-")
	return text
}

// multipartETag is the MD5 of the parts' MD5s, or random for sealed objects; the number of parts
// follows, as clients expect of a multipart object.
func multipartETag(parts []*metapb.Part, sealed bool, rand io.Reader) (string, error) {
	if sealed {
		etag, err := randomETag(rand)
		return fmt.Sprintf("%s-%d", etag, len(parts)), err
	}
	h := md5.New() //nolint:gosec // see above
	for _, p := range parts {
		sum, err := hex.DecodeString(p.Etag)
		if err != nil {
			return "", kind.Wrap(kind.Damaged, err, "the ETag of part %d", p.Number)
		}
		h.Write(sum)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(parts)), nil
}
