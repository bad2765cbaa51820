package xmlio

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kind"
)

// flat writes a document in one line: elements with their characters where they have no elements.
func (d Doc) flat(i int) string {
	var b strings.Builder
	b.WriteString(d[i].Name + "(" + d[i].Text)
	for j := range d.Children(i) {
		b.WriteString(d.flat(j))
	}
	return b.String() + ")"
}

func TestXML(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"<a/>", "a()"},
		{"<a></a>", "a()"},
		{" \n<a>x</a>\n ", "a(x)"},
		{"\uFEFF<a>x</a>", "a(x)"},
		{`<?xml version="1.0"?><!-- c --><a x="1" y='2' ><b>1</b> <c/></a ><!-- d -->`, "a(b(1)c())"},
		{"<s3:a xmlns:s3='u'><s3:b>1</s3:b></s3:a>", "a(b(1))"},
		{"<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;&#x1F600;&#1;</a>", "a(<>&\"'AB😀\x01)"},
		{"<a>x<![CDATA[<&]]>y</a>", "a(x<&y)"},
		{"<a>x<!-- - -->y</a>", "a(xy)"},
		{"<a> x </a>", "a( x )"},
		{"<a>1\r\n2\r3&#13;</a>", "a(1\n2\n3\r)"},
		{"<a>before<b>x</b>after</a>", "a(b(x))"},
		{"<a><b>1</b><b>2</b></a>", "a(b(1)b(2))"},
		{"<a>\x01</a>", "a(\x01)"},
		{"<a>é<b-c.d_e1/></a>", "a(b-c.d_e1())"},

		{"", ""}, {" ", ""}, {"x", ""}, {"<a>", ""}, {"</a>", ""}, {"<a></b>", ""}, {"<a><b></a></b>", ""}, {"<a/><a/>", ""}, {"<a/>x", ""}, {"x<a/>", ""},
		{"<a", ""}, {"<a/", ""}, {"<a / >", ""}, {"<1/>", ""}, {"< a/>", ""}, {"<a x/>", ""}, {"<a x=1/>", ""}, {`<a x="1/>`, ""}, {`<a x="<"/>`, ""}, {`<a x="1"y="2"/>`, ""},
		{"<a>&b;</a>", ""}, {"<a>&amp</a>", ""}, {"<a>&</a>", ""}, {"<a>&#;</a>", ""}, {"<a>&#x;</a>", ""}, {"<a>&#xD800;</a>", ""}, {"<a>&#x110000;</a>", ""}, {"<a>&#99999999999;</a>", ""}, {"<a>&#xg;</a>", ""}, {"<a>&#f;</a>", ""},
		{"<!DOCTYPE a><a/>", ""}, {`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, ""}, {"<a><!ELEMENT b></a>", ""}, {"<![CDATA[x]]><a/>", ""},
		{"<a><!-- </a>", ""}, {"<?xml <a/>", ""}, {"<a><![CDATA[ </a>", ""}, {"<a>\xff</a>", ""}, {"<b/>", ""},
		{strings.Repeat("<a>", 17) + strings.Repeat("</a>", 17), ""},
	} {
		got := ""
		doc, err := Parse(row.in, "a")
		if err == nil {
			got = doc.flat(0)
		} else if !kind.Is(err, kind.MalformedXML) {
			t.Errorf("%q: %v", row.in, err)
		}
		if got != row.want {
			t.Errorf("%q is %q, want %q", row.in, got, row.want)
		}
	}
}

// Documents made to be slow or large take no more than their size's worth of time.
func TestAttack_A18_XMLCannotBeMadeToCostMuch(t *testing.T) {
	begun := time.Now()
	for name, s := range map[string]string{
		"many pieces":     "<a>" + strings.Repeat("x<!---->", 2<<20/8) + "</a>",
		"many references": "<a>" + strings.Repeat("&lt;", 2<<20/4) + "</a>",
		"many elements":   "<a>" + strings.Repeat("<b/>", 2<<20/4) + "</a>",
		"many attributes": "<a " + strings.Repeat("b='' ", 2<<20/5) + "/>",
		"long name":       "<" + strings.Repeat("a", 2<<20) + "/>",
		"unclosed":        strings.Repeat("<a>", 2<<20/3),
		"comments":        strings.Repeat("<!--", 2<<20/4),
	} {
		doc, _ := Parse(s, "a")
		if len(doc) > maxElements {
			t.Errorf("%s: %d elements", name, len(doc))
		}
	}
	if took := time.Since(begun); took > time.Minute { // quadratic would be many minutes
		t.Errorf("took %v", took)
	}
}

// reference reads a document with encoding/xml into the form of flat; false for what it refuses.
func reference(s string) (string, bool) {
	dec := xml.NewDecoder(strings.NewReader(s))
	dec.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("no charsets") }
	type element struct {
		name, text, kids string
	}
	var stack []element
	done := ""
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			return done, done != "" && len(stack) == 0
		}
		if err != nil {
			return "", false
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if done != "" {
				return "", false
			}
			stack = append(stack, element{name: tok.Name.Local})
		case xml.EndElement:
			e := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			flat := e.name + "(" + e.kids + ")"
			if e.kids == "" {
				flat = e.name + "(" + e.text + ")"
			}
			if len(stack) == 0 {
				done = flat
			} else {
				stack[len(stack)-1].kids += flat
			}
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(tok)
			} else if strings.TrimSpace(string(tok)) != "" {
				return "", false
			}
		case xml.Directive:
			return "", false
		}
	}
}

// What both this parser and encoding/xml read, they read alike.
func FuzzXML(f *testing.F) {
	for _, s := range []string{
		"<Delete><Object><Key>a&amp;b</Key></Object><Quiet>true</Quiet></Delete>",
		`<?xml version="1.0"?><Delete xmlns="u"><Object><Key><![CDATA[x]]></Key><!-- c --></Object></Delete>`,
		"<Delete><Object><Key>\r\n&#13;&#x1;</Key></Object></Delete>", "<Delete/>", "<!DOCTYPE x><Delete/>", "<a:Delete><b/></a:Delete>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc, err := Parse(s, "Delete")
		if err != nil {
			return
		}
		for i := range doc {
			if doc[i].end <= i || doc[i].end > len(doc) {
				t.Fatalf("%q: element %d ends at %d of %d", s, i, doc[i].end, len(doc))
			}
		}
		got := doc.flat(0)
		if want, ok := reference(s); ok && got != want {
			t.Fatalf("%q is %q, and to encoding/xml %q", s, got, want)
		}
	})
}

func TestXMLTextIsEscaped(t *testing.T) {
	x := New(0)
	defer x.Free()
	x.B = x.B[:0]
	x.Elem("a", "<&>\"'é\x00\t\n\r\x7f\ufffe\uffff\xff😀")
	if got := string(x.B); got != "<a>&lt;&amp;&gt;&quot;'é&#x0;&#x9;&#xa;&#xd;&#x7f;&#xfffe;&#xffff;\ufffd😀</a>" {
		t.Errorf("got %s", got)
	}
	if got := string(AppendURL(nil, "a b+c/é%~*'\x00")); got != "a%20b%2Bc/%C3%A9%25~*%27%00" {
		t.Errorf("got %s", got)
	}
}

func TestTimesAreWrittenAsTheLayoutSays(t *testing.T) {
	for _, at := range []time.Time{time.Date(2026, 11, 22, 10, 30, 0, 123_000_000, time.UTC), {}, time.UnixMilli(1), time.UnixMilli(1_700_000_000_999), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 1, 2, 3, 4_000_000, time.FixedZone("x", 3600))} {
		if got, want := string(appendTime(nil, at.UTC())), at.UTC().Format(TimeLayout); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFieldsAreReadByTheirSchema(t *testing.T) {
	for _, row := range []struct {
		in string
		ok bool
	}{
		{"<a><must>1</must></a>", true},
		{"<a> <many>1</many><must>1</must><many>2</many><within><x/></within> </a>", true},
		{"<a><must>1</must><within/></a>", true},
		{"<a/>", false},
		{"<a>text</a>", false},
		{"<a><must>1</must><must>2</must></a>", false},
		{"<a><must>1</must><other/></a>", false},
		{"<a><must><x/></must></a>", false},
		{"<a><must>1</must><maybe/><maybe/></a>", false},
		{"<b><must>1</must></b>", false},
	} {
		e, err := Decode(row.in, "a", 1000)
		if err == nil {
			_, err = e.Fields("must", "maybe?", "many*", "within/?")
		}
		if (err == nil) != row.ok || err != nil && !kind.Is(err, kind.MalformedXML) {
			t.Errorf("%s: %v", row.in, err)
		}
	}
	if _, err := Decode("<a>"+strings.Repeat(" ", 1000)+"</a>", "a", 1000); !kind.Is(err, kind.MalformedXML) {
		t.Errorf("a long document: %v", err)
	}
}

func TestAttributesAreFound(t *testing.T) {
	for in, want := range map[string]string{
		`<a xsi:type="x"/>`: "x", `<a  b = 'c"d' x:type='y' />`: "y", `<a type="z">1</a>`: "z", `<a/>`: "", `<a b="type"/>`: "", `<a xmlns:type="no" />`: "",
		`<a xmlns:type='no' i:type="yes"></a>`: "yes", `<a><b type="x"/></a>`: "", `<a b="1" />`: "",
	} {
		e, err := Decode(in, "a", 1000)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Attr("type"); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func TestNumbersAndTruthsAreStrict(t *testing.T) {
	e, err := Decode("<a><n> 12 </n><bad>1x</bad><empty/><yes>true</yes><no>false</no><loud>TRUE</loud></a>", "a", 1000)
	if err != nil {
		t.Fatal(err)
	}
	f, err := e.Fields("n", "bad", "empty", "yes", "no", "loud")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"n": 12, "bad": -1, "empty": -1, "absent": 0} {
		if got, err := f.Int(name); err == nil && got != want || (err != nil) != (want < 0) {
			t.Errorf("%s is %d, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"yes": "true", "no": "false", "loud": "", "n": "", "absent": "false"} {
		if got, err := f.Bool(name); err == nil && fmt.Sprint(got) != want || (err != nil) != (want == "") {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}
}
