package s3

import (
	"strconv"
	"strings"

	"holdfast/object"
)

// parseRange takes a Range header of one byte range (RFC 9110, section 14). What it cannot read,
// other units and several ranges are ignored, as the RFC allows and S3 does: the answer is then
// the whole object.
func parseRange(v string) *object.Range {
	spec, ok := strings.CutPrefix(strings.TrimSpace(v), "bytes=")
	if !ok || strings.IndexByte(spec, ',') >= 0 {
		return nil
	}
	from, to, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return nil
	}
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if from == "" {
		n, ok := parsePosition(to)
		if !ok {
			return nil
		}
		return &object.Range{IsSuffix: true, Suffix: n}
	}
	r := &object.Range{Last: -1}
	if r.First, ok = parsePosition(from); !ok {
		return nil
	}
	if to != "" {
		if r.Last, ok = parsePosition(to); !ok || r.Last < r.First {
			return nil
		}
	}
	return r
}

// maxPosition stands for every larger number: no object is that long.
const maxPosition = 1<<63 - 2

// parsePosition takes 1*DIGIT of any length.
func parsePosition(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > maxPosition {
		return maxPosition, true
	}
	return n, true
}

// parseCopyRange takes x-amz-copy-source-range, which must be first and last, both given.
func parseCopyRange(v string) (*object.Range, error) {
	r := parseRange(v)
	if r == nil || r.IsSuffix || r.Last < 0 {
		return nil, badArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	return r, nil
}

// contentRange is the value of Content-Range.
func contentRange(first, length, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, first, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, first+length-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}
