package policy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// holds decides one condition.
func (c *condition) holds(e *env) bool {
	have := e.lookup(c.key)
	if c.class == classNull {
		for i := range c.values {
			if c.values[i].truth == (len(have) == 0) {
				return true
			}
		}
		return false
	}
	if len(have) == 0 {
		switch {
		case c.ifExists, c.set == setAll:
			return true
		case c.set == setAny:
			return false
		}
		return c.negate
	}
	if len(have) == 1 {
		return c.matchesAny(e, have[0]) != c.negate
	}
	for _, h := range have {
		switch match := c.matchesAny(e, h); {
		case c.set == setAll && match == c.negate:
			return false
		case c.set == setAny && match != c.negate:
			return true
		case c.set == setNone && match:
			return !c.negate
		}
	}
	return c.set == setAll || c.set == setNone && c.negate
}

// matchesAny reports whether one value of the request equals, or fits, one of the policy's.
func (c *condition) matchesAny(e *env, have string) bool {
	for i := range c.values {
		if c.matchesOne(e, &c.values[i], have) {
			return true
		}
	}
	return false
}

func (c *condition) matchesOne(e *env, v *value, have string) bool {
	switch c.class {
	case classString, classLike:
		match, _ := v.pattern.matches(e, have)
		return match
	case classFold:
		return v.pattern.equalFold(e, have)
	case classNumeric:
		n, ok := readNumber(have)
		return ok && c.order.holds(n.compare(v.number))
	case classDate:
		t, ok := readDate(have)
		return ok && c.order.holds(t.Compare(v.time))
	case classBool:
		return v.truth && strings.EqualFold(have, "true") || !v.truth && strings.EqualFold(have, "false")
	case classBinary:
		b, err := base64.StdEncoding.DecodeString(have)
		return err == nil && bytes.Equal(b, v.binary)
	case classAddress:
		a, err := netip.ParseAddr(have)
		return err == nil && v.network.Contains(a.WithZone("").Unmap())
	case classARN:
		return v.matchesARN(e, have)
	}
	return false
}

func (v *value) matchesARN(e *env, have string) bool {
	if !strings.HasPrefix(have, "arn:") || strings.Count(have, ":") < 5 {
		return false
	}
	for i := range v.arn {
		part := have
		if i < 5 {
			part, have, _ = strings.Cut(have, ":")
		}
		if match, _ := v.arn[i].matches(e, part); !match {
			return false
		}
	}
	return true
}

// equalFold compares without case what the pattern's literals and variables say.
func (p pattern) equalFold(e *env, text string) bool {
	if len(p.tokens) == 0 {
		return text == ""
	}
	if len(p.tokens) == 1 && p.tokens[0].kind == literal {
		return strings.EqualFold(p.tokens[0].text, text)
	}
	tokens, ok := e.resolve(p.tokens, nil)
	if !ok {
		return false
	}
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return strings.EqualFold(b.String(), text)
}

// holds says whether a comparison's result (-1, 0, 1) is what the order asks for.
func (o order) holds(result int) bool {
	switch o {
	case less:
		return result < 0
	case lessEqual:
		return result <= 0
	case greater:
		return result > 0
	case greaterEqual:
		return result >= 0
	}
	return result == 0
}

// number is a decimal number; integers are compared exactly.
type number struct {
	whole   int64
	isWhole bool
	float   float64
}

func readNumber(s string) (number, bool) {
	if strings.Trim(s, "0123456789+-.eE") != "" || len(s) > 64 {
		return number{}, false // no Inf, no hexadecimal, no underscores
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return number{}, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	return number{whole: i, isWhole: err == nil, float: f}, true
}

func (n number) compare(m number) int {
	if n.isWhole && m.isWhole {
		return cmp.Compare(n.whole, m.whole)
	}
	return cmp.Compare(n.float, m.float)
}

// dateForms are those of the W3C's note on ISO 8601.
var dateForms = [...]string{
	"2006-01-02T15:04:05Z07:00", // also with a fraction of a second
	"2006-01-02T15:04Z07:00",
	"2006-01-02",
	"2006-01",
	"2006",
}

// readDate reads a date, or seconds since 1970 (anything that is a number and no year).
func readDate(s string) (time.Time, bool) {
	for _, form := range dateForms {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	n, ok := readNumber(s)
	switch {
	case !ok:
	case n.isWhole:
		return time.Unix(n.whole, 0), n.whole > -maxEpoch && n.whole < maxEpoch
	case n.float > -maxEpoch && n.float < maxEpoch:
		return time.UnixMilli(int64(n.float * 1000)), true
	}
	return time.Time{}, false
}

// maxEpoch is past the year 9999.
const maxEpoch = 1 << 38

// readNetwork reads an address or a network in CIDR form; bits beyond its length are ignored.
func readNetwork(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}
