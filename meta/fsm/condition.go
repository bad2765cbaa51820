package fsm

import (
	"bytes"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// checkCondition evaluates a write's conditions against the version which it would replace or
// remove: nil if there is none. A delete marker counts as no object.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func checkCondition(c *metapb.Condition, cur *metapb.Current) error {
	if c == nil {
		return nil
	}
	if len(c.IfVersion) > 0 && (cur == nil || !bytes.Equal(c.IfVersion, cur.VersionId)) {
		return refuse(kind.Conflict, "the current version is another one")
	}
	if cur != nil && cur.DeleteMarker {
		cur = nil
	}
	failed := false
	if cur == nil {
		if c.IfMatch != "" {
			return refuse(kind.NoSuchKeyCondition, "The specified key does not exist.")
		}
		// Size and time conditions hold for what is not there: deleting it is done.
		return nil
	}
	failed = failed || c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != cur.Etag
	failed = failed || c.IfNoneMatch == "*" || c.IfNoneMatch != "" && c.IfNoneMatch == cur.Etag
	failed = failed || c.IfModifiedMs != 0 && c.IfModifiedMs/1000 != cur.ModifiedMs/1000
	failed = failed || c.IfSize != 0 && uint64(c.IfSize-1) != cur.Size
	if failed {
		return refuse(kind.PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
	}
	return nil
}
