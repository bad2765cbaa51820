package cors

import (
	"slices"
	"strconv"
	"strings"

	"holdfast/internal/kind"
)

// Bounds of what is looked at in a request; browsers send far less.
const (
	maxOrigin         = 2048 // bytes
	maxRequestHeaders = 256  // names
)

// Header is one header of an answer.
type Header struct{ Name, Value string }

// Simple is what a bucket's rules add to the answer to a request that is no preflight: nothing if
// no rule matches. As on AWS, the method is that of Access-Control-Request-Method, if the request
// has such a header. A nil Config has no rules.
func (c *Config) Simple(origin, method string) []Header {
	r, allowed := c.match(origin, method, nil)
	if r == nil {
		return nil
	}
	return r.headers(allowed, nil)
}

// Preflight answers an OPTIONS request by its headers Origin, Access-Control-Request-Method and
// Access-Control-Request-Headers (their values joined by commas). Its errors are kind.BadRequest
// and kind.PreflightForbidden.
func (c *Config) Preflight(origin, requestMethod, requestHeaders string) ([]Header, error) {
	switch {
	case origin == "":
		return nil, kind.New(kind.BadRequest, "Insufficient information. Origin request header needed.")
	case requestMethod == "":
		return nil, kind.New(kind.BadRequest, "Invalid Access-Control-Request-Method: null")
	case !method(requestMethod):
		return nil, kind.New(kind.BadRequest, "Invalid Access-Control-Request-Method: %s", requestMethod)
	case c == nil:
		return nil, kind.New(kind.PreflightForbidden, "CORSResponse: CORS is not enabled for this bucket.")
	}
	names, ok := splitNames(requestHeaders)
	if ok {
		if r, allowed := c.match(origin, requestMethod, names); r != nil {
			return r.headers(allowed, names), nil
		}
	}
	return nil, kind.New(kind.PreflightForbidden, "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
}

// splitNames reads a list of header names; false if one is no such name.
func splitNames(list string) ([]string, bool) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
			continue
		}
		if !token(name) || len(names) == maxRequestHeaders {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// match finds the first rule for a request, and the Access-Control-Allow-Origin of its answer.
func (c *Config) match(origin, method string, headers []string) (*Rule, string) {
	if c == nil || !printable(origin) {
		return nil, ""
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		if !slices.Contains(r.AllowedMethods, method) || !r.allowsHeaders(headers) {
			continue
		}
		for _, pattern := range r.AllowedOrigins {
			if pattern == "*" {
				return r, "*"
			}
			if wildcard(pattern, origin) {
				return r, origin
			}
		}
	}
	return nil, ""
}

func (r *Rule) allowsHeaders(names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(r.AllowedHeaders, func(pattern string) bool { return wildcard(strings.ToLower(pattern), name) }) {
			return false
		}
	}
	return true
}

// wildcard matches a text against a pattern with at most one *, which stands for any characters.
func wildcard(pattern, s string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// printable says whether an origin can be sent back: visible ASCII, as all origins are.
func printable(origin string) bool {
	return origin != "" && len(origin) <= maxOrigin && !strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' })
}

// headers are AWS's: credentials are allowed to origins that are named, and caches are told what
// the answer depends on.
func (r *Rule) headers(origin string, requested []string) []Header {
	h := []Header{{"Access-Control-Allow-Origin", origin}, {"Access-Control-Allow-Methods", strings.Join(r.AllowedMethods, ", ")}}
	if len(requested) > 0 {
		h = append(h, Header{"Access-Control-Allow-Headers", strings.Join(requested, ", ")})
	}
	if len(r.ExposeHeaders) > 0 {
		h = append(h, Header{"Access-Control-Expose-Headers", strings.Join(r.ExposeHeaders, ", ")})
	}
	if r.MaxAgeSeconds >= 0 {
		h = append(h, Header{"Access-Control-Max-Age", strconv.FormatInt(r.MaxAgeSeconds, 10)})
	}
	if origin != "*" {
		h = append(h, Header{"Access-Control-Allow-Credentials", "true"})
	}
	return append(h, Header{"Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"})
}
