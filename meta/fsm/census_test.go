package fsm

import (
	"bytes"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/proto/metapb"
)

// census is a whole store taken apart, and the invariants that must hold between its records.
type census struct {
	current  map[string]*metapb.Current // by object key
	versions map[string][]*metapb.Manifest
	more     map[string][]*metapb.Part // by object key and inverted sequence: parts in further records
	records  map[string]uint32         // the number of those records
	index    map[string]map[string]uint64
	null     map[string]uint64
	uploads  map[string]string // upload ID → object key
	parts    map[string][]*metapb.Part
	data     map[string]*metapb.Placement
	garbage  map[string]*metapb.Garbage
	repair   map[string]bool
	closed   map[string]bool
	releases []*metapb.Release
	usage    map[string]*metapb.Usage // by bucket
}

func decodeAs[M proto.Message](t failer, value []byte, m M) M {
	t.Helper()
	if err := proto.Unmarshal(value, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func takeCensus(t failer, s *MapStore) *census {
	t.Helper()
	c := &census{
		current: map[string]*metapb.Current{}, more: map[string][]*metapb.Part{}, records: map[string]uint32{}, versions: map[string][]*metapb.Manifest{}, index: map[string]map[string]uint64{},
		null: map[string]uint64{}, uploads: map[string]string{}, parts: map[string][]*metapb.Part{}, data: map[string]*metapb.Placement{},
		garbage: map[string]*metapb.Garbage{}, usage: map[string]*metapb.Usage{}, repair: map[string]bool{}, closed: map[string]bool{},
	}
	backlogged := uint64(0)
	it := s.Iterate(nil)
	defer it.Close()
	for it.Seek(nil); it.Valid(); it.Next() {
		k := string(it.Key()[1:])
		v, _ := it.Value()
		switch it.Key()[0] {
		case tableCurrent:
			c.current[k] = decodeAs(t, v, &metapb.Current{})
		case tableVersion:
			object, inverted := k[:len(k)-8], k[len(k)-8:]
			m := decodeAs(t, v, &metapb.Manifest{})
			if m.Sequence != ^binary.BigEndian.Uint64([]byte(inverted)) {
				t.Fatalf("a manifest of sequence %d is stored under another", m.Sequence)
			}
			if m.PartRecords != c.records[k] {
				t.Fatalf("a manifest has %d further records, says %d", c.records[k], m.PartRecords)
			}
			m.Parts = append(m.Parts, c.more[k]...)
			delete(c.records, k)
			c.versions[object] = append(c.versions[object], m)
		case tableParts: // before the manifests, by the order of letters
			m := decodeAs(t, v, &metapb.Manifest{})
			name := k[:len(k)-4]
			if n := binary.BigEndian.Uint32([]byte(k[len(k)-4:])); n != c.records[name] {
				t.Fatalf("record %d of parts comes after %d", n, c.records[name])
			}
			c.records[name]++
			c.more[name] = append(c.more[name], m.Parts...)
		case tableIndex:
			object, version := k[:len(k)-16], k[len(k)-16:]
			if c.index[object] == nil {
				c.index[object] = map[string]uint64{}
			}
			c.index[object][version] = binary.BigEndian.Uint64(v)
		case tableNull:
			c.null[k] = binary.BigEndian.Uint64(v)
		case tableUpload:
			c.uploads[k[len(k)-16:]] = k[:len(k)-16]
		case tablePart:
			p := decodeAs(t, v, &metapb.Part{})
			if p.Number != binary.BigEndian.Uint32([]byte(k[16:])) {
				t.Fatalf("part %d is stored under another number", p.Number)
			}
			c.parts[k[:16]] = append(c.parts[k[:16]], p)
		case tableData:
			c.data[k] = decodeAs(t, v, &metapb.Placement{})
		case tableGarbage:
			c.garbage[k] = decodeAs(t, v, &metapb.Garbage{})
		case tableRepair:
			c.repair[k] = true
		case tableUsage:
			c.usage[k] = decodeAs(t, v, &metapb.Usage{})
		case tableClosed:
			c.closed[k] = true
		case tableRelease:
			c.releases = append(c.releases, decodeAs(t, v, &metapb.Release{}))
		case tableBacklog:
			backlogged = binary.BigEndian.Uint64(v)
		default:
			t.Fatalf("a key of no table: %q", it.Key())
		}
	}
	if len(c.records) > 0 {
		t.Fatalf("%d versions left records of parts behind", len(c.records))
	}
	if int(backlogged) != len(c.releases) {
		t.Fatalf("the backlog says %d, there are %d", backlogged, len(c.releases))
	}
	return c
}

// check holds the census to the invariants of doc.go.
func (c *census) check(t failer) {
	t.Helper()
	c.checkVersions(t)
	c.checkReferences(t)
	c.checkUsage(t)
	for d := range c.repair {
		if c.data[d] == nil {
			t.Fatalf("%x is queued for repair but is no data", d)
		}
	}
	for d := range c.garbage {
		if c.data[d] != nil {
			t.Fatalf("%x is data and garbage", d)
		}
	}
}

// checkUsage counts what the buckets have.
func (c *census) checkUsage(t failer) {
	t.Helper()
	count := map[string]*metapb.Usage{}
	for object, vs := range c.versions {
		u := count[object[:16]]
		if u == nil {
			u = &metapb.Usage{}
			count[object[:16]] = u
		}
		for _, m := range vs {
			if m.DeleteMarker {
				u.DeleteMarkers++
				continue
			}
			u.Versions++
			u.Bytes += m.Size
		}
		if !c.current[object].GetDeleteMarker() {
			u.Objects++
		}
	}
	for bucket, u := range c.usage {
		said := &metapb.Usage{Objects: u.Objects, Versions: u.Versions, DeleteMarkers: u.DeleteMarkers, Bytes: u.Bytes}
		want := count[bucket]
		if want == nil {
			want = &metapb.Usage{}
		}
		if !proto.Equal(said, want) {
			t.Fatalf("bucket %q has %v, its record says %v", bucket, want, said)
		}
		delete(count, bucket)
	}
	if len(count) > 0 {
		t.Fatalf("%d buckets have versions and no usage", len(count))
	}
}

func (c *census) checkVersions(t failer) {
	t.Helper()
	for object := range c.current {
		if len(c.versions[object]) == 0 {
			t.Fatalf("%q has a current record but no version", object)
		}
	}
	indexed := 0
	for object, vs := range c.versions {
		top := vs[0]
		cur := c.current[object]
		if cur == nil {
			t.Fatalf("%q has versions but no current record", object)
		}
		want := &metapb.Current{VersionId: top.VersionId, Sequence: top.Sequence, Size: top.Size, Etag: top.Etag, ModifiedMs: top.ModifiedMs,
			DeleteMarker: top.DeleteMarker, Sealed: top.Envelope != nil, StorageClass: top.StorageClass, NullVersion: top.NullVersion,
			ChecksumAlgorithm: top.GetChecksum().GetAlgorithm(), ChecksumType: top.GetChecksum().GetType(), Inlined: top.PartRecords == 0, Older: len(vs) > 1}
		for _, p := range top.Parts {
			want.Inlined = want.Inlined && len(p.DataId) == 0
		}
		if !proto.Equal(cur, want) {
			t.Fatalf("%q: current is %v, the newest version says %v", object, cur, want)
		}
		nulls := 0
		for i, m := range vs {
			if m.NullVersion {
				nulls++
				if at, ok := c.null[object]; ok != (i > 0) || i > 0 && at != m.Sequence {
					t.Fatalf("%q: the null version is %d below the top, its record: %v", object, i, ok)
				}
			}
			if at, ok := c.index[object][string(m.VersionId)]; ok != (i > 0) || i > 0 && at != m.Sequence {
				t.Fatalf("%q: version %x is %d below the top, its index record: %v", object, m.VersionId, i, ok)
			}
		}
		if nulls > 1 {
			t.Fatalf("%q has %d null versions", object, nulls)
		}
		if _, ok := c.null[object]; ok && nulls == 0 {
			t.Fatalf("%q has a record of a null version but none", object)
		}
		indexed += len(vs) - 1
	}
	for _, m := range c.index {
		indexed -= len(m)
	}
	if indexed != 0 {
		t.Fatalf("the index has %d records too few", indexed)
	}
}

// references counts who uses which data.
func (c *census) references(t failer) map[string]int {
	t.Helper()
	refs := map[string]int{}
	use := func(parts []*metapb.Part, kept []byte) {
		for _, p := range parts {
			if p.Placement != nil {
				t.Fatalf("part %d is stored with its placement", p.Number)
			}
			if len(p.DataId) > 0 && !bitSet(kept, p.Number) {
				refs[string(p.DataId)]++
			}
		}
	}
	for _, vs := range c.versions {
		for _, m := range vs {
			use(m.Parts, nil)
		}
	}
	ended := map[string]bool{}
	for _, r := range c.releases {
		for d := range slices.Chunk(r.DataIds, 16) {
			refs[string(d)]++
		}
		if len(r.UploadId) > 0 {
			ended[string(r.UploadId)] = true
			use(c.parts[string(r.UploadId)], r.Kept)
		}
	}
	for u, parts := range c.parts {
		if _, alive := c.uploads[u]; alive == ended[u] {
			t.Fatalf("upload %x: alive %v, ended %v", u, alive, ended[u])
		} else if alive {
			use(parts, nil)
		}
	}
	return refs
}

func (c *census) checkReferences(t failer) {
	t.Helper()
	refs := c.references(t)
	for d, p := range c.data {
		if int(p.Refs) != refs[d] || p.Refs == 0 {
			t.Fatalf("data %x says %d references, %d are there", d, p.Refs, refs[d])
		}
		for _, drive := range p.Drives {
			if bytes.Equal(drive, zeroDrive[:]) {
				t.Fatalf("data %x names a drive of zeros", d)
			}
		}
	}
	for d := range refs {
		if c.data[d] == nil {
			t.Fatalf("data %x is used but has no record", d)
		}
	}
}

// dump is all bytes of the store, to compare two replicas.
func dump(s *MapStore) []byte {
	var b bytes.Buffer
	it := s.Iterate(nil)
	for it.Seek(nil); it.Valid(); it.Next() {
		v, _ := it.Value()
		b.Write(binary.AppendUvarint(nil, uint64(len(it.Key()))))
		b.Write(it.Key())
		b.Write(binary.AppendUvarint(nil, uint64(len(v))))
		b.Write(v)
	}
	return b.Bytes()
}
