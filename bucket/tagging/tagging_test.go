package tagging

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

func document(tags ...string) string {
	var b strings.Builder
	for _, t := range tags {
		k, v, _ := strings.Cut(t, "=")
		b.WriteString("<Tag><Key>" + k + "</Key><Value>" + v + "</Value></Tag>")
	}
	return "<Tagging><TagSet>" + b.String() + "</TagSet></Tagging>"
}

func numbered(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("k%d=v", i))
	}
	return all
}

// failure is an error as "kind message"; "" for none.
func failure(err error) string {
	if e := (*kind.Error)(nil); errors.As(err, &e) {
		return fmt.Sprint(e.Kind, " ", e.Message)
	}
	return ""
}

const (
	badKey   = "304 The TagKey you have provided is invalid"
	badValue = "304 The TagValue you have provided is invalid"
	badXML   = "300 The XML you provided was not well-formed or did not validate against our published schema"
	badForm  = "109 The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
	tooMany  = "304 Object tags cannot be greater than 10"
)

func TestDocumentsOfObjects(t *testing.T) {
	for _, row := range []struct{ name, in, header, failure string }{
		{"none", document(), "", ""},
		{"empty set", "<Tagging><TagSet/></Tagging>", "", ""},
		{"in their order", document("b=1", "a=2"), "b=1&a=2", ""},
		{"with namespace", `<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Value>v</Value><Key>k</Key></Tag></TagSet></Tagging>`, "k=v", ""},
		{"empty value", document("a="), "a=", ""},
		{"all characters", document("aé1 +-._:/@=x"), "a%C3%A91+%2B-._%3A%2F%40=x", ""},
		{"spaces are kept", document(" a = b "), "+a+=+b+", ""},
		{"ten", document(numbered(10)...), "k0=v&k1=v&k2=v&k3=v&k4=v&k5=v&k6=v&k7=v&k8=v&k9=v", ""},
		{"eleven", document(numbered(11)...), "", tooMany},
		{"longest", document(strings.Repeat("é", 128) + "=" + strings.Repeat("é", 256)), strings.Repeat("%C3%A9", 128) + "=" + strings.Repeat("%C3%A9", 256), ""},
		{"long key", document(strings.Repeat("k", 129) + "=v"), "", badKey},
		{"long value", document("k=" + strings.Repeat("v", 257)), "", badValue},
		{"empty key", document("=v"), "", badKey},
		{"bad key", document("a&amp;b=v"), "", badKey},
		{"bad value", document("k=a!b"), "", badValue},
		{"control", document("k=a&#10;b"), "", badValue},
		{"same key", document("a=1", "a=2"), "", "304 Cannot provide multiple Tags with the same key"},
		{"system", document("aws:x=1"), "", "304 Your TagKey cannot be prefixed with aws:"},
		{"system, loud", document("AWS:x=1"), "", "304 Your TagKey cannot be prefixed with aws:"},
		{"aws alone", document("aws=1"), "aws=1", ""},
		{"no set", "<Tagging/>", "", badXML},
		{"two sets", "<Tagging><TagSet/><TagSet/></Tagging>", "", badXML},
		{"no value", "<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", "", badXML},
		{"two keys", "<Tagging><TagSet><Tag><Key>k</Key><Key>l</Key><Value/></Tag></TagSet></Tagging>", "", badXML},
		{"other root", "<Tags><TagSet/></Tags>", "", badXML},
		{"other element", "<Tagging><TagSet><Tog/></TagSet></Tagging>", "", badXML},
		{"not XML", "k=v", "", badXML},
		{"too long", document() + strings.Repeat(" ", MaxBytes), "", badXML},
	} {
		s, err := ParseObject(row.in)
		if got := failure(err); got != row.failure || s.Header() != row.header {
			t.Errorf("%s: %q, %q; want %q, %q", row.name, s.Header(), got, row.header, row.failure)
		}
	}
}

func TestDocumentsOfBuckets(t *testing.T) {
	if s, err := ParseBucket(document(numbered(50)...)); err != nil || len(s) != 50 {
		t.Errorf("fifty: %d, %v", len(s), err)
	}
	for in, want := range map[string]string{
		document(numbered(51)...): "321 Bucket tag count cannot be greater than 50", document("aws:a=b"): "304 System tags cannot be added/updated by requester",
	} {
		if _, err := ParseBucket(in); failure(err) != want {
			t.Errorf("%v", err)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, row := range []struct{ in, out, failure string }{
		{"", "", ""},
		{"a=b", "a=b", ""},
		{"b=1&a=2", "b=1&a=2", ""},
		{"a", "a=", ""},
		{"a=b=c", "a=b%3Dc", ""},
		{"a%20b=c+d", "a+b=c+d", ""},
		{"%C3%A9=1", "%C3%A9=1", ""},
		{"a=1&a=2", "", badForm},
		{"a=%zz", "", badForm},
		{"%=1", "", badForm},
		{"=1", "", badKey},
		{"&", "", badKey},
		{"a=%ff", "", badValue},
		{"%00=1", "", badKey},
		{"a=b%0d%0aSet-Cookie:x", "", badValue},
		{"aws%3Ax=1", "", "304 Your TagKey cannot be prefixed with aws:"},
		{strings.Join(numbered(10), "&"), strings.Join(numbered(10), "&"), ""},
		{strings.Join(numbered(11), "&"), "", tooMany},
		{strings.Repeat("k", 129) + "=", "", badKey},
		{"k=" + strings.Repeat("v", 257), "", badValue},
	} {
		s, err := ParseHeader(row.in)
		if got := failure(err); got != row.failure || s.Header() != row.out {
			t.Errorf("%q: %q, %q", row.in, s.Header(), got)
		}
	}
}

func TestContains(t *testing.T) {
	s := Set{{"a", "1"}, {"b", ""}}
	for want, all := range map[bool][]Set{
		true: {nil, {{"a", "1"}}, {{"b", ""}}, {{"b", ""}, {"a", "1"}}}, false: {{{"a", "2"}}, {{"c", ""}}, {{"a", "1"}, {"c", ""}}, {{"A", "1"}}},
	} {
		for _, x := range all {
			if s.Contains(x) != want {
				t.Errorf("%v", x)
			}
		}
	}
}

func FuzzTagging(f *testing.F) {
	for _, s := range []string{document("a=b", "c="), document("é=&#x20;"), "a=b&c=%20", "<Tagging/>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, read := range []func(string) (Set, error){ParseObject, ParseBucket} {
			s, err := read(in)
			if err != nil {
				continue
			}
			text := xmlio.Document(s)
			if again, err := read(text); err != nil || !slices.Equal(again, s) || xmlio.Document(again) != text {
				t.Fatalf("%q became %v, %v", text, again, err)
			}
		}
		if s, err := ParseHeader(in); err == nil {
			if again, err := ParseHeader(s.Header()); err != nil || !slices.Equal(again, s) {
				t.Fatalf("%q became %v, %v", s.Header(), again, err)
			}
		}
	})
}
