package fsm

import (
	"bytes"
	"slices"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// completeUpload makes a version of an upload's parts. The references of the parts that are used
// pass from the part records to the manifest; the other parts are released.
func (a *applier) completeUpload(c *metapb.CompleteUpload) (*metapb.Result, error) {
	if err := checkPartList(c); err != nil {
		return nil, err
	}
	if err := a.checkOpen(); err != nil {
		return nil, err
	}
	cur, err := loadCurrent(a.s, a.current)
	if err != nil {
		return nil, err
	}
	u := &metapb.Upload{}
	ok, err := load(a.s, uploadKey(a.object, c.UploadId), "upload", u)
	if err != nil {
		return nil, err
	}
	if !ok {
		return a.completedBefore(cur, c)
	}
	stored, _, err := readParts(a.s, c.UploadId, 0, maxParts)
	if err != nil {
		return nil, err
	}
	used, kept, err := choose(c, stored)
	if err != nil {
		return nil, err
	}
	m := manifestOf(u, c, used, a.cmd.NowMs)
	if m.Size > maxObjectSize {
		return nil, refuse(kind.EntityTooLarge, "Your proposed upload exceeds the maximum allowed object size.")
	}
	if c.ExpectSize != 0 && m.Size != uint64(c.ExpectSize-1) {
		return nil, refuse(kind.InvalidRequest, "The provided 'x-amz-mp-object-size' header does not match what was computed.")
	}
	if err := checkCondition(c.Condition, cur); err != nil {
		return nil, err
	}
	m.Parts = storedParts(m.Parts)
	if err := a.place(cur, &write{m: m}, c.Versioning); err != nil {
		return nil, err
	}
	if err := a.consumeUpload(c.UploadId, stored, kept); err != nil {
		return nil, err
	}
	m.Parts, m.PartRecords = nil, 0
	_, err = a.workOff()
	return &metapb.Result{Manifest: m}, err
}

func checkPartList(c *metapb.CompleteUpload) error {
	switch {
	case len(c.UploadId) != id.Size:
		return errNoSuchUpload
	case len(c.Parts) == 0:
		return refuse(kind.InvalidRequest, "You must specify at least one part")
	case len(c.Parts) > maxParts:
		return refuse(kind.InvalidArgument, "an upload has at most %d parts", maxParts)
	case len(c.Etag) > maxNameLen:
		return refuse(kind.InvalidArgument, "the ETag is too long")
	}
	last := uint32(0)
	for _, p := range c.Parts {
		if p.GetNumber() <= last {
			return refuse(kind.InvalidPartOrder, "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
		last = p.Number
	}
	return nil
}

// choose picks the parts that the command lists out of the stored ones, and says which numbers
// they are as a bitmap.
func choose(c *metapb.CompleteUpload, stored []*metapb.Part) (used []*metapb.Part, kept []byte, err error) {
	used = make([]*metapb.Part, 0, len(c.Parts))
	rest := stored
	for i, want := range c.Parts {
		for len(rest) > 0 && rest[0].Number < want.Number {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].Number != want.Number || rest[0].Etag != want.Etag || !sameChecksum(rest[0].Checksum, want.Checksum) {
			return nil, nil, refuse(kind.InvalidPart, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
		}
		p := rest[0]
		if len(want.StreamId) > 0 && !bytes.Equal(want.StreamId, p.StreamId) {
			return nil, nil, refuse(kind.Conflict, "part %d was uploaded again", want.Number)
		}
		if i < len(c.Parts)-1 && p.Size < c.MinPartSize {
			return nil, nil, refuse(kind.EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size: part %d has %d bytes, the minimum is %d", p.Number, p.Size, c.MinPartSize)
		}
		used = append(used, p)
		kept = setBit(kept, p.Number)
	}
	return used, kept, nil
}

// sameChecksum compares what the client says with what is stored, as far as both are in the clear.
func sameChecksum(stored, said *metapb.Checksum) bool {
	if len(said.GetValue()) == 0 || len(stored.GetValue()) == 0 {
		return true
	}
	return stored.Algorithm == said.Algorithm && bytes.Equal(stored.Value, said.Value)
}

func manifestOf(u *metapb.Upload, c *metapb.CompleteUpload, parts []*metapb.Part, nowMs int64) *metapb.Manifest {
	m := &metapb.Manifest{
		VersionId: u.VersionId, Etag: c.Etag, ModifiedMs: nowMs, Parts: parts, Envelope: u.Envelope, Headers: u.Headers,
		Metadata: u.Metadata, Checksum: c.Checksum, StorageClass: u.StorageClass, Tags: u.Tags, Multipart: true,
		Retention: u.Retention, LegalHold: u.LegalHold, Owner: u.Owner, Acl: u.Acl,
	}
	for _, p := range parts {
		m.Size += p.Size
	}
	return m
}

// consumeUpload removes an upload whose parts in kept belong to a version now.
func (a *applier) consumeUpload(upload []byte, stored []*metapb.Part, kept []byte) error {
	if err := a.s.Delete(uploadKey(a.object, upload)); err != nil {
		return err
	}
	if len(stored) > a.batch {
		return a.postpone(&metapb.Release{UploadId: upload, Kept: kept})
	}
	for _, p := range stored {
		if err := a.s.Delete(partKey(upload, p.Number)); err != nil {
			return err
		}
		if len(p.DataId) > 0 && !bitSet(kept, p.Number) {
			if err := a.dropRef(p.DataId); err != nil {
				return err
			}
		}
	}
	return nil
}

// completedBefore answers for an upload that is not there: with the version which it became, if
// that has the parts which the command lists.
func (a *applier) completedBefore(cur *metapb.Current, c *metapb.CompleteUpload) (*metapb.Result, error) {
	version := c.VersionId
	if len(version) == 0 {
		version = c.UploadId
	}
	sequence, ok, err := findVersion(a.s, a.object, cur, version)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoSuchUpload
	}
	m, err := loadManifest(a.s, a.object, sequence)
	if err != nil {
		return nil, err
	}
	same := func(p *metapb.Part, want *metapb.CompletePart) bool {
		return p.Number == want.Number && p.Etag == want.Etag
	}
	if !slices.EqualFunc(m.Parts, c.Parts, same) {
		return nil, errNoSuchUpload
	}
	m.Parts, m.PartRecords = nil, 0
	return &metapb.Result{Manifest: m}, nil
}
