package s3

import (
	"net/http"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"holdfast/internal/kind"
	"holdfast/object"
)

// headers sets response headers with one allocation for the values of most answers.
type headers struct {
	h   http.Header
	buf []string
}

func newHeaders(h http.Header) headers { return headers{h: h, buf: make([]string, 0, 16)} }

// set sets a header; the name is spelled as it shall be on the wire.
func (h *headers) set(name, value string) {
	if len(h.buf) == cap(h.buf) {
		h.buf = make([]string, 0, 16)
	}
	h.buf = append(h.buf, value)
	n := len(h.buf)
	h.h[name] = h.buf[n-1 : n : n]
}

// The headers that are stored with an object, by canonical and wire name in one.
var storedHeaders = []string{"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language", "Cache-Control", "Expires"}

const (
	prefixMeta = "X-Amz-Meta-"
	prefixAmz  = "X-Amz-"
)

// checkHeaders refuses what no operation takes, and notices what concerns several of them.
func (c *call) checkHeaders() error {
	if err := c.hoistQuery(); err != nil {
		return err
	}
	size := len(c.r.URL.RawQuery)
	for name, values := range c.r.Header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
		if strings.HasPrefix(name, prefixAmz) {
			if err := c.noticeCustomer(name); err != nil {
				return err
			}
		}
	}
	if size > maxHeaders {
		return plain(kind.HeadersTooLarge)
	}
	if c.secure = c.s.overTLS(c.r); c.customerSent && !c.secure {
		return plain(kind.SSECInsecure)
	}
	if v, ok := c.r.Header[headerRequestPayer]; ok && first(v) != "requester" {
		return badArgument("Invalid value for x-amz-request-payer.")
	}
	return c.checkExpectedOwner()
}

// authArguments are what a presigned query holds for the signature itself.
const authArguments = " x-amz-algorithm x-amz-credential x-amz-date x-amz-expires x-amz-signedheaders x-amz-signature x-amz-security-token x-amz-content-sha256 "

// hoistQuery makes headers of the x-amz- arguments of a presigned query, where SDKs put headers
// when they presign. They are signed as the rest of the query is. A key must not be among them:
// URLs end in logs and histories.
func (c *call) hoistQuery() error {
	for _, p := range c.query {
		if len(p.name) < len(prefixAmz) || !strings.EqualFold(p.name[:len(prefixAmz)], prefixAmz) {
			continue
		}
		name := textproto.CanonicalMIMEHeaderKey(p.name)
		switch {
		case strings.HasSuffix(name, "Customer-Key"):
			return badRequest("A customer's key must be sent in a header, never in a URL: this one should be used no more.")
		case !c.identity.Presigned || strings.Contains(authArguments, " "+strings.ToLower(p.name)+" "):
			continue
		case name == headerCopySource || name == "X-Amz-Trailer" || name == "X-Amz-Decoded-Content-Length":
			return badArgument("%s must be sent as a header.", strings.ToLower(name))
		case len(c.r.Header[name]) > 0:
			return badArgument("%s was given as a header and in the query.", strings.ToLower(name))
		case !cleanValue(p.value):
			return badArgument("%s has characters that no header may have.", strings.ToLower(name))
		}
		c.r.Header[name] = []string{p.value}
	}
	return nil
}

// refused are headers of documented features that are not built. They are refused by name: to
// drop one in silence would promise what is not kept.
var refused = []struct{ header, feature string }{
	{"X-Amz-Website-Redirect-Location", "Website redirection (x-amz-website-redirect-location)"},
	{"X-Amz-Write-Offset-Bytes", "Appending to objects (x-amz-write-offset-bytes)"},
}

// attributes takes what a writer says of an object besides its bytes.
func (c *call) attributes() (object.Attributes, error) {
	var a object.Attributes
	for _, f := range refused {
		if _, ok := c.r.Header[f.header]; ok {
			return a, unbuilt(f.feature)
		}
	}
	if err := c.checkACL(); err != nil {
		return a, err
	}
	switch class := c.header("X-Amz-Storage-Class"); class {
	case "", "STANDARD":
	default:
		return a, plain(kind.InvalidStorageClass)
	}
	for _, name := range storedHeaders {
		v := c.header(name)
		if name == "Content-Encoding" {
			v = withoutChunked(v)
		}
		if v == "" {
			continue
		}
		if !cleanValue(v) {
			return a, badArgument("The header %s has characters that no header may have.", name)
		}
		if a.Headers == nil {
			a.Headers = make(map[string]string, len(storedHeaders))
		}
		a.Headers[name] = v
	}
	var err error
	if a.Metadata, err = c.userMetadata(); err != nil {
		return a, err
	}
	if a.Tags, err = c.takeTags(); err != nil {
		return a, err
	}
	a.Protection, err = c.protection()
	return a, err
}

// userMetadata collects the x-amz-meta- headers. Other names that clients may invent, like those by
// which servers mark their own requests, are never looked at.
func (c *call) userMetadata() (map[string]string, error) {
	var m map[string]string
	size := 0
	for name, values := range c.r.Header {
		if len(name) <= len(prefixMeta) || !strings.HasPrefix(name, prefixMeta) {
			continue
		}
		v := values[0]
		if len(values) > 1 {
			v = strings.Join(values, ",")
		}
		if !cleanValue(v) {
			return nil, badArgument("The metadata header %s has characters that no header may have, or is not UTF-8.", strings.ToLower(name))
		}
		name = strings.ToLower(name[len(prefixMeta):])
		if size += len(name) + len(v); size > object.MaxMetadata {
			return nil, plain(kind.MetadataTooLarge)
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[name] = v
	}
	return m, nil
}

// checkACL accepts the two canned ACLs that say what holds anyway: the owner owns everything.
func (c *call) checkACL() error {
	switch c.header("X-Amz-Acl") {
	case "", "private", "bucket-owner-full-control":
	default:
		return plain(kind.ACLNotSupported)
	}
	if c.sendsGrant() {
		return plain(kind.ACLNotSupported)
	}
	return nil
}

func (c *call) sendsGrant() bool {
	for _, g := range []string{"Full-Control", "Read", "Read-Acp", "Write", "Write-Acp"} {
		if len(c.r.Header["X-Amz-Grant-"+g]) > 0 {
			return true
		}
	}
	return false
}

// withoutChunked drops aws-chunked from a Content-Encoding: it is about the request's framing.
func withoutChunked(v string) string {
	if !strings.Contains(v, "aws-chunked") {
		return v
	}
	var kept []string
	for _, e := range strings.Split(v, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			kept = append(kept, e)
		}
	}
	return strings.Join(kept, ",")
}

// cleanValue reports whether a text can be a header's value in an answer: UTF-8 without controls.
func cleanValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}
