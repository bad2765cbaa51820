package s3

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"holdfast/internal/kind"
)

// parseTags checks an x-amz-tagging header (URL-encoded pairs) by AWS's limits, and gives it back
// in one canonical spelling: pairs in their order, percent-encoded by url.QueryEscape.
func parseTags(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	seen := make(map[string]bool)
	var out strings.Builder
	for pair := range strings.SplitSeq(s, "&") {
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(rawKey)
		value, err2 := url.QueryUnescape(rawValue)
		switch {
		case err1 != nil || err2 != nil:
			return "", badArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		case seen[key]:
			return "", badArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		case !validTag(key, 1, 128) || strings.HasPrefix(key, "aws:"):
			return "", kind.New(kind.InvalidTag, "The TagKey you have provided is invalid")
		case !validTag(value, 0, 256):
			return "", kind.New(kind.InvalidTag, "The TagValue you have provided is invalid")
		}
		seen[key] = true
		if len(seen) > maxTags {
			return "", kind.New(kind.InvalidTag, "Object tags cannot be greater than %d", maxTags)
		}
		if out.Len() > 0 {
			out.WriteByte('&')
		}
		out.WriteString(url.QueryEscape(key) + "=" + url.QueryEscape(value))
	}
	return out.String(), nil
}

// validTag holds a text against the length limits in characters and the character set of tags.
func validTag(s string, shortest, longest int) bool {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return false
	}
	n := utf8.RuneCountInString(s)
	return shortest <= n && n <= longest
}

// countTags is the number of pairs in the stored spelling.
func countTags(s string) int {
	if s == "" {
		return 0
	}
	return strings.Count(s, "&") + 1
}
