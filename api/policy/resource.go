package policy

import "strings"

// resource is one entry of Resource or NotResource.
type resource struct {
	text string
	all  bool // "*"
	s3   bool // arn:aws:s3:::…; rest is what follows
	head [5]pattern
	rest pattern
}

// matches reports whether the resource is what the request is about. A wildcard in the last part of an
// ARN goes over any character, colons and slashes too; one in another part stays in it.
func (s *resource) matches(e *env) (match, resolved bool) {
	switch {
	case s.all:
		return true, true
	case s.s3:
		if len(e.resource) == 0 {
			return false, true
		}
		return s.rest.matches(e, e.resource)
	}
	text := e.arn
	for i := range s.head {
		part, after, ok := strings.Cut(text, ":")
		if !ok || !matchTokens(s.head[i].tokens, part) {
			return false, true
		}
		text = after
	}
	return s.rest.matches(e, text)
}

// readResource compiles one resource; variables says whether the policy's version has them.
func (r Rules) readResource(text string, variables bool) (resource, error) {
	s := resource{text: text}
	if text == "*" && r.Kind != Bucket {
		s.all = true
		return s, nil
	}
	part, ok := splitARN(text, variables)
	if !ok || part[0] != "arn" || part[2] == "" || part[5] == "" {
		return s, r.refuse(faultResource, text)
	}
	if part[1] != "aws" && part[1] != "*" {
		return s, r.refuseResource(`Partition "`+part[1]+`" is not valid for resource "`+text+`".`, text)
	}
	var err error
	if s.rest, err = parsePattern(part[5], true, variables); err != nil {
		return s, r.refuse(faultResource, text)
	}
	if part[2] == "s3" && part[1] == "aws" {
		if part[3] != "" || part[4] != "" {
			return s, r.refuseResource("Resource "+text+" can not contain region information.", text)
		}
		s.s3 = true
		if r.Kind == Bucket && !s.in(r.Bucket) {
			return s, r.refuse(faultResource, text)
		}
		return s, nil
	}
	if r.Kind == Bucket {
		return s, r.refuse(faultResource, text)
	}
	for i := range s.head {
		// Variables are for the last part alone.
		if s.head[i], err = parsePattern(part[i], true, variables); err != nil || s.head[i].dynamic {
			return s, r.refuse(faultResource, text)
		}
	}
	return s, nil
}

// refuseResource has words of its own for identity policies.
func (r Rules) refuseResource(words, text string) error {
	if r.Kind == Bucket {
		return r.refuse(faultResource, text)
	}
	if len(words) > maxQuoted {
		words = words[:maxQuoted] + "…"
	}
	return &Error{Code: CodeMalformedPolicyDocument, Message: words}
}

// in reports whether an S3 resource can be the bucket or an object in it.
func (s *resource) in(bucket string) bool {
	return s.rest.can(bucket) || s.rest.reaches(bucket+"/")
}
