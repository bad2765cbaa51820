package policy

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"time"
)

// condition is one key under one operator.
type condition struct {
	test
	set      set
	ifExists bool
	key      string // in lower case
	values   []value

	operatorText, keyText string // as written
}

// test is what an operator compares, without its prefix and suffix.
type test struct {
	class  class
	order  order // of numbers and dates
	negate bool
}

type class uint8

const (
	classString class = iota
	classFold
	classLike
	classNumeric
	classDate
	classBool
	classBinary
	classAddress
	classARN
	classNull
)

type order uint8

const (
	equal order = iota
	less
	lessEqual
	greater
	greaterEqual
)

type set uint8

const (
	setNone set = iota
	setAll      // ForAllValues:
	setAny      // ForAnyValue:
)

// operators are all there are; ForAllValues:, ForAnyValue: and IfExists are taken off before.
var operators = map[string]test{
	"StringEquals":              {class: classString},
	"StringNotEquals":           {class: classString, negate: true},
	"StringEqualsIgnoreCase":    {class: classFold},
	"StringNotEqualsIgnoreCase": {class: classFold, negate: true},
	"StringLike":                {class: classLike},
	"StringNotLike":             {class: classLike, negate: true},
	"NumericEquals":             {class: classNumeric},
	"NumericNotEquals":          {class: classNumeric, negate: true},
	"NumericLessThan":           {class: classNumeric, order: less},
	"NumericLessThanEquals":     {class: classNumeric, order: lessEqual},
	"NumericGreaterThan":        {class: classNumeric, order: greater},
	"NumericGreaterThanEquals":  {class: classNumeric, order: greaterEqual},
	"DateEquals":                {class: classDate},
	"DateNotEquals":             {class: classDate, negate: true},
	"DateLessThan":              {class: classDate, order: less},
	"DateLessThanEquals":        {class: classDate, order: lessEqual},
	"DateGreaterThan":           {class: classDate, order: greater},
	"DateGreaterThanEquals":     {class: classDate, order: greaterEqual},
	"Bool":                      {class: classBool},
	"BinaryEquals":              {class: classBinary},
	"IpAddress":                 {class: classAddress},
	"NotIpAddress":              {class: classAddress, negate: true},
	"ArnEquals":                 {class: classARN},
	"ArnLike":                   {class: classARN},
	"ArnNotEquals":              {class: classARN, negate: true},
	"ArnNotLike":                {class: classARN, negate: true},
	"Null":                      {class: classNull},
}

// value is one value of a condition; which fields count depends on the class.
type value struct {
	text    string // as written
	pattern pattern
	arn     []pattern // six; none: any ARN
	number  number
	time    time.Time
	truth   bool
	binary  []byte
	network netip.Prefix
}

// readConditions compiles a Condition element.
func (r Rules) readConditions(n node, variables bool) ([]condition, error) {
	if n.form != formObject {
		return nil, r.refuse(faultSyntax, "Condition")
	}
	var all []condition
	for _, m := range n.members {
		c, ok := readOperator(m.name)
		if !ok {
			return nil, r.refuse(faultOperator, m.name)
		}
		if m.value.form != formObject {
			return nil, r.refuse(faultSyntax, m.name)
		}
		seen := map[string]bool{}
		for _, k := range m.value.members {
			c := c
			c.key, c.keyText = strings.ToLower(k.name), k.name
			if seen[c.key] {
				return nil, r.refuse(faultJSON, k.name)
			}
			seen[c.key] = true
			if !r.knowsKey(c.key) {
				return nil, r.refuse(faultKey, k.name)
			}
			if err := r.readValues(&c, k.value, variables); err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func readOperator(name string) (c condition, ok bool) {
	c.operatorText = name
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		name, c.set = rest, setAll
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		name, c.set = rest, setAny
	}
	name, c.ifExists = strings.CutSuffix(name, "IfExists")
	c.test, ok = operators[name]
	return c, ok && (c.class != classNull || c.set == setNone && !c.ifExists)
}

func (r Rules) readValues(c *condition, n node, variables bool) error {
	texts, ok := n.scalars()
	if !ok {
		return r.refuse(faultSyntax, c.keyText)
	}
	c.values = make([]value, 0, len(texts))
	for _, text := range texts {
		v, ok := c.readValue(text, variables)
		if !ok && c.class == classAddress {
			return r.refuse(faultAddress, text)
		}
		if !ok {
			return r.refuse(faultValue, text)
		}
		c.values = append(c.values, v)
	}
	return nil
}

func (c *condition) readValue(text string, variables bool) (v value, ok bool) {
	v.text = text
	var err error
	switch c.class {
	case classString, classFold:
		v.pattern, err = parsePattern(text, false, variables)
	case classLike:
		v.pattern, err = parsePattern(text, true, variables)
	case classNumeric:
		v.number, ok = readNumber(text)
		return v, ok
	case classDate:
		v.time, ok = readDate(text)
		return v, ok
	case classBool, classNull:
		v.truth = strings.EqualFold(text, "true")
		return v, v.truth || strings.EqualFold(text, "false")
	case classBinary:
		v.binary, err = base64.StdEncoding.DecodeString(text)
	case classAddress:
		v.network, ok = readNetwork(text)
		return v, ok
	case classARN:
		v.arn, ok = readARN(text, variables)
		return v, ok
	}
	return v, err == nil
}

// readARN compiles the six parts of an ARN; "*" is any.
func readARN(text string, variables bool) ([]pattern, bool) {
	if text == "*" {
		return nil, true
	}
	parts, ok := splitARN(text, variables)
	if !ok {
		return nil, false
	}
	all := make([]pattern, 6)
	for i, part := range parts {
		var err error
		if all[i], err = parsePattern(part, true, variables); err != nil {
			return nil, false
		}
	}
	return all, true
}

// splitARN cuts at the first five colons that are not in a variable.
func splitARN(text string, variables bool) (parts [6]string, ok bool) {
	n, from, inside := 0, 0, false
	for i := 0; i < len(text) && n < 5; i++ {
		switch {
		case variables && strings.HasPrefix(text[i:], "${"):
			inside = true
		case inside && text[i] == '}':
			inside = false
		case !inside && text[i] == ':':
			parts[n], from = text[from:i], i+1
			n++
		}
	}
	parts[n] = text[from:]
	return parts, n == 5
}
