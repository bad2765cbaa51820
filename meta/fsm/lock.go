package fsm

import (
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

var errLocked error = &refusal{kind.AccessDenied, "Access Denied because object protected by object lock."}

// Object lock is judged here, where no race can come between the judgement and the change. Whatever is not
// understood protects: a mode that a later version may have written counts as compliance.

// lockable reports whether a version is one that the lock's rules have to look at.
func lockable(m *metapb.Manifest) bool {
	return m.LegalHold || m.GetRetention().GetMode() != metapb.Retention_NONE
}

// retained reports whether a retention holds at a time (Unix milliseconds).
func retained(r *metapb.Retention, nowMs int64) bool {
	return r.GetMode() != metapb.Retention_NONE && nowMs < r.UntilMs
}

// mayRemove refuses to remove a version that is protected. bypass lifts governance, nothing else.
func mayRemove(m *metapb.Manifest, nowMs int64, bypass bool) error {
	switch {
	case m.LegalHold:
		return errLocked
	case retained(m.Retention, nowMs) && (m.Retention.Mode != metapb.Retention_GOVERNANCE || !bypass):
		return errLocked
	}
	return nil
}

// mayRetain refuses a retention that protects less than the one that holds. Governance gives way to bypass.
func mayRetain(old, next *metapb.Retention, nowMs int64, bypass bool) error {
	switch {
	case !retained(old, nowMs):
		return nil
	case old.Mode == metapb.Retention_GOVERNANCE && bypass:
		return nil
	case next.GetMode() != old.Mode || next.GetUntilMs() < old.UntilMs:
		return errLocked
	}
	return nil
}

// removable reads a version whose Current says that it may be protected, and refuses to remove it if it is.
func (a *applier) removable(c *metapb.Current, bypass bool) error {
	if !c.Locked {
		return nil
	}
	m, err := loadManifestRecord(a.s, a.object, c.Sequence)
	if err != nil {
		return err
	}
	return mayRemove(m, a.cmd.NowMs, bypass)
}

// replaceable refuses a new null version in place of a protected one.
func (a *applier) replaceable(cur *metapb.Current) error {
	if cur == nil {
		return nil
	}
	if cur.NullVersion {
		return a.removable(cur, false)
	}
	sequence, ok, err := findNull(a.s, a.object, cur)
	if err != nil || !ok {
		return err
	}
	m, err := loadManifestRecord(a.s, a.object, sequence)
	if err != nil {
		return err
	}
	return mayRemove(m, a.cmd.NowMs, false)
}

func checkRetention(r *metapb.Retention) error {
	if r != nil && (r.Mode < metapb.Retention_NONE || r.Mode > metapb.Retention_COMPLIANCE || r.UntilMs < 0) {
		return refuse(kind.InvalidArgument, "retention: a field is out of range")
	}
	return nil
}
