package fsm

import (
	"google.golang.org/protobuf/proto"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

var errQuota error = &refusal{kind.QuotaExceeded, "The bucket's quota does not allow this request."}

// delta is what a command does to the usage of its bucket.
type delta struct{ objects, versions, markers, bytes int64 }

// count notes that a version comes (1) or goes (-1).
func (a *applier) count(c *metapb.Current, sign int64) {
	if c.DeleteMarker {
		a.used.markers += sign
		return
	}
	a.used.versions += sign
	a.used.bytes += sign * int64(c.Size)
}

// shift notes that the key's current version was cur and now is none, or a delete marker, or neither.
func (a *applier) shift(cur *metapb.Current, gone bool) {
	if cur != nil && !cur.DeleteMarker {
		a.used.objects--
	}
	if !gone {
		a.used.objects++
	}
}

func usageKey(bucket []byte) []byte { return tableKey(tableUsage, bucket) }

func loadUsage(r Reader, bucket []byte) (*metapb.Usage, error) {
	u := &metapb.Usage{}
	_, err := load(r, usageKey(bucket), "usage", u)
	return u, err
}

// usageNow is the bucket's usage before this command.
func (a *applier) usageNow() (u *metapb.Usage, err error) {
	if a.usage == nil {
		a.usage, err = loadUsage(a.s, a.cmd.Bucket)
	}
	return a.usage, err
}

// saveUsage ends a command. Nothing is read or written when nothing has changed.
func (a *applier) saveUsage() error {
	if a.used == (delta{}) {
		return nil
	}
	u, err := a.usageNow()
	if err != nil {
		return err
	}
	u.Objects, u.Versions = add(u.Objects, a.used.objects), add(u.Versions, a.used.versions)
	u.DeleteMarkers, u.Bytes = add(u.DeleteMarkers, a.used.markers), add(u.Bytes, a.used.bytes)
	return a.putUsage(u)
}

// add stays at 0 rather than wrap: a number that was wrong must not stop a group.
func add(n uint64, by int64) uint64 {
	if by < 0 && uint64(-by) > n {
		return 0
	}
	return n + uint64(by)
}

// putUsage writes a record; that of an empty bucket without a quota is none.
func (a *applier) putUsage(u *metapb.Usage) error {
	if proto.Size(u) == 0 {
		return a.s.Delete(usageKey(a.cmd.Bucket))
	}
	return save(a.s, usageKey(a.cmd.Bucket), u)
}

// afford refuses a version that the group's share of the bucket's quota has no room for. Bytes of what it takes the
// place of count until it is gone: as on other servers, to replace needs room for both.
func (a *applier) afford(bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	u, err := a.usageNow()
	if err != nil {
		return err
	}
	if u.Limited && (u.Bytes > u.GrantedBytes || bytes > u.GrantedBytes-u.Bytes) {
		return errQuota
	}
	return nil
}

// grantQuota changes the group's share.
func (a *applier) grantQuota(c *metapb.GrantQuota) (*metapb.Result, error) {
	u, err := loadUsage(a.s, a.cmd.Bucket)
	if err != nil {
		return nil, err
	}
	switch {
	case c.QuotaRevision < u.QuotaRevision:
		return nil, refuse(kind.Conflict, "the quota has changed")
	case c.AddBytes > maxQuota || c.TakeBytes > maxQuota:
		return nil, refuse(kind.InvalidArgument, "a quota has at most %d bytes", uint64(maxQuota))
	case c.Unlimited:
		u.Limited, u.GrantedBytes, u.QuotaRevision = false, 0, c.QuotaRevision
	case c.Start && (c.QuotaRevision > u.QuotaRevision || !u.Limited):
		u.Limited, u.GrantedBytes, u.QuotaRevision = true, u.Bytes+c.AddBytes, c.QuotaRevision
	case !u.Limited || c.QuotaRevision > u.QuotaRevision:
		return nil, refuse(kind.Conflict, "the group has no share of this quota yet")
	case c.Start: // said twice
	default:
		u.GrantedBytes = min(u.GrantedBytes+c.AddBytes, maxQuota)
	}
	taken := uint64(0)
	if u.Limited && u.GrantedBytes > u.Bytes {
		taken = min(c.TakeBytes, u.GrantedBytes-u.Bytes)
		u.GrantedBytes -= taken
	}
	return &metapb.Result{Usage: u, TakenBytes: taken}, a.putUsage(u)
}
