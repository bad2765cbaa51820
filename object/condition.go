package object

import (
	"slices"
	"time"

	"holdfast/internal/kind"
)

// check evaluates the conditions of a read in the order of RFC 9110, section 13.2.2: a match by
// ETag outranks the one by date. kind.PreconditionFailed or kind.NotModified.
func (c ReadCondition) check(i Info) error {
	failed := kind.New(kind.PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
	seconds := i.Modified.Truncate(time.Second)
	switch {
	case len(c.IfMatch) > 0:
		if !matches(c.IfMatch, i.ETag) {
			return failed
		}
	case !c.IfUnmodifiedSince.IsZero():
		if seconds.After(c.IfUnmodifiedSince) {
			return failed
		}
	}
	unmodified := kind.New(kind.NotModified, "Not Modified")
	switch {
	case len(c.IfNoneMatch) > 0:
		if matches(c.IfNoneMatch, i.ETag) {
			return unmodified
		}
	case !c.IfModifiedSince.IsZero():
		if !seconds.After(c.IfModifiedSince) {
			return unmodified
		}
	}
	return nil
}

// checkSource is check for a copy's source, where "not modified" is a failure as well.
func (c ReadCondition) checkSource(i Info) error {
	err := c.check(i)
	if kind.Is(err, kind.NotModified) {
		return kind.New(kind.PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
	}
	return err
}

func matches(list []string, etag string) bool {
	return slices.ContainsFunc(list, func(e string) bool { return e == "*" || e == etag })
}
