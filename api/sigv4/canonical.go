package sigv4

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// param is one query argument, decoded.
type param struct{ name, value string }

// encoded is one query argument in canonical encoding; both lie in scratch.enc.
type encoded struct{ name, value []byte }

// scratch is what one Verify needs besides its results.
type scratch struct {
	buf   []byte // canonical request, then string to sign
	enc   []byte // encoded query
	query []param
	sort  []encoded
}

var scratchPool = sync.Pool{New: func() any {
	return &scratch{buf: make([]byte, 0, 2048), enc: make([]byte, 0, 1024)}
}}

// maxScratch is the largest buffer that is kept for the next request, in bytes.
const maxScratch = 64 << 10

func (s *scratch) release() {
	if cap(s.buf) > maxScratch || cap(s.enc) > maxScratch || cap(s.query) > 1024 {
		return
	}
	clear(s.buf[:cap(s.buf)]) // canonical requests hold signed headers, an SSE-C key among them
	clear(s.query[:cap(s.query)])
	clear(s.sort[:cap(s.sort)])
	scratchPool.Put(s)
}

// parseQuery decodes a raw query exactly as net/url does, and refuses what net/url would drop in
// silence: then what is signed and what the caller reads from r.URL.Query() are the same.
func parseQuery(dst []param, raw string) ([]param, *Error) {
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		if strings.IndexByte(part, ';') >= 0 {
			return dst, invalidURI()
		}
		name, value, _ := strings.Cut(part, "=")
		name, ok := unescape(name)
		if !ok {
			return dst, invalidURI()
		}
		if value, ok = unescape(value); !ok {
			return dst, invalidURI()
		}
		dst = append(dst, param{name, value})
	}
	return dst, nil
}

func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	s, err := url.QueryUnescape(s)
	return s, err == nil
}

// unreserved are the bytes that the canonical encoding leaves alone (RFC 3986, 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

// appendEscaped appends s with every byte percent-encoded but the unreserved ones and, in a path, '/'.
func appendEscaped(b []byte, s string, path bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		if c := s[i]; unreserved(c) || c == '/' && path {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// appendCanonical appends the canonical request: method, path, query, headers, their names and the
// payload's hash, a line each. The path is encoded once and not normalised, as S3 alone among the
// services has it.
func appendCanonical(b []byte, r *http.Request, a *auth, s *scratch, payloadHash string) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	if r.URL.Path == "" {
		b = append(b, '/')
	}
	b = appendEscaped(b, r.URL.Path, true)
	b = append(b, '\n')
	b = appendQuery(b, s, a.form == formQuery)
	b = append(b, '\n')
	for _, name := range a.signed {
		b = appendHeader(b, r, name)
	}
	b = append(b, '\n')
	for i, name := range a.signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, payloadHash...)
}

// appendQuery appends the arguments sorted by encoded name, then by encoded value; a presigned
// query without its signature.
func appendQuery(b []byte, s *scratch, presigned bool) []byte {
	need := 0
	for _, p := range s.query {
		need += 3 * (len(p.name) + len(p.value))
	}
	s.enc = slices.Grow(s.enc[:0], need) // so that the slices into it stay valid
	s.sort = s.sort[:0]
	for _, p := range s.query {
		if presigned && p.name == argSignature {
			continue
		}
		at := len(s.enc)
		s.enc = appendEscaped(s.enc, p.name, false)
		mid := len(s.enc)
		s.enc = appendEscaped(s.enc, p.value, false)
		s.sort = append(s.sort, encoded{s.enc[at:mid:mid], s.enc[mid:]})
	}
	slices.SortFunc(s.sort, func(x, y encoded) int {
		if c := bytes.Compare(x.name, y.name); c != 0 {
			return c
		}
		return bytes.Compare(x.value, y.value)
	})
	for i, e := range s.sort {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, e.name...)
		b = append(b, '=')
		b = append(b, e.value...)
	}
	return b
}

// appendHeader appends "name:value\n", the values of a repeated header joined by commas. What
// net/http takes out of the header map is put back: Host, Content-Length and Expect.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	b = append(b, name...)
	b = append(b, ':')
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	switch {
	case name == "host":
		b = appendFolded(b, r.Host)
	case len(values) > 0:
		for i, v := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendFolded(b, v)
		}
	case name == "content-length" && r.ContentLength >= 0:
		b = strconv.AppendInt(b, r.ContentLength, 10)
	case name == "expect":
		b = append(b, "100-continue"...)
	case name == "transfer-encoding":
		b = append(b, strings.Join(r.TransferEncoding, ",")...)
	}
	return append(b, '\n')
}

// appendFolded appends v without white space around it, and with each run of spaces as one.
func appendFolded(b []byte, v string) []byte {
	v = strings.Trim(v, " \t\r\n")
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	for i := 0; i < len(v); i++ {
		if v[i] == ' ' && v[i-1] == ' ' { // v does not begin with a space
			continue
		}
		b = append(b, v[i])
	}
	return b
}

// unsignedHeader names an x-amz-* header of the request that the signature does not cover.
func unsignedHeader(h http.Header, signed []string) string {
	const prefix = "x-amz-"
	for name := range h {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) && !isSigned(signed, name) {
			return name
		}
	}
	return ""
}

// isSigned looks for a header name of any case in a sorted list of lower-case names.
func isSigned(signed []string, name string) bool {
	_, found := slices.BinarySearchFunc(signed, name, func(e, t string) int {
		for i := 0; i < len(e) && i < len(t); i++ {
			if c := int(e[i]) - int(lower(t[i])); c != 0 {
				return c
			}
		}
		return len(e) - len(t)
	})
	return found
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
