package s3

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"holdfast/internal/kind"
	"holdfast/object"
)

// prefixCopySource begins the conditional headers of a copy's source.
const prefixCopySource = "X-Amz-Copy-Source-"

// parseCopySource takes x-amz-copy-source: [/]bucket/key[?versionId=id], bucket and key
// percent-encoded. It is decoded once and then split at the first '/', as a path is; what comes
// out is the only name of the source, for authorisation and for the engine. A '+' is a plus.
func parseCopySource(v string) (object.Source, error) {
	var src object.Source
	path, query, hasQuery := strings.Cut(v, "?")
	if hasQuery {
		id, ok := strings.CutPrefix(query, "versionId=")
		if id, err := url.PathUnescape(id); ok && err == nil && id != "" && len(id) <= maxVersionID {
			src.VersionID = id
		} else {
			return src, badArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey, and nothing after it but ?versionId=id")
		}
	}
	path, err := url.PathUnescape(path)
	if err != nil || !utf8.ValidString(path) {
		return src, badArgument("Invalid copy source encoding.")
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || bucket == "" || key == "" {
		return src, badArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if !validBucket(bucket) {
		return src, badArgument("Invalid copy source bucket name")
	}
	if len(key) > object.MaxKeyLen {
		return src, plain(kind.KeyTooLong)
	}
	src.Bucket, src.Key = bucket, key
	return src, nil
}

// copySource takes all that a request says of the source of a copy.
func (c *call) copySource() (object.Source, error) {
	if len(c.r.Header[headerCopySource]) > 1 {
		return object.Source{}, badArgument("x-amz-copy-source was given more than once.")
	}
	src, err := parseCopySource(c.header(headerCopySource))
	if err != nil {
		return src, err
	}
	if err := c.checkSourceOwner(src.Bucket); err != nil {
		return src, err
	}
	if err := c.takeSourceCustomer(); err != nil {
		return src, err
	}
	src.Customer = c.sourceCustomer
	src.Condition = c.readCondition(prefixCopySource)
	return src, nil
}
