package policy

import "strconv"

// String is the document in one line of JSON, the elements in the order of AWS's grammar. Compiled by the same
// rules it is the same policy, and prints the same.
func (p *Policy) String() string {
	b := []byte{'{'}
	if p.version != "" {
		b = append(appendString(append(b, `"Version":`...), p.version), ',')
	}
	if p.id != "" {
		b = append(appendString(append(b, `"Id":`...), p.id), ',')
	}
	b = append(b, `"Statement":[`...)
	for i := range p.statements {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.statements[i].append(b)
	}
	return string(append(b, "]}"...))
}

func (s *statement) append(b []byte) []byte {
	b = append(b, '{')
	if s.sid != "" {
		b = append(appendString(append(b, `"Sid":`...), s.sid), ',')
	}
	b = append(b, `"Effect":"Deny"`...)
	if s.allow {
		b = append(b[:len(b)-len(`"Deny"`)], `"Allow"`...)
	}
	if s.principals != nil {
		b = s.principals.append(b)
	}
	texts := make([]string, 0, len(s.actions))
	for i := range s.actions {
		texts = append(texts, s.actions[i].text)
	}
	b = appendList(appendName(b, "Action", s.notAction), texts)
	if !s.anyResource {
		texts = texts[:0]
		for i := range s.resources {
			texts = append(texts, s.resources[i].text)
		}
		b = appendList(appendName(b, "Resource", s.notResource), texts)
	}
	if s.hasCondition {
		b = s.appendConditions(append(b, `,"Condition":`...))
	}
	return append(b, '}')
}

// append writes the principals of one provider together.
func (s *principals) append(b []byte) []byte {
	b = appendName(b, "Principal", s.not)
	if s.written[0].provider == "" {
		return append(b, `"*"`...)
	}
	b = append(b, '{')
	for i := 0; i < len(s.written); {
		provider := s.written[i].provider
		if i > 0 {
			b = append(b, ',')
		}
		var names []string
		for ; i < len(s.written) && s.written[i].provider == provider; i++ {
			names = append(names, s.written[i].name)
		}
		b = appendList(append(appendString(b, provider), ':'), names)
	}
	return append(b, '}')
}

// appendConditions writes the keys of one operator together, as they were read.
func (s *statement) appendConditions(b []byte) []byte {
	b = append(b, '{')
	for i := 0; i < len(s.conditions); {
		operator := s.conditions[i].operatorText
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, operator), ":{"...)
		for first := i; i < len(s.conditions) && s.conditions[i].operatorText == operator; i++ {
			if i > first {
				b = append(b, ',')
			}
			c := &s.conditions[i]
			texts := make([]string, 0, len(c.values))
			for j := range c.values {
				texts = append(texts, c.values[j].text)
			}
			b = appendList(append(appendString(b, c.keyText), ':'), texts)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendName(b []byte, name string, not bool) []byte {
	b = append(b, `,"`...)
	if not {
		b = append(b, "Not"...)
	}
	return append(append(b, name...), `":`...)
}

// appendList writes one text alone, others as an array.
func appendList(b []byte, texts []string) []byte {
	if len(texts) == 1 {
		return appendString(b, texts[0])
	}
	b = append(b, '[')
	for i, t := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, t)
	}
	return append(b, ']')
}

// appendString writes a JSON string of UTF-8, escaped no more than it must be.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, `\u00`...)
			if c < 0x10 {
				b = append(b, '0')
			}
			b = strconv.AppendUint(b, uint64(c), 16)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
