package policy

import (
	"net/netip"
	"strings"
)

// IsPublic reports whether a bucket policy is public by AWS's rules ("The meaning of public"): some
// statement allows everyone, and no condition of it holds the request to fixed values of one of the
// keys that AWS lists. A value with a wildcard or a variable is not fixed; a condition that a
// request without the key fulfils holds nothing.
func (p *Policy) IsPublic() bool { return p.public }

func (p *Policy) isPublic() bool {
	if p.kind != Bucket {
		return false
	}
	for i := range p.statements {
		if s := &p.statements[i]; s.allow && s.principals.everyone && !s.confined() {
			return true
		}
	}
	return false
}

func (s *statement) confined() bool {
	for i := range s.conditions {
		if s.conditions[i].confines() {
			return true
		}
	}
	return false
}

// confiningKeys are the keys whose fixed values make a policy non-public; aws:sourceip has rules of its own.
var confiningKeys = map[string]bool{
	"aws:principalaccount":      true,
	"aws:principalarn":          true,
	"aws:principalorgid":        true,
	"aws:sourcearn":             true,
	"aws:sourceaccount":         true,
	"aws:sourceowner":           true,
	"aws:sourcevpc":             true,
	"aws:sourcevpce":            true,
	"aws:userid":                true,
	"s3:dataaccesspointaccount": true,
	"s3:dataaccesspointarn":     true,
	"s3:x-amz-server-side-encryption-aws-kms-key-id": true,
}

func (c *condition) confines() bool {
	if c.negate || c.ifExists || c.set == setAll {
		return false
	}
	if c.key == "aws:sourceip" {
		return c.class == classAddress && c.narrow()
	}
	if !confiningKeys[c.key] {
		return false
	}
	for i := range c.values {
		if !c.fixedValue(&c.values[i]) {
			return false
		}
	}
	return true
}

// narrow: no network is broader than /8 (IPv4) or /32 (IPv6).
func (c *condition) narrow() bool {
	for i := range c.values {
		if n := c.values[i].network; n.Bits() < broadest(n.Addr()) {
			return false
		}
	}
	return true
}

func broadest(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 32
}

// fixedValue reports whether a value is one text only. An access point's ARN may leave its name open
// if its account is fixed.
func (c *condition) fixedValue(v *value) bool {
	switch c.class {
	case classString, classFold, classLike:
		if c.key == "s3:dataaccesspointarn" && c.class == classLike {
			arn, ok := readARN(v.text, false)
			return ok && arn != nil && arn[4].fixed() && v.text == strings.ReplaceAll(v.text, "${", "")
		}
		return v.pattern.fixed() && !strings.ContainsAny(v.text, "*?")
	case classARN:
		if c.key == "s3:dataaccesspointarn" {
			return len(v.arn) == 6 && v.arn[4].fixed() && len(v.arn[4].tokens) > 0
		}
		for _, p := range v.arn {
			if !p.fixed() {
				return false
			}
		}
		return len(v.arn) == 6
	}
	return false
}
