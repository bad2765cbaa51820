package s3

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"holdfast/internal/kind"
)

// param is one argument of the query, decoded.
type param struct{ name, value string }

// query is the arguments in their order. Requests have few of them: a map would cost more.
type query []param

// parseQuery decodes a raw query by the rules of net/url, as sigv4 does, and refuses what net/url
// would drop in silence. A name given twice is refused too: the canonical request is sorted, so
// who carries a signed request could swap the two.
func parseQuery(dst query, raw string) (query, error) {
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		var err1, err2 error
		name, err1 = unescapeQuery(name)
		value, err2 = unescapeQuery(value)
		if err1 != nil || err2 != nil || strings.IndexByte(part, ';') >= 0 || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, plain(kind.InvalidURI)
		}
		if dst.has(name) {
			return nil, badArgument("The query argument %q was given more than once.", name)
		}
		dst = append(dst, param{name, value})
	}
	return dst, nil
}

func unescapeQuery(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	return url.QueryUnescape(s)
}

func (q query) has(name string) bool {
	for i := range q {
		if q[i].name == name {
			return true
		}
	}
	return false
}

// get is the argument's value, "" when it is not there.
func (q query) get(name string) string {
	for i := range q {
		if q[i].name == name {
			return q[i].value
		}
	}
	return ""
}
