package filter

import (
	"strings"
	"testing"

	"holdfast/bucket/tagging"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

func parse(inside string, sizes bool) (Filter, error) {
	e, err := xmlio.Decode("<Filter>"+inside+"</Filter>", "Filter", 1<<20)
	if err != nil {
		return Filter{}, err
	}
	return Parse(e, sizes)
}

func printed(fl *Filter) string {
	var x xmlio.Writer
	fl.WriteXML(&x)
	return strings.TrimSuffix(strings.TrimPrefix(string(x.B), "<Filter>"), "</Filter>")
}

func tag(k, v string) string { return "<Tag><Key>" + k + "</Key><Value>" + v + "</Value></Tag>" }

const (
	over  = "<ObjectSizeGreaterThan>500</ObjectSizeGreaterThan>"
	under = "<ObjectSizeLessThan>1000</ObjectSizeLessThan>"
	a     = "<Prefix>a/</Prefix>"
)

func TestFiltersArePrintedInOneForm(t *testing.T) {
	for _, row := range []struct{ in, out string }{
		{"", ""}, {a, a}, {"<Prefix/>", "<Prefix></Prefix>"}, {tag("k", "v"), tag("k", "v")}, {over, over}, {"<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>", "<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>"},
		{"<And>" + a + tag("k", "v") + "</And>", "<And>" + a + tag("k", "v") + "</And>"},
		{"<And>" + tag("k", "v") + tag("l", "") + "</And>", "<And>" + tag("k", "v") + tag("l", "") + "</And>"},
		{"<And>" + under + tag("k", "v") + over + "<Prefix/></And>", "<And><Prefix></Prefix>" + tag("k", "v") + over + under + "</And>"},
		// As s3-tests has them.
		{"<Prefix/>" + tag("k", "v"), "<And><Prefix></Prefix>" + tag("k", "v") + "</And>"},
		{"<Prefix>days1/</Prefix>" + tag("tom", "s") + "<And><Prefix>days1</Prefix>" + tag("huck", "f") + "</And>", "<And><Prefix>days1/</Prefix>" + tag("tom", "s") + tag("huck", "f") + "</And>"},
		{"<Prefix>days1</Prefix><And><Prefix>days1/</Prefix>" + tag("huck", "f") + "</And>", "<And><Prefix>days1/</Prefix>" + tag("huck", "f") + "</And>"},
	} {
		fl, err := parse(row.in, true)
		if err != nil {
			t.Errorf("%s: %v", row.in, err)
			continue
		}
		if got := printed(&fl); got != row.out {
			t.Errorf("%s became %s", row.in, got)
		}
		if again, err := parse(row.out, true); err != nil || !again.Equal(&fl) {
			t.Errorf("%s is read as %+v, %v", row.out, again, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for in, want := range map[string]kind.Kind{
		"<And/>":                           kind.MalformedXML,
		"<And>" + a + "</And>":             kind.MalformedXML,
		"<And>" + over + "</And>":          kind.MalformedXML,
		"<And>" + tag("k", "v") + "</And>": kind.MalformedXML,
		a + a:                              kind.MalformedXML,
		a + "<And><Prefix>b</Prefix>" + tag("k", "v") + "</And>": kind.MalformedXML,
		over + "<And>" + over + under + "</And>":                 kind.MalformedXML,
		tag("k", "v") + tag("l", "v"):                            kind.MalformedXML,
		"<And>" + tag("k", "v") + tag("k", "w") + "</And>":       kind.InvalidRequest,
		tag("", "v"):                       kind.InvalidTag,
		tag(strings.Repeat("k", 129), "v"): kind.InvalidTag,
		"<Tag><Key>k</Key></Tag>":          kind.MalformedXML,
		"<Tags/>":                          kind.MalformedXML,
		"x":                                kind.MalformedXML,
		"<Prefix>" + strings.Repeat("p", 1025) + "</Prefix>":                                         kind.InvalidRequest,
		"<ObjectSizeGreaterThan>-1</ObjectSizeGreaterThan>":                                          kind.InvalidRequest,
		"<ObjectSizeGreaterThan>9223372036854775807</ObjectSizeGreaterThan>":                         kind.InvalidRequest,
		"<ObjectSizeLessThan>0</ObjectSizeLessThan>":                                                 kind.InvalidRequest,
		"<ObjectSizeLessThan>1.5</ObjectSizeLessThan>":                                               kind.MalformedXML,
		"<ObjectSizeLessThan>5</ObjectSizeLessThan><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>": kind.InvalidRequest,
	} {
		if fl, err := parse(in, true); !kind.Is(err, want) {
			t.Errorf("%s: %+v, %v", in, fl, err)
		}
	}
	if _, err := parse(over, false); !kind.Is(err, kind.MalformedXML) {
		t.Errorf("a size without sizes: %v", err)
	}
	many := ""
	for i := range 11 {
		many += tag(string(rune('a'+i)), "")
	}
	if _, err := parse("<And>"+many+"</And>", true); !kind.Is(err, kind.MalformedXML) {
		t.Errorf("eleven tags: %v", err)
	}
}

func TestMatches(t *testing.T) {
	tags := tagging.Set{{Key: "k", Value: "v"}, {Key: "l", Value: ""}}
	for _, row := range []struct {
		filter, key string
		size        int64
		want        bool
	}{
		{"", "any", 0, true}, {"<Prefix/>", "any", 0, true}, {a, "a/b", 0, true}, {a, "a", 0, false}, {a, "ba/", 0, false},
		{tag("k", "v"), "x", 0, true}, {tag("k", "w"), "x", 0, false}, {tag("m", ""), "x", 0, false}, {tag("l", ""), "x", 0, true},
		{over, "x", 500, false}, {over, "x", 501, true}, {under, "x", 1000, false}, {under, "x", 999, true}, {"<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>", "x", 0, false},
		{"<And>" + a + tag("k", "v") + over + under + "</And>", "a/", 750, true},
		{"<And>" + a + tag("k", "v") + over + under + "</And>", "b/", 750, false},
		{"<And>" + a + tag("k", "v") + over + under + "</And>", "a/", 1000, false},
		{"<And>" + a + tag("k", "v") + over + under + "</And>", "a/", 500, false},
		{"<And>" + a + tag("k", "v") + tag("m", "") + "</And>", "a/", 750, false},
	} {
		fl, err := parse(row.filter, true)
		if err != nil {
			t.Fatal(err)
		}
		if fl.Matches(row.key, row.size, tags) != row.want {
			t.Errorf("%s: %s of %d bytes", row.filter, row.key, row.size)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{a, "<And>" + a + tag("k", "v") + over + "</And>", "<Prefix/>" + tag("k", "") + "<And>" + a + under + "</And>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		fl, err := parse(in, true)
		if err != nil {
			return
		}
		text := printed(&fl)
		if again, err := parse(text, true); err != nil || !again.Equal(&fl) {
			t.Fatalf("%s became %+v, %v", text, again, err)
		}
	})
}
