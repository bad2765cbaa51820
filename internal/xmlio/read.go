package xmlio

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// Node is an element: its local name, its characters if it has no element in it, and where the
// next one that does not lie in it begins.
type Node struct {
	Name, Text string
	attrs      string // all attributes as they were spelled, with their quotes
	end        int
}

// Doc is a request's XML: elements in document order, the root first. S3's requests are small
// trees of a few kinds of elements, so this does without reflection and reads 10,000 parts in a
// few milliseconds.
type Doc []Node

// Bounds of a document: more than any request of S3 needs.
const (
	maxDepth    = 16
	maxElements = 200_000 // 10,000 parts with all their checksums are 80,001
)

// Children are the elements in element i: their places, for their own children, and themselves.
func (d Doc) Children(i int) iter.Seq2[int, *Node] {
	return func(yield func(int, *Node) bool) {
		for j := i + 1; j < d[i].end; j = d[j].end {
			if !yield(j, &d[j]) {
				return
			}
		}
	}
}

// Parse reads a document whose root has this name. It knows elements, attributes (see Attr),
// comments, processing instructions, CDATA, the predefined entities and character references. A
// DTD is refused, so nothing can expand.
func Parse(s, root string) (Doc, error) {
	p := parser{s: strings.TrimPrefix(s, "\uFEFF")}
	if !utf8.ValidString(s) || !p.document() || p.doc[0].Name != root {
		return nil, Malformed()
	}
	return p.doc, nil
}

type parser struct {
	s     string
	at    int
	doc   Doc
	open  []openTag // the open elements, the innermost last
	chars []byte    // characters of the innermost element, once they are not one piece of s
	piece string    // or that one piece
}

type openTag struct {
	node int
	name string // as it was spelled, with its prefix
}

// document reads one root element with its content and nothing but comments around it.
func (p *parser) document() bool {
	for p.at < len(p.s) {
		inside := len(p.open) > 0
		if p.s[p.at] != '<' {
			if !p.characters(inside) {
				return false
			}
			continue
		}
		rest, ok := p.s[p.at:], false
		switch {
		case strings.HasPrefix(rest, "<!--"):
			ok = p.past("<!--", "-->")
		case strings.HasPrefix(rest, "<?"):
			ok = p.past("<?", "?>")
		case strings.HasPrefix(rest, "<![CDATA["):
			ok = inside && p.cdata()
		case strings.HasPrefix(rest, "</"):
			ok = inside && p.endTag()
		default: // a DTD ends here: its '!' begins no name
			ok = (inside || len(p.doc) == 0) && p.startTag()
		}
		if !ok {
			return false
		}
	}
	return len(p.doc) > 0 && len(p.open) == 0
}

// past skips a construct from its opening to its closing mark.
func (p *parser) past(opening, closing string) bool {
	from := p.at + len(opening)
	n := strings.Index(p.s[from:], closing)
	if n < 0 {
		return false
	}
	p.at = from + n + len(closing)
	return true
}

func (p *parser) cdata() bool {
	from := p.at + len("<![CDATA[")
	if !p.past("<![CDATA[", "]]>") {
		return false
	}
	p.add(newlines(p.s[from : p.at-len("]]>")]))
	return true
}

// characters reads up to the next tag. Outside of the root only white space may stand.
func (p *parser) characters(inside bool) bool {
	n := strings.IndexByte(p.s[p.at:], '<')
	if n < 0 {
		n = len(p.s) - p.at
	}
	raw := p.s[p.at : p.at+n]
	p.at += n
	if !inside {
		return strings.Trim(raw, " \t\r\n") == ""
	}
	raw = newlines(raw)
	for {
		before, after, found := strings.Cut(raw, "&")
		p.add(before)
		if !found {
			return true
		}
		ref, after, found := strings.Cut(after, ";")
		text, ok := dereference(ref)
		if !found || !ok {
			return false
		}
		p.chars = append(p.characterBuffer(), text...)
		p.piece = ""
		raw = after
	}
}

// add appends characters as they are. XML 1.0 excludes most controls; they are taken all the same,
// because keys may have them and boto3 sends them so when it deletes such a key.
func (p *parser) add(s string) {
	if len(p.chars) == 0 && p.piece == "" {
		p.piece = s
		return
	}
	p.chars = append(p.characterBuffer(), s...)
	p.piece = ""
}

func (p *parser) characterBuffer() []byte {
	if p.piece != "" {
		return append(p.chars[:0], p.piece...)
	}
	return p.chars
}

// newlines makes \n of \r\n and of \r, as XML has every reader do.
func newlines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// dereference resolves what stands between '&' and ';'. Characters that XML 1.0 excludes are taken
// by number, because keys may have them and S3 lists them so.
func dereference(ref string) (string, bool) {
	switch ref {
	case "lt":
		return "<", true
	case "gt":
		return ">", true
	case "amp":
		return "&", true
	case "quot":
		return `"`, true
	case "apos":
		return "'", true
	}
	digits, ok := strings.CutPrefix(ref, "#")
	if !ok || len(digits) > 8 {
		return "", false
	}
	base := rune(10)
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	r := rune(0)
	for _, c := range digits {
		d, ok := digit(c)
		if !ok || d >= base {
			return "", false
		}
		if r = r*base + d; r > utf8.MaxRune {
			return "", false
		}
	}
	if digits == "" || !utf8.ValidRune(r) {
		return "", false
	}
	return string(r), true
}

func digit(c rune) (rune, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// endTag closes the innermost element. Its characters count if there was no element in it.
func (p *parser) endTag() bool {
	p.at += len("</")
	name := p.name()
	p.space()
	o := p.open[len(p.open)-1]
	if name != o.name || !p.take('>') {
		return false
	}
	p.close()
	return true
}

func (p *parser) close() {
	o := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	n := &p.doc[o.node]
	if n.end = len(p.doc); n.end == o.node+1 {
		if n.Text = p.piece; len(p.chars) > 0 {
			n.Text = string(p.chars)
		}
	}
	p.piece, p.chars = "", p.chars[:0]
}

func (p *parser) startTag() bool {
	p.at++
	name := p.name()
	if name == "" || len(p.open) == maxDepth || len(p.doc) == maxElements {
		return false
	}
	local := name[strings.IndexByte(name, ':')+1:]
	p.open = append(p.open, openTag{node: len(p.doc), name: name})
	p.doc = append(p.doc, Node{Name: local})
	p.piece, p.chars = "", p.chars[:0]
	from := p.at
	for {
		p.doc[len(p.doc)-1].attrs = p.s[from:p.at]
		spaced := p.space()
		switch {
		case p.take('>'):
			return true
		case p.take('/'):
			if !p.take('>') {
				return false
			}
			p.close()
			return true
		case !spaced || !p.attribute():
			return false
		}
	}
}

// attribute skips name="value".
func (p *parser) attribute() bool {
	if p.name() == "" {
		return false
	}
	p.space()
	if !p.take('=') {
		return false
	}
	p.space()
	for _, quote := range []byte{'"', '\''} {
		if p.take(quote) {
			n := strings.IndexByte(p.s[p.at:], quote)
			if n < 0 || strings.IndexByte(p.s[p.at:p.at+n], '<') >= 0 {
				return false
			}
			p.at += n + 1
			return true
		}
	}
	return false
}

func (p *parser) take(c byte) bool {
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) space() bool {
	from := p.at
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.at]) >= 0 {
		p.at++
	}
	return p.at > from
}

// name reads a name; "" where none begins.
func (p *parser) name() string {
	from := p.at
	for ; p.at < len(p.s); p.at++ {
		c := p.s[p.at]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
		inner := '0' <= c && c <= '9' || c == '-' || c == '.' || c == ':'
		if !letter && (p.at == from || !inner) {
			break
		}
	}
	return p.s[from:p.at]
}
