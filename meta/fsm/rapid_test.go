package fsm

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// machine drives two replicas and the model with the same random commands.
type machine struct {
	a, b    *guardStore
	m       *model
	index   uint64
	next    byte
	nextLow byte
	mode    metapb.Versioning
	history []*metapb.Command
	ids     [][]byte // version IDs ever used
	batch   int
}

var (
	testBucket = bytes.Repeat([]byte{0xb0}, 16)
	testKeys   = []string{"a", "a/b", "a\x00b"}
	testETags  = []string{"e1", "e2", "e3"}
)

func (x *machine) newID() []byte {
	x.nextLow++
	if x.nextLow == 0 {
		x.next++
	}
	b := make([]byte, 16)
	b[15], b[14] = x.nextLow, x.next
	b[0] = 0xee // no group's data
	return b
}

func (x *machine) newData() []byte {
	b := x.newID()
	binary.BigEndian.PutUint32(b, 1)
	return b
}

func drive(n int) []byte {
	if n == 0 {
		return nil
	}
	return bytes.Repeat([]byte{byte(n)}, 16)
}

func (x *machine) part(t *rapid.T, number uint32) *metapb.Part {
	p := &metapb.Part{Number: number, Size: uint64(rapid.IntRange(1, 9).Draw(t, "size")), Etag: rapid.SampledFrom(testETags).Draw(t, "etag"),
		StreamId: x.newID(), ModifiedMs: 1000, WrappedKey: []byte("wrapped")}
	if rapid.IntRange(0, 3).Draw(t, "inline") == 0 {
		p.Inline = []byte("inline")
		return p
	}
	p.DataId = x.newData()
	if rapid.Bool().Draw(t, "stream is data ID") {
		p.StreamId = p.DataId // as sealed data on shards has it
	}
	p.Placement = &metapb.Placement{Layout: &metapb.Layout{K: 2, M: 1, BlockLen: 8, Length: 9}, Refs: 9}
	missing := rapid.IntRange(0, 8).Draw(t, "missing")
	for i := range 3 {
		d := drive(i + 1)
		if i == missing {
			d = make([]byte, rapid.SampledFrom([]int{0, 16}).Draw(t, "zero"))
		}
		p.Placement.Drives = append(p.Placement.Drives, d)
	}
	return p
}

func (x *machine) manifest(t *rapid.T) *metapb.Manifest {
	m := &metapb.Manifest{VersionId: x.newID(), Etag: rapid.SampledFrom(testETags).Draw(t, "etag"), ModifiedMs: 1000 * int64(rapid.IntRange(1, 3).Draw(t, "modified")),
		Headers: map[string]string{"Content-Type": "x", "Cache-Control": "y", "Expires": "z"}, Metadata: map[string]string{"a": "1", "b": "2", "c": "3"}}
	if rapid.Bool().Draw(t, "sealed") {
		m.Envelope = &metapb.Envelope{Version: 1, Salt: x.newID()}
	}
	for i := range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 5}).Draw(t, "parts") {
		p := x.part(t, uint32(i+1))
		m.Parts = append(m.Parts, p)
		m.Size += p.Size
	}
	x.ids = append(x.ids, m.VersionId)
	return m
}

func (x *machine) condition(t *rapid.T) *metapb.Condition {
	if rapid.IntRange(0, 2).Draw(t, "conditional") > 0 {
		return nil
	}
	c := &metapb.Condition{}
	switch rapid.IntRange(0, 5).Draw(t, "condition") {
	case 0:
		c.IfNoneMatch = "*"
	case 1:
		c.IfMatch = "*"
	case 2:
		c.IfMatch = rapid.SampledFrom(testETags).Draw(t, "if-match")
	case 3:
		c.IfVersion = x.anyID(t)
	case 4:
		c.IfModifiedMs = 1000*int64(rapid.IntRange(1, 3).Draw(t, "if-modified")) + 7
	case 5:
		c.IfSize = int64(rapid.IntRange(1, 10).Draw(t, "if-size"))
	}
	return c
}

// anyID is a version ID that was used, with a liking for the latest.
func (x *machine) anyID(t *rapid.T) []byte {
	if len(x.ids) == 0 {
		return x.newID()
	}
	back := min(rapid.IntRange(0, 12).Draw(t, "back"), len(x.ids)-1)
	return x.ids[len(x.ids)-1-back]
}

func (x *machine) versioning(t *rapid.T) metapb.Versioning {
	switch rapid.IntRange(0, 40).Draw(t, "mode") {
	case 0:
		x.mode = metapb.Versioning_ENABLED
	case 1:
		if x.mode == metapb.Versioning_ENABLED {
			x.mode = metapb.Versioning_SUSPENDED
		}
	case 2:
		return metapb.Versioning_UNVERSIONED // a front that is behind
	}
	return x.mode
}

func (x *machine) run(t *rapid.T, key string, op any) kind.Kind {
	cmd := &metapb.Command{RequestId: x.newID(), NowMs: 1000, Bucket: testBucket, Key: key}
	switch op := op.(type) {
	case *metapb.PutVersion:
		cmd.Op = &metapb.Command_PutVersion{PutVersion: op}
	case *metapb.DeleteVersion:
		cmd.Op = &metapb.Command_DeleteVersion{DeleteVersion: op}
	case *metapb.CreateUpload:
		cmd.Op = &metapb.Command_CreateUpload{CreateUpload: op}
	case *metapb.PutPart:
		cmd.Op = &metapb.Command_PutPart{PutPart: op}
	case *metapb.CompleteUpload:
		cmd.Op = &metapb.Command_CompleteUpload{CompleteUpload: op}
	case *metapb.AbortUpload:
		cmd.Op = &metapb.Command_AbortUpload{AbortUpload: op}
	case *metapb.SwapDrives:
		cmd.Op = &metapb.Command_SwapDrives{SwapDrives: op}
	case *metapb.AckGarbage:
		cmd.Op = &metapb.Command_AckGarbage{AckGarbage: op}
	case *metapb.AckRepair:
		cmd.Op = &metapb.Command_AckRepair{AckRepair: op}
	case *metapb.QueueRepair:
		cmd.Op = &metapb.Command_QueueRepair{QueueRepair: op}
	case *metapb.CloseBucket:
		cmd.Op = &metapb.Command_CloseBucket{CloseBucket: op}
	case *metapb.OpenBucket:
		cmd.Op = &metapb.Command_OpenBucket{OpenBucket: op}
	default:
		t.Fatalf("no such command: %T", op)
	}
	x.history = append(x.history, cmd)
	return x.propose(t, cmd)
}

// propose applies a command to both replicas, one of which gets it over the wire, and the model.
func (x *machine) propose(t *rapid.T, cmd *metapb.Command) kind.Kind {
	x.index++
	before := proto.Clone(cmd)
	wire, err := proto.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	got := x.a.apply(x.batch, x.index, cmd)
	if !proto.Equal(before, cmd) {
		t.Fatalf("Apply changed its command\nfrom %v\nto   %v", before, cmd)
	}
	copied := &metapb.Command{}
	if err := proto.Unmarshal(wire, copied); err != nil {
		t.Fatal(err)
	}
	if other := x.b.apply(x.batch, x.index, copied); !proto.Equal(got, other) {
		t.Fatalf("two replicas answer %v with\n%v\n%v", cmd, got, other)
	}
	if want := x.m.apply(cmd); got.Kind != uint32(want) {
		t.Fatalf("%v\nanswered %d (%s), the model says %d", cmd, got.Kind, got.Message, want)
	}
	return kind.Kind(got.Kind)
}

func (x *machine) actions() map[string]func(*rapid.T) {
	key := func(t *rapid.T) string { return rapid.SampledFrom(testKeys).Draw(t, "key") }
	put := func(t *rapid.T) {
		x.run(t, key(t), &metapb.PutVersion{Manifest: x.manifest(t), Condition: x.condition(t), Versioning: x.versioning(t)})
	}
	return map[string]func(*rapid.T){
		"put": put, "put2": put,
		"share": func(t *rapid.T) {
			lender, m := x.anyID(t), &metapb.Manifest{VersionId: x.newID(), Etag: "shared", ModifiedMs: 2000}
			x.ids = append(x.ids, m.VersionId)
			k := key(t)
			if v := x.m.byID(k, lender); v != nil && !v.marker && rapid.Bool().Draw(t, "with parts") {
				m.Parts, m.Size = v.m.Parts, v.m.Size
			}
			x.run(t, k, &metapb.PutVersion{Manifest: m, ShareFrom: lender, Condition: x.condition(t), Versioning: x.versioning(t)})
		},
		"delete": func(t *rapid.T) {
			marker := x.newID()
			x.ids = append(x.ids, marker)
			x.run(t, key(t), &metapb.DeleteVersion{MarkerId: marker, Condition: x.condition(t), Versioning: x.versioning(t)})
		},
		"delete version": func(t *rapid.T) {
			d := &metapb.DeleteVersion{Condition: x.condition(t), Versioning: x.versioning(t)}
			if d.NullVersion = rapid.IntRange(0, 2).Draw(t, "null") == 0; !d.NullVersion {
				d.VersionId = x.anyID(t)
			}
			x.run(t, key(t), d)
		},
		"create upload": func(t *rapid.T) {
			u := &metapb.Upload{UploadId: x.newID(), VersionId: x.newID(), InitiatedMs: 1000, Headers: map[string]string{"a": "b", "c": "d"}}
			x.ids = append(x.ids, u.VersionId)
			x.run(t, key(t), &metapb.CreateUpload{Upload: u})
		},
		"put part":  x.putPart,
		"put part2": x.putPart,
		"complete":  x.complete,
		"abort": func(t *rapid.T) {
			if id, u := x.anyUpload(t); u != nil && rapid.Bool().Draw(t, "really") {
				x.run(t, u.key, &metapb.AbortUpload{UploadId: id})
			}
		},
		"close": func(t *rapid.T) {
			x.run(t, "", &metapb.CloseBucket{KeepUploads: rapid.Bool().Draw(t, "keep")})
			if x.m.closed {
				put(t)
				x.putPart(t)
				x.complete(t)
			}
			if rapid.IntRange(0, 3).Draw(t, "open") > 0 {
				x.run(t, "", &metapb.OpenBucket{})
			}
		},
		"open":   func(t *rapid.T) { x.run(t, "", &metapb.OpenBucket{}) },
		"repair": x.repair,
		"reap": func(t *rapid.T) {
			var ids [][]byte
			for d := range takeCensus(t, x.a.MapStore).garbage {
				ids = append(ids, []byte(d))
			}
			slices.SortFunc(ids, bytes.Compare)
			if len(ids) > 0 {
				x.run(t, "", &metapb.AckGarbage{DataIds: ids[:rapid.IntRange(1, len(ids)).Draw(t, "n")]})
			}
		},
		"say it again": func(t *rapid.T) {
			if n := len(x.history); n > 0 {
				x.propose(t, x.history[n-1])
			}
		},
		"say something old again": func(t *rapid.T) {
			if len(x.history) == 0 {
				return
			}
			cmd := x.history[rapid.IntRange(max(0, len(x.history)-20), len(x.history)-1).Draw(t, "which")]
			if cmd.GetSwapDrives() != nil || cmd.GetAckGarbage() != nil || cmd.GetCreateUpload() != nil {
				return // out of the promise: see doc.go
			}
			x.propose(t, cmd)
		},
		"": x.check,
	}
}

func (x *machine) anyUpload(t *rapid.T) ([]byte, *modelUpload) {
	var ids []string
	for id := range x.m.uploads {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	id := rapid.SampledFrom(ids).Draw(t, "upload")
	return []byte(id), x.m.uploads[id]
}

func (x *machine) putPart(t *rapid.T) {
	id, u := x.anyUpload(t)
	if u == nil {
		return
	}
	x.run(t, u.key, &metapb.PutPart{UploadId: id, Part: x.part(t, uint32(rapid.IntRange(1, 6).Draw(t, "number")))})
}

func (x *machine) complete(t *rapid.T) {
	id, u := x.anyUpload(t)
	if u == nil {
		return
	}
	c := &metapb.CompleteUpload{UploadId: id, VersionId: u.u.VersionId, Etag: "whole", Condition: x.condition(t), Versioning: x.versioning(t),
		MinPartSize: uint64(rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "min"))}
	for n := uint32(1); n <= 6; n++ {
		p := u.parts[n]
		if p == nil && rapid.IntRange(0, 20).Draw(t, "absent") > 0 || rapid.IntRange(0, 5).Draw(t, "skip") == 0 {
			continue
		}
		cp := &metapb.CompletePart{Number: n, Etag: p.GetEtag(), StreamId: p.GetStreamId()}
		switch rapid.IntRange(0, 30).Draw(t, "wrong") {
		case 0:
			cp.Etag = "wrong"
		case 1:
			cp.StreamId = x.newID()
		case 2:
			cp.StreamId = nil
		}
		c.Parts = append(c.Parts, cp)
	}
	if len(c.Parts) > 0 {
		x.run(t, u.key, c)
	}
}

func (x *machine) repair(t *rapid.T) {
	x.drain(t)
	var ids []string
	for d := range x.m.data {
		ids = append(ids, d)
	}
	for d := range x.m.garbage {
		ids = append(ids, d)
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	d := []byte(rapid.SampledFrom(ids).Draw(t, "data"))
	switch rapid.IntRange(0, 2).Draw(t, "step") {
	case 0:
		x.run(t, "", &metapb.QueueRepair{DataIds: [][]byte{d}})
	case 1:
		x.run(t, "", &metapb.AckRepair{DataIds: [][]byte{d}})
	default:
		s := &metapb.SwapDrives{DataId: d}
		for range rapid.IntRange(1, 2).Draw(t, "swaps") {
			s.Swaps = append(s.Swaps, &metapb.Swap{Index: uint32(rapid.IntRange(0, 2).Draw(t, "index")),
				From: drive(rapid.IntRange(0, 4).Draw(t, "from")), To: drive(rapid.IntRange(0, 4).Draw(t, "to"))})
		}
		x.run(t, "", s)
	}
}

// drain works the backlog off.
func (x *machine) drain(t *rapid.T) {
	for {
		n, err := backlog(x.a)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		x.propose(t, &metapb.Command{NowMs: 1000, Op: &metapb.Command_AckGarbage{AckGarbage: &metapb.AckGarbage{}}})
	}
}

func (x *machine) check(t *rapid.T) {
	takeCensus(t, x.a.MapStore).check(t)
	if rapid.IntRange(0, 3).Draw(t, "look") > 0 {
		return
	}
	if !bytes.Equal(dump(x.a.MapStore), dump(x.b.MapStore)) {
		t.Fatal("the replicas differ")
	}
	x.a.checkKept()
	for _, key := range testKeys {
		x.compareKey(t, key)
	}
	x.drain(t)
	c := takeCensus(t, x.a.MapStore)
	c.check(t)
	x.compareData(t, c)
}

func (x *machine) ask(t *rapid.T, q *metapb.Query) *metapb.Answer {
	a, err := Answer(x.a, 1, q)
	if err != nil {
		t.Fatalf("%v: %v", q, err)
	}
	if x.a.open {
		t.Fatalf("%v left an iterator open", q)
	}
	return a
}

// compareKey asks for every version of a key in each way.
func (x *machine) compareKey(t *rapid.T, key string) {
	get := func(v *modelVersion, missing kind.Kind, g *metapb.GetVersion) {
		a := x.ask(t, &metapb.Query{Bucket: testBucket, Key: key, Op: &metapb.Query_GetVersion{GetVersion: g}})
		switch {
		case v == nil:
			if a.Kind != uint32(missing) {
				t.Fatalf("get %q %v: %v, expected kind %d", key, g, a, missing)
			}
		case a.Kind != 0 || string(a.Manifest.VersionId) != v.id || a.Manifest.NullVersion != v.null || a.Manifest.DeleteMarker != v.marker:
			t.Fatalf("get %q %v: %v, expected version %x", key, g, a, v.id)
		case !v.marker:
			x.compareManifest(t, a.Manifest, v.m)
		}
	}
	get(x.m.top(key), kind.NoSuchKey, &metapb.GetVersion{})
	get(x.m.find(key, isNull), kind.NoSuchVersion, &metapb.GetVersion{NullVersion: true})
	for _, id := range x.ids {
		get(x.m.byID(key, id), kind.NoSuchVersion, &metapb.GetVersion{VersionId: id})
	}
}

func (x *machine) compareManifest(t *rapid.T, got, want *metapb.Manifest) {
	if got.Size != want.Size || got.Etag != want.Etag || len(got.Parts) != len(want.Parts) || !proto.Equal(got.Envelope, want.Envelope) || len(got.Headers) != len(want.Headers) && !want.Multipart {
		t.Fatalf("stored %v\nexpected %v", got, want)
	}
	for i, p := range got.Parts {
		if len(p.DataId) > 0 {
			for n, d := range p.Placement.Drives {
				if string(d) != x.m.data[string(p.DataId)][n] {
					t.Fatalf("shard %d of %x is on %x", n, p.DataId, d)
				}
			}
		}
		p.Placement = want.Parts[i].Placement
		if !proto.Equal(p, want.Parts[i]) {
			t.Fatalf("stored part %v\nexpected %v", p, want.Parts[i])
		}
	}
}

// compareData holds what is stored of data, garbage, the queue and uploads against the model.
func (x *machine) compareData(t *rapid.T, c *census) {
	if len(c.data) != len(x.m.data) || len(c.garbage) != len(x.m.garbage) || len(c.repair) != len(x.m.queue) || len(c.uploads) != len(x.m.uploads) || (len(c.closed) > 0) != x.m.closed {
		t.Fatalf("stored data %d garbage %d queue %d uploads %d, expected %d %d %d %d", len(c.data), len(c.garbage), len(c.repair), len(c.uploads),
			len(x.m.data), len(x.m.garbage), len(x.m.queue), len(x.m.uploads))
	}
	for d, p := range c.data {
		if x.m.data[d] == nil || int(p.Refs) != x.m.users(d) {
			t.Fatalf("data %x: %v, expected %d users", d, p, x.m.users(d))
		}
	}
	for d := range c.garbage {
		if !x.m.garbage[d] {
			t.Fatalf("%x should be no garbage", d)
		}
	}
	for d := range c.repair {
		if !x.m.queue[d] {
			t.Fatalf("%x should not be queued", d)
		}
	}
	for id, u := range x.m.uploads {
		a := x.ask(t, &metapb.Query{Bucket: testBucket, Key: u.key, Op: &metapb.Query_GetUpload{GetUpload: &metapb.GetUpload{UploadId: []byte(id), WithParts: true}}})
		if a.Kind != 0 || len(a.Parts) != len(u.parts) {
			t.Fatalf("upload %x: %v, expected %d parts", id, a, len(u.parts))
		}
		for _, p := range a.Parts {
			if !bytes.Equal(p.StreamId, u.parts[p.Number].StreamId) {
				t.Fatalf("part %d of upload %x is another attempt", p.Number, id)
			}
		}
	}
}

func TestApplyEqualsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &machine{m: newModel(), batch: rapid.SampledFrom([]int{1, 3, releaseBatch}).Draw(t, "batch")}
		x.a, x.b = newGuard(t), newGuard(t)
		t.Repeat(x.actions())
	})
}
