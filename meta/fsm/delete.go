package fsm

import (
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

func (a *applier) deleteVersion(c *metapb.DeleteVersion) (*metapb.Result, error) {
	cur, err := loadCurrent(a.s, a.current)
	if err != nil {
		return nil, err
	}
	if cur == nil {
		if err := a.checkOpen(); err != nil {
			return nil, err
		}
	}
	var res *metapb.Result
	if len(c.VersionId) > 0 || c.NullVersion {
		res, err = a.deleteAddressed(cur, c)
	} else {
		res, err = a.deleteCurrent(cur, c)
	}
	if err != nil {
		return nil, err
	}
	_, err = a.workOff()
	return res, err
}

// deleteAddressed removes the version that the command names. One that is not there is no error.
func (a *applier) deleteAddressed(cur *metapb.Current, c *metapb.DeleteVersion) (*metapb.Result, error) {
	if !c.NullVersion && len(c.VersionId) != id.Size {
		return nil, refuse(kind.InvalidArgument, "a version ID has 16 bytes")
	}
	sequence, ok, err := a.addressed(cur, c)
	if err != nil {
		return nil, err
	}
	if !ok {
		return &metapb.Result{}, checkCondition(c.Condition, nil)
	}
	target := cur
	if sequence != cur.Sequence {
		m, err := loadManifestRecord(a.s, a.object, sequence)
		if err != nil {
			return nil, err
		}
		target = currentOf(m, false)
	}
	if err := checkCondition(c.Condition, target); err != nil {
		return nil, err
	}
	if err := a.removable(target, c.BypassGovernance); err != nil {
		return nil, err
	}
	if err := a.remove(cur, target); err != nil {
		return nil, err
	}
	return &metapb.Result{Found: true, DeleteMarker: target.DeleteMarker, Manifest: briefManifest(target)}, nil
}

func (a *applier) addressed(cur *metapb.Current, c *metapb.DeleteVersion) (uint64, bool, error) {
	if c.NullVersion {
		return findNull(a.s, a.object, cur)
	}
	return findVersion(a.s, a.object, cur, c.VersionId)
}

// deleteCurrent is a deletion without a version: it removes the object of a bucket that never had
// versioning, and lays a delete marker over the versions of one that has.
func (a *applier) deleteCurrent(cur *metapb.Current, c *metapb.DeleteVersion) (*metapb.Result, error) {
	if res, err := a.stored(cur, c.MarkerId, c.Versioning); err != nil || res != nil {
		return res, err
	}
	if err := checkCondition(c.Condition, cur); err != nil {
		return nil, err
	}
	if c.Versioning == metapb.Versioning_UNVERSIONED {
		if cur == nil {
			return &metapb.Result{}, nil
		}
		if cur.NullVersion && !cur.Older {
			if err := a.removable(cur, c.BypassGovernance); err != nil {
				return nil, err
			}
			err := a.remove(cur, cur)
			return &metapb.Result{Found: true, Manifest: briefManifest(cur)}, err
		}
		// The front does not know yet that the bucket got versioning: as when it is suspended.
	}
	if len(c.MarkerId) != id.Size {
		return nil, refuse(kind.InvalidArgument, "the version ID of a delete marker has 16 bytes")
	}
	marker := &metapb.Manifest{VersionId: c.MarkerId, DeleteMarker: true, ModifiedMs: a.cmd.NowMs, Owner: c.Owner}
	if err := a.place(cur, &write{m: marker}, c.Versioning); err != nil {
		return nil, err
	}
	return &metapb.Result{Found: cur != nil && !cur.DeleteMarker, DeleteMarker: true, Manifest: marker}, nil
}

// remove takes one version away. If it is the current one, the next older takes its place.
func (a *applier) remove(cur, target *metapb.Current) error {
	if target.Sequence != cur.Sequence {
		return a.removeBuried(cur, target)
	}
	var next *metapb.Manifest
	more := false
	if cur.Older {
		var err error
		if next, more, err = a.below(cur.Sequence, 0); err != nil {
			return err
		}
		if next == nil {
			return damaged("there is no version below the current one", nil)
		}
	}
	if err := a.dropVersion(target, false); err != nil {
		return err
	}
	a.shift(cur, next == nil || next.DeleteMarker)
	if next == nil {
		return a.s.Delete(a.current)
	}
	if err := a.exhume(next); err != nil {
		return err
	}
	return save(a.s, a.current, currentOf(next, more))
}

func (a *applier) removeBuried(cur, target *metapb.Current) error {
	other, _, err := a.below(cur.Sequence, target.Sequence)
	if err != nil {
		return err
	}
	if err := a.dropVersion(target, false); err != nil {
		return err
	}
	if err := a.exhume(briefManifest(target)); err != nil {
		return err
	}
	if other != nil {
		return nil
	}
	cur.Older = false
	return save(a.s, a.current, cur)
}
