package fsm

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

var errManifestTooLarge error = &refusal{kind.EntityTooLarge, "the description of the object's parts is too large"}

func (a *applier) putVersion(c *metapb.PutVersion) (*metapb.Result, error) {
	m := c.Manifest
	if err := checkManifest(m); err != nil {
		return nil, err
	}
	cur, err := loadCurrent(a.s, a.current)
	if err != nil {
		return nil, err
	}
	if cur == nil {
		if err := a.checkOpen(); err != nil {
			return nil, err
		}
	}
	if res, err := a.stored(cur, m.VersionId, c.Versioning); err != nil || res != nil {
		return res, err
	}
	if err := checkCondition(c.Condition, cur); err != nil {
		return nil, err
	}
	rec := &metapb.Manifest{
		VersionId: m.VersionId, Size: m.Size, Etag: m.Etag, ModifiedMs: m.ModifiedMs, Parts: m.Parts, Envelope: m.Envelope,
		Headers: m.Headers, Metadata: m.Metadata, Checksum: m.Checksum, StorageClass: m.StorageClass, Tags: m.Tags, Multipart: m.Multipart,
		Retention: m.Retention, LegalHold: m.LegalHold, Owner: m.Owner, Acl: m.Acl, Replication: m.Replication,
	}
	if rec.ModifiedMs == 0 {
		rec.ModifiedMs = a.cmd.NowMs
	}
	w := write{m: rec}
	if len(c.ShareFrom) > 0 {
		err = a.share(cur, &w, c)
	} else {
		err = a.takeData(&w)
	}
	if err != nil {
		return nil, err
	}
	if err := a.place(cur, &w, c.Versioning); err != nil {
		return nil, err
	}
	rec.Parts, rec.PartRecords = nil, 0
	if w.inlined && (cur == nil || cur.Inlined) {
		return &metapb.Result{Manifest: rec}, nil // the hot path does not ask for a backlog
	}
	_, err = a.workOff()
	return &metapb.Result{Manifest: rec}, err
}

// write is a version about to be stored and what happens to data with it.
type write struct {
	m        *metapb.Manifest
	add      []*metapb.Part // of the command, with placements: data to be recorded
	lend     [][]byte       // data IDs that get one more reference
	keepData bool           // the version that m replaces hands its references over
	inlined  bool           // no part has a data record; set by place
}

// stored answers a command whose version is there already: it was proposed twice.
func (a *applier) stored(cur *metapb.Current, version []byte, v metapb.Versioning) (*metapb.Result, error) {
	if cur != nil && cur.NullVersion && v != metapb.Versioning_ENABLED && !bytes.Equal(cur.VersionId, version) {
		return nil, nil // versions below a null version were there before it, this one would be it
	}
	sequence, ok, err := findVersion(a.s, a.object, cur, version)
	if err != nil || !ok {
		return nil, err
	}
	m, err := loadManifestRecord(a.s, a.object, sequence)
	if err != nil {
		return nil, err
	}
	m.Parts, m.PartRecords = nil, 0
	return &metapb.Result{Manifest: m, DeleteMarker: m.DeleteMarker, Found: m.DeleteMarker}, nil
}

func checkManifest(m *metapb.Manifest) error {
	bad := func(what string) error { return refuse(kind.InvalidArgument, "manifest: %s", what) }
	switch {
	case len(m.GetVersionId()) != id.Size:
		return bad("a version ID has 16 bytes")
	case m.DeleteMarker:
		return bad("a delete marker is made by a deletion")
	case len(m.Parts) > maxParts:
		return bad("too many parts")
	case len(m.Etag) > maxNameLen || len(m.StorageClass) > maxNameLen:
		return bad("ETag or storage class too long")
	}
	size, last := uint64(0), uint32(0)
	for _, p := range m.Parts {
		if p.GetNumber() <= last {
			return bad("parts are not ascending")
		}
		if err := checkPart(p); err != nil {
			return err
		}
		size, last = size+p.Size, p.Number
	}
	if len(m.Parts) > 0 && size != m.Size || m.Size > maxObjectSize {
		return bad("size is not the sum of the parts' sizes, or too large")
	}
	if err := checkRetention(m.Retention); err != nil {
		return err
	}
	return checkDetails(m)
}

// checkDetails bounds what a manifest holds besides its parts.
func checkDetails(m *metapb.Manifest) error {
	size := detailsSize(m.Headers) + detailsSize(m.Metadata) + len(m.Tags) + proto.Size(m.Envelope) + proto.Size(m.Checksum) + len(m.Acl) + len(m.Owner) + len(m.Replication)
	if size > maxDetails {
		return refuse(kind.MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
	}
	return nil
}

func detailsSize(m map[string]string) int {
	n := 0
	for k, v := range m {
		n += len(k) + len(v)
	}
	return n
}

func checkPart(p *metapb.Part) error {
	bad := func(what string) error { return refuse(kind.InvalidArgument, "part: %s", what) }
	switch {
	case p.GetNumber() == 0 || p.Number > maxParts:
		return refuse(kind.InvalidPartNumber, "a part number is between 1 and %d", maxParts)
	case p.Size > maxPartSize:
		return refuse(kind.EntityTooLarge, "Your proposed upload exceeds the maximum allowed size")
	case len(p.Inline) > maxInline || len(p.Etag) > maxNameLen || len(p.WrappedKey)+len(p.StreamId)+len(p.Checksum.GetValue())+len(p.Checksum.GetSealed()) > maxNameLen*4:
		return bad("a field is too long")
	case len(p.DataId) != 0 && (len(p.DataId) != id.Size || len(p.Inline) != 0):
		return bad("data is inlined or has an ID of 16 bytes")
	case p.Size > 0 && len(p.DataId) == 0 && len(p.Inline) == 0:
		return bad("there is no data")
	case p.Placement != nil && len(p.DataId) == 0:
		return bad("there is a placement but no data to be placed")
	}
	return nil
}

// takeData checks the data of new parts and takes the placements out of the manifest. The parts
// of the command stay as they are.
func (a *applier) takeData(w *write) error {
	ids := dataOf(w.m)
	if len(ids) == 0 {
		return nil
	}
	if len(ids) > maxNewParts {
		return refuse(kind.InvalidArgument, "more than %d new parts in one command", maxNewParts)
	}
	if len(ids) > 1 {
		sorted := slices.SortedFunc(slices.Values(ids), bytes.Compare)
		if len(slices.CompactFunc(sorted, bytes.Equal)) != len(ids) {
			return refuse(kind.InvalidArgument, "two parts name the same data")
		}
	}
	for _, p := range w.m.Parts {
		if len(p.DataId) == 0 {
			continue
		}
		if err := a.checkNewData(p); err != nil {
			return err
		}
		w.add = append(w.add, p)
	}
	w.m.Parts = storedParts(w.m.Parts)
	return nil
}

// storedParts are parts as they are stored: without placements, which have records of their own,
// and without a stream ID that is the data ID. (10,000 parts of a sealed object must fit.)
func storedParts(parts []*metapb.Part) []*metapb.Part {
	out := make([]*metapb.Part, len(parts))
	for i, p := range parts {
		out[i] = storedPart(p)
	}
	return out
}

func storedPart(p *metapb.Part) *metapb.Part {
	stream := p.StreamId
	if bytes.Equal(stream, p.DataId) {
		stream = nil
	}
	if p.Placement == nil && len(stream) == len(p.StreamId) {
		return p
	}
	return &metapb.Part{
		Number: p.Number, Size: p.Size, DataId: p.DataId, Inline: p.Inline, WrappedKey: p.WrappedKey,
		StreamId: stream, Etag: p.Etag, Checksum: p.Checksum, ModifiedMs: p.ModifiedMs,
	}
}

// restore undoes what storedPart did to the stream ID.
func restore(parts ...*metapb.Part) {
	for _, p := range parts {
		if len(p.StreamId) == 0 && len(p.DataId) > 0 {
			p.StreamId = p.DataId
		}
	}
}

// share gives the manifest the data of a version of the key that is there already. The command
// may leave the parts out, or name all of them again. If the lender is the version which is
// replaced, its references pass over as they are, whatever their number.
func (a *applier) share(cur *metapb.Current, w *write, c *metapb.PutVersion) error {
	sequence, ok, err := findVersion(a.s, a.object, cur, c.ShareFrom)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(kind.Conflict, "the version whose data was to be shared is gone")
	}
	lender, err := loadManifest(a.s, a.object, sequence)
	if err != nil {
		return err
	}
	if lender.DeleteMarker {
		return refuse(kind.InvalidArgument, "a delete marker has no data to share")
	}
	if len(w.m.Parts) == 0 {
		w.m.Parts, w.m.Size = lender.Parts, lender.Size
	}
	ids := dataOf(lender)
	if !slices.EqualFunc(dataOf(w.m), ids, bytes.Equal) {
		return refuse(kind.Conflict, "the parts are not those of the version whose data was to be shared")
	}
	w.m.Parts = storedParts(w.m.Parts)
	if lender.NullVersion && c.Versioning != metapb.Versioning_ENABLED {
		w.keepData = true
		return nil
	}
	if len(ids) > maxShared {
		return refuse(kind.EntityTooLarge, "a version of more than %d parts cannot lend its data", maxShared)
	}
	w.lend = ids
	return nil
}
