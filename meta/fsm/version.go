package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// loadCurrent is the record of a key's newest version, nil if the key has no version.
func loadCurrent(r Reader, key []byte) (*metapb.Current, error) {
	b, err := r.Get(key)
	if err != nil {
		return nil, fmt.Errorf("fsm: read current version: %w", err)
	}
	if b == nil {
		return nil, nil
	}
	c := &metapb.Current{}
	if err := decodeCurrent(b, c); err != nil {
		return nil, err
	}
	return c, nil
}

// loadManifest reads a version that another record names, with all its parts.
func loadManifest(r Reader, object []byte, sequence uint64) (*metapb.Manifest, error) {
	m, err := loadManifestRecord(r, object, sequence)
	if err != nil {
		return nil, err
	}
	for n := range m.PartRecords {
		more := &metapb.Manifest{}
		ok, err := load(r, partsKey(object, sequence, n), "parts of a manifest", more)
		if err != nil {
			return nil, err
		}
		if !ok || len(more.Parts) == 0 {
			return nil, damaged(fmt.Sprintf("parts %d of manifest %d are missing", n, sequence), nil)
		}
		m.Parts = append(m.Parts, more.Parts...)
	}
	restore(m.Parts...)
	return m, nil
}

// loadManifestRecord is loadManifest without the parts in records of their own.
func loadManifestRecord(r Reader, object []byte, sequence uint64) (*metapb.Manifest, error) {
	b, err := r.Get(versionKey(object, sequence))
	if err != nil {
		return nil, fmt.Errorf("fsm: read manifest: %w", err)
	}
	if b == nil {
		return nil, damaged(fmt.Sprintf("manifest %d is missing", sequence), nil)
	}
	m := &metapb.Manifest{}
	if err := decodeManifest(b, m); err != nil {
		return nil, damaged("manifest", err)
	}
	return m, nil
}

func loadSequence(r Reader, key []byte, what string) (uint64, bool, error) {
	b, err := r.Get(key)
	if err != nil {
		return 0, false, fmt.Errorf("fsm: read %s: %w", what, err)
	}
	if b == nil {
		return 0, false, nil
	}
	if len(b) != sequenceLen {
		return 0, false, damaged(what, nil)
	}
	return binary.BigEndian.Uint64(b), true, nil
}

// findVersion is the sequence of a version of a key whose current version is cur.
func findVersion(r Reader, object []byte, cur *metapb.Current, version []byte) (uint64, bool, error) {
	switch {
	case cur == nil:
		return 0, false, nil
	case bytes.Equal(cur.VersionId, version):
		return cur.Sequence, true, nil
	case !cur.Older:
		return 0, false, nil
	}
	return loadSequence(r, tableKey(tableIndex, object, version), "version index")
}

// findNull is the sequence of the null version.
func findNull(r Reader, object []byte, cur *metapb.Current) (uint64, bool, error) {
	switch {
	case cur == nil:
		return 0, false, nil
	case cur.NullVersion:
		return cur.Sequence, true, nil
	case !cur.Older:
		return 0, false, nil
	}
	return loadSequence(r, tableKey(tableNull, object), "null version")
}

// currentOf is the compact record of a manifest.
func currentOf(m *metapb.Manifest, older bool) *metapb.Current {
	inlined := m.PartRecords == 0
	for _, p := range m.Parts {
		if len(p.DataId) > 0 {
			inlined = false
			break
		}
	}
	return &metapb.Current{
		VersionId: m.VersionId, Sequence: m.Sequence, Size: m.Size, Etag: m.Etag, ModifiedMs: m.ModifiedMs,
		DeleteMarker: m.DeleteMarker, Sealed: m.Envelope != nil, Managed: m.Envelope.GetMethod() != 0, StorageClass: m.StorageClass,
		ChecksumAlgorithm: m.GetChecksum().GetAlgorithm(), ChecksumType: m.GetChecksum().GetType(),
		NullVersion: m.NullVersion, Inlined: inlined, Older: older, Locked: lockable(m), Owner: m.Owner,
	}
}

// briefManifest is what a Current knows of its manifest.
func briefManifest(c *metapb.Current) *metapb.Manifest {
	return &metapb.Manifest{
		VersionId: c.VersionId, NullVersion: c.NullVersion, DeleteMarker: c.DeleteMarker, Size: c.Size, Etag: c.Etag,
		ModifiedMs: c.ModifiedMs, StorageClass: c.StorageClass, Sequence: c.Sequence,
	}
}

// dataOf lists the data IDs of a manifest's parts.
func dataOf(m *metapb.Manifest) [][]byte {
	ids := make([][]byte, 0, len(m.Parts))
	for _, p := range m.Parts {
		if len(p.DataId) > 0 {
			ids = append(ids, p.DataId)
		}
	}
	return ids
}

// place stores w.m as the newest version of the key, whose newest was cur. In a bucket without
// versioning, or with suspended versioning, it takes the place of the null version, whose data is
// released. New references are counted before old ones are dropped. A refusal comes before the
// first change.
func (a *applier) place(cur *metapb.Current, w *write, v metapb.Versioning) error {
	m := w.m
	m.Sequence = a.index
	m.NullVersion = v != metapb.Versioning_ENABLED
	if m.NullVersion {
		if err := a.replaceable(cur); err != nil {
			return err
		}
	}
	if err := a.afford(m.Size); err != nil {
		return err
	}
	values, err := encodeVersion(m, a.record)
	if err != nil {
		return err
	}
	for _, p := range w.add {
		if err := a.addData(p.DataId, p.Placement); err != nil {
			return err
		}
	}
	for _, dataID := range w.lend {
		if err := a.addRef(dataID); err != nil {
			return err
		}
	}
	older, err := a.yield(cur, m.NullVersion, w.keepData)
	if err != nil {
		return err
	}
	a.count(currentOf(m, older), 1)
	a.shift(cur, m.DeleteMarker)
	if err := a.s.Set(versionKey(a.object, a.index), values[0]); err != nil {
		return err
	}
	for n, v := range values[1:] {
		if err := a.s.Set(partsKey(a.object, a.index, uint32(n)), v); err != nil {
			return err
		}
	}
	c := currentOf(m, older)
	w.inlined = c.Inlined
	return save(a.s, a.current, c)
}

// yield makes room for a new current version, null or not, and reports whether versions are left
// below it.
func (a *applier) yield(cur *metapb.Current, null, keepData bool) (older bool, err error) {
	if cur == nil {
		return false, nil
	}
	if null && cur.NullVersion {
		return cur.Older, a.dropVersion(cur, keepData)
	}
	if null {
		if err := a.dropBuriedNull(cur, keepData); err != nil {
			return false, err
		}
	}
	return true, a.bury(cur)
}

// bury writes the records that a version needs once it is not the current one.
func (a *applier) bury(c *metapb.Current) error {
	if err := a.s.Set(tableKey(tableIndex, a.object, c.VersionId), sequenceValue(c.Sequence)); err != nil {
		return err
	}
	if !c.NullVersion {
		return nil
	}
	return a.s.Set(tableKey(tableNull, a.object), sequenceValue(c.Sequence))
}

// exhume removes them: m is about to become the current version or to go.
func (a *applier) exhume(m *metapb.Manifest) error {
	if err := a.s.Delete(tableKey(tableIndex, a.object, m.VersionId)); err != nil {
		return err
	}
	if !m.NullVersion {
		return nil
	}
	return a.s.Delete(tableKey(tableNull, a.object))
}

// dropVersion removes the records of a version, and the references of its parts unless they live
// on in another.
func (a *applier) dropVersion(c *metapb.Current, keepData bool) error {
	a.count(c, -1)
	if !c.Inlined {
		m, err := loadManifest(a.s, a.object, c.Sequence)
		if err != nil {
			return err
		}
		for n := range m.PartRecords {
			if err := a.s.Delete(partsKey(a.object, c.Sequence, n)); err != nil {
				return err
			}
		}
		if !keepData {
			if err := a.release(dataOf(m)); err != nil {
				return err
			}
		}
	}
	return a.s.Delete(versionKey(a.object, c.Sequence))
}

// dropBuriedNull removes the null version below cur, which is not null, if there is one.
func (a *applier) dropBuriedNull(cur *metapb.Current, keepData bool) error {
	sequence, ok, err := findNull(a.s, a.object, cur)
	if err != nil || !ok {
		return err
	}
	m, err := loadManifestRecord(a.s, a.object, sequence)
	if err != nil {
		return err
	}
	if err := a.exhume(m); err != nil {
		return err
	}
	return a.dropVersion(currentOf(m, false), keepData)
}

// below reads the newest version under a sequence, nil if there is none, and whether there are
// others under that. skip is a sequence to look past, 0 for none.
func (a *applier) below(sequence, skip uint64) (next *metapb.Manifest, more bool, err error) {
	it := a.s.Iterate(tableKey(tableVersion, a.object))
	defer it.Close()
	// One past the key of sequence; sequences begin at 1, so that it does not wrap.
	for it.Seek(versionKey(a.object, sequence-1)); it.Valid(); it.Next() {
		key := it.Key()
		if len(key) != 1+len(a.object)+sequenceLen {
			return nil, false, damaged("key of a manifest", nil)
		}
		if ^binary.BigEndian.Uint64(key[len(key)-sequenceLen:]) == skip {
			continue
		}
		if next != nil {
			return next, true, nil
		}
		b, err := it.Value()
		if err != nil {
			return nil, false, fmt.Errorf("fsm: read manifest: %w", err)
		}
		next = &metapb.Manifest{}
		if err := proto.Unmarshal(b, next); err != nil {
			return nil, false, damaged("manifest", err)
		}
		if len(next.VersionId) != id.Size {
			return nil, false, damaged("manifest without a version ID", nil)
		}
	}
	return next, false, nil
}
