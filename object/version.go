package object

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

const nullVersion = "null"

// versionText is a version's ID as the S3 API shows it; "" in a bucket that never had versioning.
func versionText(m *metapb.Manifest, v metapb.Versioning) string {
	switch {
	case m == nil || v == metapb.Versioning_UNVERSIONED && m.NullVersion:
		return ""
	case m.NullVersion:
		return nullVersion
	}
	return hex.EncodeToString(m.VersionId)
}

// newVersionText is versionText of a version that was just put: AWS shows the ID of a null version of a suspended
// bucket to who reads it, not to who writes it.
func newVersionText(m *metapb.Manifest, v metapb.Versioning) string {
	if v != metapb.Versioning_ENABLED {
		return ""
	}
	return hex.EncodeToString(m.VersionId)
}

// proto is nil for nil.
func (r *Retention) proto() *metapb.Retention {
	if r == nil {
		return nil
	}
	p := &metapb.Retention{Mode: r.Mode}
	if !r.Until.IsZero() {
		p.UntilMs = r.Until.UnixMilli()
	}
	return p
}

func protectionOf(m *metapb.Manifest) Protection {
	p := Protection{LegalHold: m.LegalHold}
	if r := m.Retention; r != nil {
		p.Retention = &Retention{Mode: r.Mode, Until: time.UnixMilli(r.UntilMs).UTC()}
	}
	return p
}

// Update changes tags, locks or ACL of a version in place, and describes it. kind.AccessDenied where a lock
// forbids it, kind.MethodNotAllowed for a delete marker.
func (e *Engine) Update(ctx context.Context, r UpdateRequest) (Info, error) {
	t, err := e.target(ctx, r.Bucket, r.Key)
	if err != nil {
		return Info{}, err
	}
	u := &metapb.UpdateVersion{Tags: r.Tags, Retention: r.Retention.proto(), BypassGovernance: r.BypassGovernance, LegalHold: r.LegalHold, Acl: r.ACL}
	if r.VersionID != "" {
		if u.VersionId, u.NullVersion, err = parseVersion(r.VersionID); err != nil {
			return Info{}, err
		}
	}
	cmd := e.command(t)
	cmd.Op = &metapb.Command_UpdateVersion{UpdateVersion: u}
	res, err := e.commit(ctx, t, cmd)
	if err != nil {
		return Info{}, err
	}
	return infoOf(t, res.Manifest, nil), nil
}

// Stat describes a version without its key: what tags, locks and ACL need. A delete marker is an error as in Head,
// with its Info beside it.
func (e *Engine) Stat(ctx context.Context, bucket, key, version string) (Info, error) {
	t, err := e.target(ctx, bucket, key)
	if err != nil {
		return Info{}, err
	}
	m, err := e.version(ctx, t, version, &metapb.GetVersion{WithoutParts: true})
	if m == nil {
		return Info{}, err
	}
	return infoOf(t, m, nil), err
}

// ListVersions returns a page of versions, delete markers and common prefixes, by key, newest first.
func (e *Engine) ListVersions(ctx context.Context, r ListVersionsRequest) (VersionsPage, error) {
	b, err := e.lookup(ctx, r.Bucket)
	if err != nil {
		return VersionsPage{}, err
	}
	sequence, err := e.place(ctx, b, r)
	if err != nil {
		return VersionsPage{}, err
	}
	entries, more, err := e.merge(ctx, r.Limit, func(ctx context.Context, group uint32, last *metapb.Entry, limit int) (*metapb.Answer, error) {
		q := &metapb.ListVersions{Prefix: r.Prefix, Delimiter: r.Delimiter, KeyAfter: r.KeyAfter, SequenceAfter: sequence, AfterPrefix: r.AfterPrefix, Limit: uint32(limit)}
		if last != nil {
			q.KeyAfter, q.AfterPrefix, q.SequenceAfter = last.Key, last.CommonPrefix, last.Current.GetSequence()
		}
		return e.cfg.Metadata.Ask(ctx, group, &metapb.Query{Bucket: b.id[:], Op: &metapb.Query_ListVersions{ListVersions: q}})
	})
	if err != nil {
		return VersionsPage{}, err
	}
	page := VersionsPage{More: more, Entries: make([]VersionEntry, len(entries))}
	for i, en := range entries {
		page.Entries[i] = versionEntry(en)
	}
	if n := len(entries); n > 0 && !entries[n-1].CommonPrefix {
		page.NextVersion = page.Entries[n-1].VersionID + "." + strconv.FormatUint(entries[n-1].Current.GetSequence(), 36)
	}
	return page, nil
}

func versionEntry(en *metapb.Entry) VersionEntry {
	v := VersionEntry{ListEntry: listEntry(en), Latest: en.Latest}
	if c := en.Current; c != nil {
		v.DeleteMarker, v.VersionID = c.DeleteMarker, hex.EncodeToString(c.VersionId)
		if c.NullVersion {
			v.VersionID = nullVersion
		}
	}
	return v
}

// place finds where a page begins among the versions of its first key. A marker that a page gave out says so
// itself, because the version that it names may be gone by now; of a plain version ID the group is asked.
func (e *Engine) place(ctx context.Context, b bucketRecord, r ListVersionsRequest) (sequence uint64, err error) {
	if r.VersionAfter == "" {
		return 0, nil
	}
	if r.KeyAfter == "" || r.AfterPrefix {
		return 0, kind.New(kind.InvalidArgument, "A version-id marker cannot be specified without a key marker.")
	}
	name, text, ok := strings.Cut(r.VersionAfter, ".")
	if ok {
		sequence, err = strconv.ParseUint(text, 36, 64)
	}
	if _, _, bad := parseVersion(name); bad != nil || err != nil || ok && sequence == 0 {
		return 0, kind.New(kind.InvalidArgument, "Invalid version id specified")
	}
	if ok {
		return sequence, nil
	}
	t := target{bucket: b.id, name: r.Bucket, key: r.KeyAfter, group: meta.GroupOf(e.cfg.Metadata.Groups(), b.id, r.KeyAfter)}
	m, err := e.version(ctx, t, name, &metapb.GetVersion{WithoutParts: true})
	if m == nil {
		if kind.Is(err, kind.NoSuchKey) || kind.Is(err, kind.NoSuchVersion) {
			err = nil // all of that key's versions are taken for seen
		}
		return 0, err
	}
	return m.Sequence, nil
}

// version asks a key's group for a version. Of a delete marker the manifest is told beside the error.
func (e *Engine) version(ctx context.Context, t target, version string, q *metapb.GetVersion) (m *metapb.Manifest, err error) {
	if version != "" {
		if q.VersionId, q.NullVersion, err = parseVersion(version); err != nil {
			return nil, err
		}
	}
	a, err := e.ask(ctx, t, &metapb.Query{Op: &metapb.Query_GetVersion{GetVersion: q}})
	if err != nil {
		return nil, err
	}
	switch m = a.Manifest; {
	case m == nil && version != "":
		return nil, kind.New(kind.NoSuchVersion, "The specified version does not exist.")
	case m == nil:
		return nil, kind.New(kind.NoSuchKey, "The specified key does not exist.")
	case m.DeleteMarker && version == "":
		return m, kind.New(kind.NoSuchKey, "The specified key does not exist.")
	case m.DeleteMarker:
		return m, kind.New(kind.MethodNotAllowed, "The specified method is not allowed against this resource.")
	}
	return m, nil
}
