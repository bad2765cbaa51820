package fsm

import (
	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// updateVersion changes tags, locks or ACL of a version in place.
func (a *applier) updateVersion(c *metapb.UpdateVersion) (*metapb.Result, error) {
	if err := checkUpdate(c); err != nil {
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
	sequence, err := selectVersion(a.s, a.object, cur, c.VersionId, c.NullVersion)
	if err != nil {
		return nil, err
	}
	m, err := loadManifestRecord(a.s, a.object, sequence)
	if err != nil {
		return nil, err
	}
	if m.DeleteMarker {
		if len(c.VersionId) == 0 && !c.NullVersion {
			return nil, errNoSuchKey
		}
		return nil, refuse(kind.MethodNotAllowed, "The specified method is not allowed against this resource.")
	}
	if c.Retention != nil {
		if err := mayRetain(m.Retention, c.Retention, a.cmd.NowMs, c.BypassGovernance); err != nil {
			return nil, err
		}
	}
	update(m, c)
	if err := checkDetails(m); err != nil {
		return nil, err
	}
	b, err := encodeManifest(m)
	if err != nil {
		return nil, err
	}
	if err := a.s.Set(versionKey(a.object, sequence), b); err != nil {
		return nil, err
	}
	if sequence == cur.Sequence && cur.Locked != lockable(m) {
		cur.Locked = lockable(m)
		if err := save(a.s, a.current, cur); err != nil {
			return nil, err
		}
	}
	m.Parts, m.PartRecords = nil, 0
	return &metapb.Result{Found: true, Manifest: m}, nil
}

func checkUpdate(c *metapb.UpdateVersion) error {
	if n := len(c.VersionId); n != 0 && (n != id.Size || c.NullVersion) {
		return refuse(kind.InvalidArgument, "a version is named by its ID of 16 bytes, or as the null version")
	}
	if len(c.GetReplication()) > maxNameLen {
		return refuse(kind.InvalidArgument, "the replication status is too long")
	}
	return checkRetention(c.Retention)
}

func update(m *metapb.Manifest, c *metapb.UpdateVersion) {
	if c.Tags != nil {
		m.Tags = *c.Tags
	}
	if c.Retention != nil {
		m.Retention = proto.CloneOf(c.Retention)
		if m.Retention.Mode == metapb.Retention_NONE {
			m.Retention = nil
		}
	}
	if c.LegalHold != nil {
		m.LegalHold = *c.LegalHold
	}
	if c.Acl != nil {
		m.Acl = c.Acl
	}
	if c.Replication != nil {
		m.Replication = *c.Replication
	}
}

// selectVersion is the sequence of a version of a key: by its ID, the null version, or the current one.
func selectVersion(r Reader, object []byte, cur *metapb.Current, version []byte, null bool) (uint64, error) {
	sequence, found, err := uint64(0), false, error(nil)
	switch {
	case null:
		sequence, found, err = findNull(r, object, cur)
	case len(version) > 0:
		sequence, found, err = findVersion(r, object, cur, version)
	case cur == nil:
		return 0, errNoSuchKey
	default:
		return cur.Sequence, nil
	}
	if err == nil && !found {
		err = errNoSuchVersion
	}
	return sequence, err
}
