package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// meteredStore adds up what a command writes, as Badger does: key, value and some bytes for the
// version, and a prefix that the replica puts before each key.
type meteredStore struct {
	*MapStore
	entries, bytes, value int
}

const (
	entryOverhead  = 12 + 12             // Badger's estimate, and the replica's prefix
	badgerMaxBytes = 16 << 20 * 15 / 100 // of a transaction with memtables of 16 MiB
	badgerMaxValue = 1 << 20             // larger ones leave the tables
	badgerMaxCount = badgerMaxBytes / 96
)

func (s *meteredStore) add(k, v []byte) {
	s.entries++
	s.bytes += len(k) + len(v) + entryOverhead
	s.value = max(s.value, len(v))
}
func (s *meteredStore) Set(k, v []byte) error { s.add(k, v); return s.MapStore.Set(k, v) }
func (s *meteredStore) Delete(k []byte) error { s.add(k, nil); return s.MapStore.Delete(k) }

// fatPart is as large as a part of an honest front gets: sealed, with a SHA-256 and 32 shards.
func fatPart(upload byte, number uint32) *metapb.Part {
	d := binary.BigEndian.AppendUint32(make([]byte, 0, 16), 1)
	d = append(d, upload, 0, 0, 0, 0, 0, 0, 0)
	d = binary.BigEndian.AppendUint32(d, number)
	p := &metapb.Part{Number: number, Size: 5 << 30, DataId: d, StreamId: d, WrappedKey: make([]byte, 60), Etag: strings.Repeat("e", 32), ModifiedMs: 1 << 40,
		Checksum:  &metapb.Checksum{Algorithm: metapb.Checksum_SHA256, Type: metapb.Checksum_COMPOSITE, Sealed: make([]byte, 60)},
		Placement: &metapb.Placement{Layout: &metapb.Layout{K: 28, M: 4, BlockLen: 1 << 20, Length: 5 << 30}}}
	for i := range 32 {
		p.Placement.Drives = append(p.Placement.Drives, drive(i+1))
	}
	p.Placement.Drives[31] = nil
	p.Size = 1 << 28 // 10,000 of them stay below 5 TiB
	return p
}

// TestNoCommandOutgrowsATransaction takes the largest uploads there can be through all that can
// happen to them. A command whose effects do not fit into one transaction of the store would stop
// every replica of its group.
func TestNoCommandOutgrowsATransaction(t *testing.T) {
	s := &meteredStore{MapStore: NewMapStore()}
	index, worst := uint64(0), 0
	key := strings.Repeat("\x00", maxKeyLen)
	apply := func(cmd *metapb.Command, want kind.Kind) {
		t.Helper()
		index++
		s.entries, s.bytes = 0, 0
		cmd.Bucket, cmd.NowMs = testBucket, 1<<40
		if cmd.Key == "" {
			cmd.Key = key
		}
		r, err := Apply(s, 1, index, cmd)
		if err != nil || r.Kind != uint32(want) {
			t.Fatal(r, err)
		}
		worst = max(worst, s.bytes)
		// Room is left for what the replica writes itself.
		if s.bytes > badgerMaxBytes-50<<10 || s.entries > badgerMaxCount-100 {
			t.Fatalf("%T writes %d entries, %d bytes", cmd.Op, s.entries, s.bytes)
		}
	}
	upload := func(n byte, parts uint32, complete bool, mode metapb.Versioning) {
		t.Helper()
		id := bytes.Repeat([]byte{n}, 16)
		apply(&metapb.Command{Op: &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: &metapb.Upload{UploadId: id, VersionId: id,
			Tags: strings.Repeat("t", 20<<10), Envelope: &metapb.Envelope{Salt: make([]byte, 200)}}}}}, 0)
		c := &metapb.CompleteUpload{UploadId: id, Etag: strings.Repeat("e", 38), Versioning: mode}
		for i := uint32(1); i <= parts; i++ {
			p := fatPart(n, i)
			apply(&metapb.Command{Op: &metapb.Command_PutPart{PutPart: &metapb.PutPart{UploadId: id, Part: p}}}, 0)
			c.Parts = append(c.Parts, &metapb.CompletePart{Number: i, Etag: p.Etag, StreamId: p.StreamId})
		}
		if complete {
			apply(&metapb.Command{Op: &metapb.Command_CompleteUpload{CompleteUpload: c}}, 0)
		}
	}
	drain := func() {
		t.Helper()
		for n, _ := backlog(s); n > 0; n, _ = backlog(s) {
			apply(&metapb.Command{Op: &metapb.Command_AckGarbage{AckGarbage: &metapb.AckGarbage{}}}, 0)
		}
	}
	share := func(n, from byte, mode metapb.Versioning, want kind.Kind) {
		t.Helper()
		apply(&metapb.Command{Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{Versioning: mode, ShareFrom: bytes.Repeat([]byte{from}, 16),
			Manifest: &metapb.Manifest{VersionId: bytes.Repeat([]byte{n}, 16), Tags: strings.Repeat("t", 20<<10)}}}}, want)
	}
	upload(1, maxParts, true, 0)
	upload(2, maxParts, true, 0) // replaces 1
	share(3, 2, 0, 0)            // takes all over
	share(4, 3, metapb.Versioning_ENABLED, kind.EntityTooLarge)
	apply(&metapb.Command{Op: &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{}}}, 0)
	drain()
	upload(5, maxParts, false, 0)
	apply(&metapb.Command{Op: &metapb.Command_AbortUpload{AbortUpload: &metapb.AbortUpload{UploadId: bytes.Repeat([]byte{5}, 16)}}}, 0)
	drain()
	upload(6, maxShared, true, 0)
	share(7, 6, metapb.Versioning_ENABLED, 0)
	for _, v := range []byte{6, 7} {
		apply(&metapb.Command{Op: &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{VersionId: bytes.Repeat([]byte{v}, 16)}}}, 0)
	}
	// All the garbage acknowledged at once, with a backlog besides.
	upload(8, maxParts, true, 0)
	apply(&metapb.Command{Op: &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{}}}, 0)
	ack := &metapb.AckGarbage{}
	for i := range uint32(maxIDs) {
		ack.DataIds = append(ack.DataIds, fatPart(1, i+1).DataId)
	}
	apply(&metapb.Command{Op: &metapb.Command_AckGarbage{AckGarbage: ack}}, 0)
	drain()
	m := &metapb.Manifest{VersionId: bytes.Repeat([]byte{9}, 16)}
	for i := range uint32(maxNewParts) {
		p := fatPart(9, i+1)
		m.Parts, m.Size = append(m.Parts, p), m.Size+p.Size
	}
	apply(&metapb.Command{Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{Manifest: m}}}, 0)
	apply(&metapb.Command{Op: &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{}}}, 0)
	// The closing of a bucket with more uploads than one command aborts.
	for i := range closeBatch + 1 {
		id := []byte(fmt.Sprintf("%016d", i))
		apply(&metapb.Command{Op: &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: &metapb.Upload{UploadId: id, VersionId: id}}}}, 0)
	}
	apply(&metapb.Command{Op: &metapb.Command_CloseBucket{CloseBucket: &metapb.CloseBucket{}}}, kind.Unavailable)
	apply(&metapb.Command{Op: &metapb.Command_CloseBucket{CloseBucket: &metapb.CloseBucket{}}}, 0)
	drain()
	c := takeCensus(t, s.MapStore)
	c.check(t)
	if len(c.data)+len(c.uploads)+len(c.parts)+len(c.versions) != 0 {
		t.Fatalf("data %d, uploads %d, parts %d, versions %d are left", len(c.data), len(c.uploads), len(c.parts), len(c.versions))
	}
	if s.value >= badgerMaxValue/2 {
		t.Fatalf("a value of %d bytes", s.value)
	}
	t.Logf("the largest command wrote %d bytes of %d, the largest value was %d", worst, badgerMaxBytes, s.value)
}

// TestOutOfRangeIsRefused: a command beyond the limits gets an answer, not an effect.
func TestOutOfRangeIsRefused(t *testing.T) {
	version := bytes.Repeat([]byte{1}, 16)
	put := func(change func(c *metapb.Command, m *metapb.Manifest)) *metapb.Command {
		cmd := benchPut("key", 1, []byte("x"))
		change(cmd, cmd.GetPutVersion().Manifest)
		return cmd
	}
	part := func(change func(p *metapb.Part)) *metapb.Command {
		return put(func(_ *metapb.Command, m *metapb.Manifest) { change(m.Parts[0]) })
	}
	placed := func(change func(p *metapb.Placement)) *metapb.Command {
		return put(func(_ *metapb.Command, m *metapb.Manifest) {
			m.Parts[0] = fatPart(1, 1)
			m.Size = m.Parts[0].Size
			change(m.Parts[0].Placement)
		})
	}
	for name, c := range map[string]struct {
		want kind.Kind
		cmd  *metapb.Command
	}{
		"no operation":   {kind.InvalidArgument, &metapb.Command{Bucket: testBucket, Key: "k"}},
		"system command": {kind.InvalidArgument, &metapb.Command{Bucket: testBucket, Key: "k", Op: &metapb.Command_PutDrive{}}},
		"short bucket":   {kind.InvalidArgument, put(func(c *metapb.Command, _ *metapb.Manifest) { c.Bucket = c.Bucket[1:] })},
		"empty key":      {kind.InvalidArgument, put(func(c *metapb.Command, _ *metapb.Manifest) { c.Key = "" })},
		"long key":       {kind.KeyTooLong, put(func(c *metapb.Command, _ *metapb.Manifest) { c.Key = strings.Repeat("k", maxKeyLen+1) })},
		"no manifest":    {kind.InvalidArgument, &metapb.Command{Bucket: testBucket, Key: "k", Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{}}}},
		"delete marker":  {kind.InvalidArgument, put(func(_ *metapb.Command, m *metapb.Manifest) { m.DeleteMarker = true })},
		"long ETag":      {kind.InvalidArgument, put(func(_ *metapb.Command, m *metapb.Manifest) { m.Etag = strings.Repeat("e", 256) })},
		"size":           {kind.InvalidArgument, put(func(_ *metapb.Command, m *metapb.Manifest) { m.Size++ })},
		"too much metadata": {kind.MetadataTooLarge, put(func(_ *metapb.Command, m *metapb.Manifest) {
			m.Metadata = map[string]string{"a": strings.Repeat("a", maxDetails)}
		})},
		"parts out of order": {kind.InvalidArgument, put(func(_ *metapb.Command, m *metapb.Manifest) { m.Parts = append(m.Parts, m.Parts[0]) })},
		"same data twice": {kind.InvalidArgument, put(func(_ *metapb.Command, m *metapb.Manifest) {
			a, b := fatPart(1, 1), fatPart(1, 1)
			b.Number = 2
			m.Parts, m.Size = []*metapb.Part{a, b}, 2*a.Size
		})},
		"part 0":          {kind.InvalidArgument, part(func(p *metapb.Part) { p.Number = 0 })},
		"part 10001":      {kind.InvalidPartNumber, part(func(p *metapb.Part) { p.Number = maxParts + 1 })},
		"large part":      {kind.EntityTooLarge, part(func(p *metapb.Part) { p.Size = maxPartSize + 1 })},
		"large inline":    {kind.InvalidArgument, part(func(p *metapb.Part) { p.Inline = make([]byte, maxInline+1) })},
		"inline and data": {kind.InvalidArgument, part(func(p *metapb.Part) { p.DataId = fatPart(1, 1).DataId })},
		"no data":         {kind.InvalidArgument, part(func(p *metapb.Part) { p.Inline = nil })},
		"another group": {kind.InvalidArgument, put(func(_ *metapb.Command, m *metapb.Manifest) {
			m.Parts[0] = fatPart(1, 1)
			m.Parts[0].DataId[0] = 1
			m.Size = m.Parts[0].Size
		})},
		"no layout":           {kind.InvalidArgument, placed(func(p *metapb.Placement) { p.Layout = nil })},
		"scheme overflow":     {kind.InvalidArgument, placed(func(p *metapb.Placement) { p.Layout.K, p.Layout.M = 1<<31, 1<<31 })},
		"no data shards":      {kind.InvalidArgument, placed(func(p *metapb.Placement) { p.Layout.K, p.Layout.M = 0, 32 })},
		"no length":           {kind.InvalidArgument, placed(func(p *metapb.Placement) { p.Layout.Length = 0 })},
		"huge block":          {kind.InvalidArgument, placed(func(p *metapb.Placement) { p.Layout.BlockLen = 1 << 31 })},
		"short drive ID":      {kind.InvalidArgument, placed(func(p *metapb.Placement) { p.Drives[0] = p.Drives[0][1:] })},
		"missing drive entry": {kind.InvalidArgument, placed(func(p *metapb.Placement) { p.Drives = p.Drives[1:] })},
		"too few shards":      {kind.InvalidArgument, placed(func(p *metapb.Placement) { clear(p.Drives[:5]) })},
		"no upload":           {kind.InvalidArgument, &metapb.Command{Bucket: testBucket, Key: "k", Op: &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{}}}},
		"no part":             {kind.InvalidPartNumber, &metapb.Command{Bucket: testBucket, Key: "k", Op: &metapb.Command_PutPart{PutPart: &metapb.PutPart{UploadId: version}}}},
		"many IDs":            {kind.InvalidArgument, &metapb.Command{Op: &metapb.Command_AckGarbage{AckGarbage: &metapb.AckGarbage{DataIds: make([][]byte, maxIDs+1)}}}},
		"short ID":            {kind.InvalidArgument, &metapb.Command{Op: &metapb.Command_QueueRepair{QueueRepair: &metapb.QueueRepair{DataIds: [][]byte{{1}}}}}},
		"short version":       {kind.InvalidArgument, &metapb.Command{Bucket: testBucket, Key: "k", Op: &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{VersionId: []byte{1}}}}},
	} {
		s := newGuard(t)
		r := s.apply(releaseBatch, 1, c.cmd)
		if r.Kind != uint32(c.want) || s.Len() != 0 {
			t.Errorf("%s: kind %d (%s), expected %d; %d records", name, r.Kind, r.Message, c.want, s.Len())
		}
	}
}
