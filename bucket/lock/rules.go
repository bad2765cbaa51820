package lock

import (
	"time"

	"holdfast/bucket/versioning"
	"holdfast/internal/kind"
)

// State is what protects one version.
type State struct {
	Retention Retention
	Hold      Hold
	// Unreadable: there is something, and it could not be read. It protects as Compliance does,
	// without an end.
	Unreadable bool
}

// bound says whether the retention is in force: by now it has not ended, or nobody knows its end.
func (r Retention) bound(now time.Time) bool {
	if r.Mode == NoMode && r.Until.IsZero() {
		return false
	}
	return !r.Mode.known() || r.Until.IsZero() || r.Until.After(now)
}

// MayDelete says whether a version may be removed for good; nil if so, else kind.AccessDenied.
// Bypass: the request says so and its sender may.
func (s State) MayDelete(now time.Time, bypass bool) error {
	switch {
	case bool(s.Hold), s.Unreadable:
	case !s.Retention.bound(now), s.Retention.Mode == Governance && !s.Retention.Until.IsZero() && bypass:
		return nil
	}
	return denied()
}

// MayRetain says whether the retention of a version may become another. A bound one may be
// prolonged; shorten it, take it away or change its mode can only who may bypass it, and no one if
// its mode is Compliance.
func (s State) MayRetain(next Retention, now time.Time, bypass bool) error {
	old := s.Retention
	switch {
	case s.Unreadable:
	case !old.bound(now):
		return nil
	case !old.Mode.known() || old.Until.IsZero():
	case next.Mode == old.Mode && !next.Until.Before(old.Until):
		return nil
	case old.Mode == Governance && bypass:
		return nil
	}
	return denied()
}

// MayHold says whether the hold of a version may be changed: by everybody who has the permission,
// unless what there is could not be read.
func (s State) MayHold() error {
	if s.Unreadable {
		return denied()
	}
	return nil
}

func denied() error { return kind.New(kind.AccessDenied, msgProtected) }

// CheckBucket refuses a lock of a version whose bucket has no object lock.
func CheckBucket(enabled bool) error {
	if !enabled {
		return kind.New(kind.InvalidRequest, "Bucket is missing Object Lock Configuration")
	}
	return nil
}

// CheckEnable refuses object lock for a bucket that is not versioned.
func CheckEnable(v versioning.State) error {
	if v != versioning.Enabled {
		return kind.New(kind.InvalidBucketState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	return nil
}
