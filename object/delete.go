package object

import (
	"context"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// Delete removes one object. A key that is not there is no error, unless a condition asks for it.
func (e *Engine) Delete(ctx context.Context, r DeleteRequest) (DeleteResult, error) {
	t, err := e.target(ctx, r.Bucket, r.Key)
	if err != nil {
		return DeleteResult{}, err
	}
	marker, err := id.Random[id.Version](e.cfg.Rand)
	if err != nil {
		return DeleteResult{}, err
	}
	del := &metapb.DeleteVersion{Condition: r.Condition.proto(), MarkerId: marker[:], Versioning: t.versioning, BypassGovernance: r.BypassGovernance, Owner: r.Owner}
	if r.VersionID != "" {
		if del.VersionId, del.NullVersion, err = parseVersion(r.VersionID); err != nil {
			return DeleteResult{}, err
		}
	}
	cmd := e.command(t)
	cmd.Op = &metapb.Command_DeleteVersion{DeleteVersion: del}
	res, err := e.commit(ctx, t, cmd)
	if err != nil {
		return DeleteResult{}, err
	}
	out := DeleteResult{VersionID: r.VersionID, DeleteMarker: res.DeleteMarker}
	if r.VersionID == "" && res.DeleteMarker {
		out.VersionID = versionText(res.Manifest, t.versioning)
	}
	return out, nil
}
