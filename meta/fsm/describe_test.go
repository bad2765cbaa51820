package fsm

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"holdfast/proto/metapb"
)

// How the scripts write records down.

func describeResult(r *metapb.Result) string {
	out := "ok"
	if r.Kind != 0 {
		out = fmt.Sprintf("kind %d: %s", r.Kind, r.Message)
	}
	if r.Manifest != nil {
		out += " " + describeManifest(r.Manifest)
	}
	if r.Bucket != nil {
		out += " " + describeBucket(r.Bucket)
	}
	if r.Usage != nil {
		out += fmt.Sprintf(" %s taken=%d", describeUsage(r.Usage), r.TakenBytes)
	}
	if r.Revision != 0 {
		out += fmt.Sprintf(" revision %d", r.Revision)
	}
	if r.LayoutVersion != 0 {
		out += fmt.Sprintf(" layout %d", r.LayoutVersion)
	}
	return out + flags("", "found", r.Found, "made-or-removed-marker", r.DeleteMarker)
}

// flags joins the names of those pairs (name, bool) that are set.
func flags(sep string, pairs ...any) (out string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1].(bool) {
			out += sep + " " + pairs[i].(string)
		}
	}
	return out
}

func describeManifest(m *metapb.Manifest) string {
	out := fmt.Sprintf("%s@%d", nameOf(m.VersionId), m.Sequence) + flags("", "null", m.NullVersion, "marker", m.DeleteMarker, "sealed", m.Envelope != nil, "multipart", m.Multipart)
	if !m.DeleteMarker {
		out += fmt.Sprintf(" size=%d etag=%s", m.Size, m.Etag)
	}
	out += fmt.Sprintf(" t=%d", m.ModifiedMs) + describeLock(m)
	for _, p := range m.Parts {
		out += " " + describePart(p)
	}
	if m.PartRecords > 0 {
		out += fmt.Sprintf(" and %d records", m.PartRecords)
	}
	return out
}

func describeLock(m *metapb.Manifest) (out string) {
	if m.GetRetention() != nil {
		out = fmt.Sprintf(" %s until %d", m.Retention.Mode, m.Retention.UntilMs)
	}
	if m.GetTags() != "" {
		out += " tags=" + m.Tags
	}
	if m.GetOwner() != "" {
		out += " owner=" + m.Owner
	}
	if len(m.GetAcl()) > 0 {
		out += " acl=" + string(m.Acl)
	}
	return out + flags("", "hold", m.GetLegalHold())
}

func describePart(p *metapb.Part) string {
	out := fmt.Sprintf("[%d %s size=%d", p.Number, p.Etag, p.Size)
	if len(p.Inline) > 0 {
		out += " inline"
	}
	if len(p.DataId) > 0 {
		out += " " + nameOf(p.DataId)
	}
	if p.Placement != nil {
		out += " on " + describeDrives(p.Placement)
	}
	return out + "]"
}

func describeDrives(p *metapb.Placement) string {
	var names []string
	for _, d := range p.GetDrives() {
		names = append(names, nameOf(d))
	}
	return strings.Join(names, "")
}

func describeDrive(d *metapb.Drive) string {
	return fmt.Sprintf("drive %s %s %s since=%d node=%s zone=%s capacity=%d", nameOf(d.Id), d.Path, d.State, d.SinceMs, nameOf(d.Node), d.Zone, d.CapacityBytes) + flags("", "removed", d.Removed)
}

func describeNode(n *metapb.Node) string {
	return fmt.Sprintf("node %s %s %s since=%d zone=%s peer=%s s3=%s", nameOf(n.Id), n.Name, n.State, n.SinceMs, n.Zone, n.PeerAddress, n.S3Address) + flags("", "storage", n.Storage, "removed", n.Removed)
}

func describeSettings(s *metapb.Settings) string {
	return fmt.Sprintf("settings rate=%d after=%d", s.RebalanceBytesPerSecond, s.RepairAfterMs) + flags("", "paused", s.RebalancePaused)
}

func describeUsage(u *metapb.Usage) string {
	out := fmt.Sprintf("objects=%d versions=%d markers=%d bytes=%d", u.Objects, u.Versions, u.DeleteMarkers, u.Bytes)
	if u.Limited {
		out += fmt.Sprintf(" granted=%d", u.GrantedBytes)
	}
	return out + fmt.Sprintf(" revision=%d", u.QuotaRevision)
}

func describeBucket(b *metapb.Bucket) string {
	out := fmt.Sprintf("{%s %s owner=%s %s", b.Name, nameOf(b.Id), b.Owner, b.State)
	if b.Versioning != 0 {
		out += " " + b.Versioning.String()
	}
	for _, name := range slices.Sorted(maps.Keys(b.Documents)) {
		out += fmt.Sprintf(" %s=%s", name, b.Documents[name])
	}
	return out + flags("", "lock", b.ObjectLock) + "}"
}

func describeAnswer(a *metapb.Answer) string {
	var out strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	if a.Kind != 0 {
		say("kind %d: %s", a.Kind, a.Message)
		return out.String()
	}
	if a.Manifest != nil {
		say("%s", describeManifest(a.Manifest))
	}
	versions := slices.ContainsFunc(a.Entries, func(e *metapb.Entry) bool { return e.Latest })
	for _, e := range a.Entries {
		switch {
		case e.CommonPrefix:
			say("%s …", e.Key)
		case versions && e.Current != nil || e.Details != nil:
			line := fmt.Sprintf("%s %s@%d", e.Key, nameOf(e.Current.VersionId), e.Current.Sequence) + flags("", "latest", e.Latest, "marker", e.Current.DeleteMarker, "null", e.Current.NullVersion)
			say("%s%s", line, describeLock(e.Details))
		case e.Upload != nil:
			say("%s upload %s", e.Key, nameOf(e.Upload.UploadId))
		default:
			say("%s %s size=%d etag=%s", e.Key, nameOf(e.Current.VersionId), e.Current.Size, e.Current.Etag)
		}
	}
	if a.Upload != nil {
		say("upload %s version %s", nameOf(a.Upload.UploadId), nameOf(a.Upload.VersionId))
	}
	for _, p := range a.Parts {
		say("%s", describePart(p))
	}
	for _, d := range a.Data {
		if d.Placement == nil {
			say("%s is none", nameOf(d.DataId))
			continue
		}
		say("%s on %s refs=%d t=%d", nameOf(d.DataId), describeDrives(d.Placement), d.Placement.Refs, d.SinceMs)
	}
	if a.Usage != nil {
		say("%s", describeUsage(a.Usage))
	}
	for _, d := range a.Documents {
		say("%s/%s = %s @%d", d.Collection, d.Name, d.Value, d.Revision)
	}
	if a.Revision != 0 {
		say("revision %d", a.Revision)
	}
	for _, b := range a.Buckets {
		say("%s", describeBucket(b))
	}
	if a.Cluster != nil {
		say("cluster %s groups=%d", nameOf(a.Cluster.Id), a.Cluster.Groups)
	}
	for _, d := range a.Drives {
		say("%s", describeDrive(d))
	}
	for _, n := range a.Nodes {
		say("%s", describeNode(n))
	}
	if a.Settings != nil {
		say("%s", describeSettings(a.Settings))
	}
	if l := a.Layout; l != nil {
		say("layout %d of cluster %s", l.Version, nameOf(l.Cluster.GetId()))
		for _, n := range l.Nodes {
			say("  %s", describeNode(n))
		}
		for _, d := range l.Drives {
			say("  %s", describeDrive(d))
		}
		say("  %s", describeSettings(l.Settings))
	}
	if a.Truncated {
		say("and more")
	}
	if out.Len() == 0 {
		say("nothing")
	}
	return strings.ReplaceAll(out.String(), "\x00", "~")
}

// dump writes the records of the tables named by their letters, or all.
func (r *script) dump(tables string) string {
	var out strings.Builder
	it := r.s.MapStore.Iterate(nil)
	for it.Seek(nil); it.Valid(); it.Next() {
		k := it.Key()
		v, _ := it.Value()
		if tables == "" || strings.IndexByte(tables, k[0]) >= 0 {
			fmt.Fprintf(&out, "%c %s\n", k[0], describeRecord(k[0], k[1:], v))
		}
	}
	if out.Len() == 0 {
		return "empty\n"
	}
	return strings.ReplaceAll(out.String(), "\x00", "~")
}

func describeRecord(table byte, k, v []byte) string {
	parse := func(m proto.Message) {
		if err := proto.Unmarshal(v, m); err != nil {
			panic(err)
		}
	}
	object := func() (string, []byte) {
		key, rest, ok := splitKey(k[16:])
		if !ok {
			panic("key")
		}
		return string(key), rest
	}
	switch table {
	case tableCurrent:
		c := &metapb.Current{}
		parse(c)
		key, _ := object()
		return fmt.Sprintf("%s: %s@%d", key, nameOf(c.VersionId), c.Sequence) + flags("", "null", c.NullVersion, "marker", c.DeleteMarker, "inlined", c.Inlined, "older", c.Older)
	case tableVersion:
		m := &metapb.Manifest{}
		parse(m)
		key, rest := object()
		return fmt.Sprintf("%s %d: %s", key, ^binary.BigEndian.Uint64(rest), describeManifest(m))
	case tableParts:
		m := &metapb.Manifest{}
		parse(m)
		key, rest := object()
		out := fmt.Sprintf("%s %d.%d:", key, ^binary.BigEndian.Uint64(rest), binary.BigEndian.Uint32(rest[8:]))
		for _, p := range m.Parts {
			out += " " + describePart(p)
		}
		return out
	case tableIndex:
		key, rest := object()
		return fmt.Sprintf("%s %s: %d", key, nameOf(rest), binary.BigEndian.Uint64(v))
	case tableNull:
		key, _ := object()
		return fmt.Sprintf("%s: %d", key, binary.BigEndian.Uint64(v))
	case tableUpload:
		key, rest := object()
		return fmt.Sprintf("%s %s", key, nameOf(rest))
	case tablePart:
		p := &metapb.Part{}
		parse(p)
		return fmt.Sprintf("%s %s", nameOf(k[:16]), describePart(p))
	case tableData:
		p := &metapb.Placement{}
		parse(p)
		return fmt.Sprintf("%s: on %s refs=%d", nameOf(k), describeDrives(p), p.Refs)
	case tableGarbage:
		g := &metapb.Garbage{}
		parse(g)
		return fmt.Sprintf("%s: on %s since %d", nameOf(k), describeDrives(g.Placement), g.SinceMs)
	case tableRelease:
		r := &metapb.Release{}
		parse(r)
		out := fmt.Sprintf("%d.%d:", binary.BigEndian.Uint64(k), binary.BigEndian.Uint32(k[8:]))
		for d := range slices.Chunk(r.DataIds, 16) {
			out += " " + nameOf(d)
		}
		if len(r.UploadId) > 0 {
			out += fmt.Sprintf(" upload %s kept %x", nameOf(r.UploadId), r.Kept)
		}
		return out
	case tableBacklog:
		return fmt.Sprint(binary.BigEndian.Uint64(v))
	case tableBucket:
		b := &metapb.Bucket{}
		parse(b)
		return describeBucket(b)
	}
	return nameOf(k)
}
