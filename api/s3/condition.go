package s3

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/object"
)

// readCondition takes the four conditional headers of a read, or with a prefix those of a copy's
// source. By RFC 9110, section 13.2.2, an ETag outranks a date, so the date that does not count
// is dropped here.
func (c *call) readCondition(prefix string) object.ReadCondition {
	var rc object.ReadCondition
	h := c.r.Header
	if v := h[prefix+"If-Match"]; len(v) > 0 {
		rc.IfMatch = etagList(v, false)
	}
	if v := h[prefix+"If-None-Match"]; len(v) > 0 {
		rc.IfNoneMatch = etagList(v, true)
	}
	if len(rc.IfMatch) == 0 {
		rc.IfUnmodifiedSince = httpTime(first(h[prefix+"If-Unmodified-Since"]))
	}
	if len(rc.IfNoneMatch) == 0 {
		rc.IfModifiedSince = httpTime(first(h[prefix+"If-Modified-Since"]))
	}
	return rc
}

// httpTime is the zero time when the text is no HTTP date: RFC 9110 has such a header ignored.
func httpTime(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// etagList splits the values of If-Match or If-None-Match into ETags without quotes. A weak one
// stands for its strong form where the comparison is weak (If-None-Match), and else keeps its
// W/, which no stored ETag has. S3 takes ETags without quotes too.
func etagList(values []string, weak bool) []string {
	var list []string
	for _, v := range values {
		for v = strings.TrimSpace(v); v != ""; v = strings.TrimLeft(v, " \t,") {
			var tag string
			tag, v = nextETag(v)
			if rest, isWeak := strings.CutPrefix(tag, "W/"); isWeak && weak {
				tag = rest
			}
			if tag = strings.TrimSpace(tag); tag != "" {
				list = append(list, unquote(tag))
			}
		}
	}
	return list
}

// nextETag cuts the first member off a list; a comma between quotes belongs to the ETag.
func nextETag(v string) (tag, rest string) {
	quoted := false
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '"':
			quoted = !quoted
		case v[i] == ',' && !quoted:
			return v[:i], v[i+1:]
		}
	}
	return v, ""
}

func unquote(tag string) string {
	if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		return tag[1 : len(tag)-1]
	}
	return tag
}

// oneETag takes the If-Match of a write.
func oneETag(values []string) (string, error) {
	list := etagList(values, false)
	switch {
	case len(list) != 1:
		return "", unbuilt("If-Match with other than one ETag on a write or a delete")
	case !cleanValue(list[0]):
		return "", badArgument("If-Match has characters that no ETag has.")
	}
	return list[0], nil
}

// writeCondition takes the conditions of a write. S3 has If-Match with an ETag and If-None-Match
// with an asterisk, and says NotImplemented to the rest.
func (c *call) writeCondition() (object.Condition, error) {
	var cond object.Condition
	h := c.r.Header
	if v := h["If-Match"]; len(v) > 0 {
		var err error
		if cond.IfMatch, err = oneETag(v); err != nil {
			return cond, err
		}
	}
	if v := h["If-None-Match"]; len(v) > 0 {
		if first(v) != "*" || len(v) > 1 {
			return cond, unbuilt("If-None-Match with an ETag on a write")
		}
		cond.IfNoneMatch = "*"
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if _, ok := h[name]; ok {
			return cond, unbuilt(name + " on a write")
		}
	}
	return cond, nil
}

// deleteCondition takes the conditions of a delete.
func (c *call) deleteCondition() (object.Condition, error) {
	var cond object.Condition
	if v := c.r.Header["If-Match"]; len(v) > 0 {
		var err error
		if cond.IfMatch, err = oneETag(v); err != nil {
			return cond, err
		}
	}
	if _, ok := c.r.Header["If-None-Match"]; ok {
		return cond, unbuilt("If-None-Match on a delete")
	}
	if v := c.header("X-Amz-If-Match-Last-Modified-Time"); v != "" {
		if cond.IfLastModified = httpTime(v); cond.IfLastModified.IsZero() {
			return cond, badArgument("x-amz-if-match-last-modified-time is no HTTP date.")
		}
	}
	if v := c.header("X-Amz-If-Match-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return cond, badArgument("x-amz-if-match-size is no size in bytes.")
		}
		cond.IfSize = &n
	}
	return cond, nil
}
