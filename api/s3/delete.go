package s3

import (
	"net/http"

	"holdfast/internal/kind"
	"holdfast/object"
)

// deleteObject removes one object; a key that is not there is no error.
func (c *call) deleteObject() error {
	if err := c.checkMFA(); err != nil {
		return err
	}
	version, err := c.versionID()
	if err != nil {
		return err
	}
	cond, err := c.deleteCondition()
	if err != nil {
		return err
	}
	res, err := c.s.cfg.Engine.Delete(c.ctx, object.DeleteRequest{Bucket: c.bucket, Key: c.key, VersionID: version, Condition: cond,
		BypassGovernance: c.wantsBypass()})
	if err != nil && !kind.Is(err, kind.NoSuchKey) && !kind.Is(err, kind.NoSuchVersion) {
		return err
	}
	c.echoVersion(res.VersionID)
	if res.DeleteMarker {
		c.w.Header()["x-amz-delete-marker"] = []string{"true"}
	}
	c.sendEmpty(http.StatusNoContent)
	return nil
}

// checkMFA refuses what would need a second factor: to ignore it would drop a safeguard.
func (c *call) checkMFA() error {
	if _, ok := c.r.Header["X-Amz-Mfa"]; ok {
		return unbuilt("Deleting with a second factor (x-amz-mfa)")
	}
	return nil
}
