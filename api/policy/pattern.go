package policy

import (
	"errors"
	"strings"
	"unicode/utf8"
)

var errVariable = errors.New("a policy variable is not well formed")

// token is a piece of a pattern.
type token struct {
	kind tokenKind
	text string // of a literal; a variable's default
	key  string // a variable's condition key, in lower case
	// hasDefault tells a default of "" from none.
	hasDefault bool
}

type tokenKind uint8

const (
	literal  tokenKind = iota
	anyRun             // *: any number of characters, / and : too
	anyOne             // ?: one character
	variable           // ${…}
)

// pattern is compiled text with wildcards and variables.
type pattern struct {
	tokens  []token
	dynamic bool // has variables
}

// parsePattern compiles text. Without wildcards * and ? are themselves; without variables (policies of
// version 2008-10-17) so is ${.
func parsePattern(text string, wildcards, variables bool) (pattern, error) {
	var p pattern
	for text != "" {
		if variables && strings.HasPrefix(text, "${") {
			t, rest, err := parseVariable(text)
			if err != nil {
				return pattern{}, err
			}
			p.add(t)
			text = rest
			continue
		}
		if wildcards && (text[0] == '*' || text[0] == '?') {
			kind := anyOne
			if text[0] == '*' {
				kind = anyRun
			}
			p.add(token{kind: kind})
			text = text[1:]
			continue
		}
		n := 1
		for n < len(text) && !(wildcards && (text[n] == '*' || text[n] == '?')) && !(variables && strings.HasPrefix(text[n:], "${")) {
			n++
		}
		p.add(token{kind: literal, text: text[:n]})
		text = text[n:]
	}
	return p, nil
}

// add joins literals, and stars that follow each other.
func (p *pattern) add(t token) {
	n := len(p.tokens)
	switch {
	case t.kind == literal && n > 0 && p.tokens[n-1].kind == literal:
		p.tokens[n-1].text += t.text
		return
	case t.kind == anyRun && n > 0 && p.tokens[n-1].kind == anyRun:
		return
	case t.kind == variable:
		p.dynamic = true
	}
	p.tokens = append(p.tokens, t)
}

// parseVariable reads ${key}, ${key, 'default'}, ${*}, ${?} or ${$} at the beginning of text.
func parseVariable(text string) (token, string, error) {
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return token{}, "", errVariable
	}
	body, rest := text[2:end], text[end+1:]
	if body == "*" || body == "?" || body == "$" {
		return token{kind: literal, text: body}, rest, nil
	}
	name, fallback, hasDefault := strings.Cut(body, ",")
	name = strings.TrimSpace(name)
	if name == "" || strings.ContainsAny(name, "${'*?") || !strings.Contains(name, ":") {
		return token{}, "", errVariable
	}
	if hasDefault {
		fallback = strings.TrimSpace(fallback)
		if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
			return token{}, "", errVariable
		}
		if fallback = fallback[1 : len(fallback)-1]; strings.ContainsAny(fallback, "'${") {
			return token{}, "", errVariable
		}
	}
	return token{kind: variable, key: strings.ToLower(name), text: fallback, hasDefault: hasDefault}, rest, nil
}

// fixed reports whether the pattern matches one text only.
func (p pattern) fixed() bool {
	for _, t := range p.tokens {
		if t.kind != literal {
			return false
		}
	}
	return true
}

// matches reports whether the pattern matches all of text. Variables are taken from e; one that has
// no value makes resolved false, and matches nothing.
func (p pattern) matches(e *env, text string) (match, resolved bool) {
	if !p.dynamic {
		return matchTokens(p.tokens, text), true
	}
	var few [16]token
	tokens, ok := e.resolve(p.tokens, few[:0])
	return ok && matchTokens(tokens, text), ok
}

// resolve appends tokens to buf with the values of variables in their place. What a value holds
// is literal, wildcards too.
func (e *env) resolve(tokens, buf []token) ([]token, bool) {
	for _, t := range tokens {
		if t.kind == variable {
			switch values := e.lookup(t.key); {
			case len(values) == 1:
				t = token{kind: literal, text: values[0]}
			case len(values) == 0 && t.hasDefault:
				t = token{kind: literal, text: t.text}
			default:
				return nil, false
			}
		}
		buf = append(buf, t)
	}
	return buf, true
}

// matchTokens matches the run before the first star at the beginning of text, the run after the
// last star at its end, and those between leftmost one after the other: what is leftmost leaves most
// to the others, so nothing is ever tried again.
func matchTokens(tokens []token, text string) bool {
	first := star(tokens)
	if first < 0 {
		n, ok := matchFront(tokens, text)
		return ok && n == len(text)
	}
	n, ok := matchFront(tokens[:first], text)
	if !ok {
		return false
	}
	text, tokens = text[n:], tokens[first+1:]
	for {
		next := star(tokens)
		if next < 0 {
			return matchBack(tokens, text)
		}
		if n, ok = find(tokens[:next], text); !ok {
			return false
		}
		text, tokens = text[n:], tokens[next+1:]
	}
}

func star(tokens []token) int {
	for i := range tokens {
		if tokens[i].kind == anyRun {
			return i
		}
	}
	return -1
}

// matchFront matches a run (no stars) at the beginning of text; n is how many bytes it takes.
func matchFront(run []token, text string) (n int, ok bool) {
	for i := range run {
		if run[i].kind == literal {
			if !strings.HasPrefix(text[n:], run[i].text) {
				return 0, false
			}
			n += len(run[i].text)
			continue
		}
		_, w := utf8.DecodeRuneInString(text[n:])
		if w == 0 {
			return 0, false
		}
		n += w
	}
	return n, true
}

// matchBack matches a run at the end of text.
func matchBack(run []token, text string) bool {
	for i := len(run) - 1; i >= 0; i-- {
		if run[i].kind == literal {
			var ok bool
			if text, ok = strings.CutSuffix(text, run[i].text); !ok {
				return false
			}
			continue
		}
		_, w := utf8.DecodeLastRuneInString(text)
		if w == 0 {
			return false
		}
		text = text[:len(text)-w]
	}
	return true
}

// find matches a run at the first place of text where it does; n is where it ends.
func find(run []token, text string) (n int, ok bool) {
	if len(run) == 0 {
		return 0, true
	}
	for at := 0; at <= len(text); {
		if run[0].kind == literal {
			i := strings.Index(text[at:], run[0].text)
			if i < 0 {
				return 0, false
			}
			at += i
		}
		if n, ok := matchFront(run, text[at:]); ok {
			return at + n, true
		}
		_, w := utf8.DecodeRuneInString(text[at:])
		at += max(w, 1)
	}
	return 0, false
}

// reaches reports whether a text that begins with prefix can match, whatever variables hold.
func (p pattern) reaches(prefix string) bool {
	for _, t := range p.tokens {
		switch t.kind {
		case anyRun, variable:
			return true
		case anyOne:
			_, w := utf8.DecodeRuneInString(prefix)
			prefix = prefix[w:]
		case literal:
			if len(t.text) >= len(prefix) {
				return strings.HasPrefix(t.text, prefix)
			}
			var ok bool
			if prefix, ok = strings.CutPrefix(prefix, t.text); !ok {
				return false
			}
		}
		if prefix == "" {
			return true
		}
	}
	return prefix == ""
}

// can reports whether the pattern can match text, whatever variables hold.
func (p pattern) can(text string) bool {
	if !p.dynamic {
		return matchTokens(p.tokens, text)
	}
	tokens := make([]token, 0, len(p.tokens))
	for _, t := range p.tokens {
		if t.kind == variable {
			t = token{kind: anyRun}
		}
		tokens = append(tokens, t)
	}
	return matchTokens(tokens, text)
}
