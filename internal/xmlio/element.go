package xmlio

import (
	"strconv"
	"strings"

	"holdfast/internal/kind"
)

// Malformed is the error of a document that is no XML, or not of its schema.
func Malformed() error {
	return kind.New(kind.MalformedXML, "The XML you provided was not well-formed or did not validate against our published schema")
}

// Decode reads a document of at most limit bytes whose root has this name.
func Decode(s, root string, limit int) (Element, error) {
	if len(s) > limit {
		return Element{}, Malformed()
	}
	doc, err := Parse(s, root)
	return Element{doc: doc}, err
}

// Element is one element of a document.
type Element struct {
	doc Doc
	at  int
}

// Text is the characters of the element, as they are.
func (e Element) Text() string { return e.doc[e.at].Text }

// Word is the characters of the element without white space around them, for what is a number or
// one of a few words.
func (e Element) Word() string { return strings.TrimSpace(e.Text()) }

// Attr is the value of the attribute with this local name, of whatever namespace; "" without. Its
// references are not resolved: what S3 has as attributes needs none.
func (e Element) Attr(local string) string {
	p := parser{s: e.doc[e.at].attrs}
	for p.space(); p.at < len(p.s); p.space() {
		name := p.name()
		p.space()
		p.take('=')
		p.space()
		from := p.at + 1
		n := strings.IndexByte(p.s[from:], p.s[p.at]) // Parse has seen both quotes
		p.at = from + n + 1
		if prefix, rest, ok := strings.Cut(name, ":"); (ok && prefix != "xmlns" && rest == local) || name == local {
			return p.s[from : from+n]
		}
	}
	return ""
}

// Fields are the elements directly within one, by name.
type Fields map[string][]Element

// Fields reads what is within an element by a list of all that may be there, in any order. A name
// stands for one element of characters; with "?" it may be missing, with "+" there may be more,
// with "*" both. A slash before those says that elements are within: "Rule/+".
func (e Element) Fields(list ...string) (Fields, error) {
	if strings.TrimSpace(e.Text()) != "" { // characters where there are no elements
		return nil, Malformed()
	}
	f := make(Fields, len(list))
	for i, n := range e.doc.Children(e.at) {
		f[n.Name] = append(f[n.Name], Element{e.doc, i})
	}
	known := 0
	for _, item := range list {
		name := strings.TrimRight(item, "/?+*")
		marks := item[len(name):]
		found := f[name]
		if len(found) > 0 {
			known++
		}
		if len(found) == 0 && !strings.ContainsAny(marks, "?*") || len(found) > 1 && !strings.ContainsAny(marks, "+*") {
			return nil, Malformed()
		}
		for _, one := range found {
			if e.doc[one.at].end > one.at+1 && !strings.HasPrefix(marks, "/") {
				return nil, Malformed()
			}
		}
	}
	if known != len(f) {
		return nil, Malformed()
	}
	return f, nil
}

// Has says whether there is such an element.
func (f Fields) Has(name string) bool { return len(f[name]) > 0 }

// Text is the characters of the first such element; "" without.
func (f Fields) Text(name string) string {
	if !f.Has(name) {
		return ""
	}
	return f[name][0].Text()
}

// Word is Text without white space around it.
func (f Fields) Word(name string) string { return strings.TrimSpace(f.Text(name)) }

// Texts are the characters of all such elements, in their order.
func (f Fields) Texts(name string) []string {
	var all []string
	for _, e := range f[name] {
		all = append(all, e.Text())
	}
	return all
}

// Int is a decimal number; 0 without such an element.
func (f Fields) Int(name string) (int64, error) {
	if !f.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(f.Word(name), 10, 64)
	if err != nil {
		return 0, Malformed()
	}
	return n, nil
}

// Bool is true or false; false without such an element.
func (f Fields) Bool(name string) (bool, error) {
	switch f.Word(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	if f.Has(name) {
		return false, Malformed()
	}
	return false, nil
}

// Writable is a document that can print itself.
type Writable interface{ WriteXML(x *Writer) }

// Document is a document in its one spelling, as it is stored and sent.
func Document(w Writable) string {
	x := New(0)
	defer x.Free()
	w.WriteXML(x)
	return string(x.B)
}
