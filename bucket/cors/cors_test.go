package cors

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`

func config(rules string) string { return "<CORSConfiguration>" + rules + "</CORSConfiguration>" }

func rule(inside string) string { return "<CORSRule>" + inside + "</CORSRule>" }

const minimal = "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"

// failure is an error as "kind message"; "" for none.
func failure(err error) string {
	if e := (*kind.Error)(nil); errors.As(err, &e) {
		return fmt.Sprint(e.Kind, " ", e.Message)
	}
	return ""
}

const badXML = "300 The XML you provided was not well-formed or did not validate against our published schema"

func TestDocuments(t *testing.T) {
	full := "<ID>r</ID><AllowedHeader>x-*</AllowedHeader><AllowedHeader>y</AllowedHeader><AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod>" +
		"<AllowedOrigin>http://b</AllowedOrigin><AllowedOrigin>http://*.a</AllowedOrigin><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>0</MaxAgeSeconds>"
	for _, row := range []struct{ name, in, failure string }{
		{"minimal", rule(minimal), ""},
		{"full", rule(full), ""},
		{"hundred", strings.Repeat(rule(minimal), 100), ""},
		{"too many", strings.Repeat(rule(minimal), 101), "110 The number of CORS rules should not exceed allowed limit of 100 rules."},
		{"none", "", badXML},
		{"no method", rule("<AllowedOrigin>*</AllowedOrigin>"), badXML},
		{"no origin", rule("<AllowedMethod>GET</AllowedMethod>"), badXML},
		{"empty origin", rule("<AllowedMethod>GET</AllowedMethod><AllowedOrigin/>"), badXML},
		{"unknown method", rule("<AllowedMethod>PATCH</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"), "110 Found unsupported HTTP method in CORS config. Unsupported method is PATCH"},
		{"quiet method", rule("<AllowedMethod>get</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"), "110 Found unsupported HTTP method in CORS config. Unsupported method is get"},
		{"two stars", rule("<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*.*</AllowedOrigin>"), `110 AllowedOrigin "*.*" can not have more than one wildcard.`},
		{"two stars in a header", rule(minimal + "<AllowedHeader>**</AllowedHeader>"), `110 AllowedHeader "**" can not have more than one wildcard.`},
		{"no header", rule(minimal + "<AllowedHeader>a b</AllowedHeader>"), `110 AllowedHeader "a b" contains invalid character.`},
		{"exposed star", rule(minimal + "<ExposeHeader>x*</ExposeHeader>"), `110 ExposeHeader "x*" contains wildcard. We currently do not support wildcard for ExposeHeader.`},
		{"injected header", rule(minimal + "<ExposeHeader>a&#13;&#10;b</ExposeHeader>"), "110 ExposeHeader \"a\r\nb\" contains invalid character."},
		{"age", rule(minimal + "<MaxAgeSeconds>x</MaxAgeSeconds>"), badXML},
		{"negative age", rule(minimal + "<MaxAgeSeconds>-1</MaxAgeSeconds>"), badXML},
		{"two ages", rule(minimal + "<MaxAgeSeconds>1</MaxAgeSeconds><MaxAgeSeconds>1</MaxAgeSeconds>"), badXML},
		{"long ID", rule(minimal + "<ID>" + strings.Repeat("i", 256) + "</ID>"), "110 ID length should not exceed allowed limit of 255"},
		{"unknown", rule(minimal + "<Credentials/>"), badXML},
		{"too long", strings.Repeat(" ", MaxBytes), badXML},
	} {
		if _, err := Parse(config(row.in)); failure(err) != row.failure {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	c, err := Parse(config(rule(full)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := xmlio.Document(c), head+rule(full)+"</CORSConfiguration>"; got != want {
		t.Errorf("printed %s\nwant    %s", got, want)
	}
}

func parsed(t *testing.T, rules ...string) *Config {
	t.Helper()
	c, err := Parse(config(rule(strings.Join(rules, "</CORSRule><CORSRule>"))))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// words shows headers in a line: the origin, the methods, and the rest by first letters.
func words(all []Header) string {
	var b strings.Builder
	for _, h := range all {
		b.WriteString(strings.TrimPrefix(h.Name, "Access-Control-") + "=" + h.Value + "; ")
	}
	return strings.TrimSuffix(b.String(), "; ")
}

const (
	vary      = "; Vary=Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
	named     = "; Allow-Credentials=true" + vary
	forbidden = "309 CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)

func origins(method string, all ...string) string {
	return "<AllowedMethod>" + method + "</AllowedMethod><AllowedOrigin>" + strings.Join(all, "</AllowedOrigin><AllowedOrigin>") + "</AllowedOrigin>"
}

// The origins are those of s3-tests.
func TestOrigins(t *testing.T) {
	c := parsed(t, origins("GET", "*suffix"), origins("GET", "start*end"), origins("GET", "prefix*"), origins("PUT", "*.put"))
	for _, row := range []struct {
		origin, method string
		ok             bool
	}{
		{"foo.suffix", "GET", true}, {"foo.bar", "GET", false}, {"foo.suffix.get", "GET", false}, {"startend", "GET", true}, {"start1end", "GET", true},
		{"0start12end", "GET", false}, {"prefix", "GET", true}, {"prefix.suffix", "GET", true}, {"bla.prefix", "GET", false}, {"foo.suffix", "PUT", false},
		{"foo.put", "PUT", true}, {"foo.put", "GET", false}, {"star", "GET", false}, {"startnd", "GET", false}, {"", "GET", false}, {"FOO.SUFFIX", "GET", false},
		{"a\r\nx: y suffix", "GET", false}, {"é.suffix", "GET", false}, {strings.Repeat("a", 3000) + ".suffix", "GET", false},
	} {
		want := ""
		if row.ok {
			want = "Allow-Origin=" + row.origin + "; Allow-Methods=" + row.method + named
		}
		if got := words(c.Simple(row.origin, row.method)); got != want {
			t.Errorf("%s from %s: %s", row.method, row.origin, got)
		}
		if got, err := c.Preflight(row.origin, row.method, ""); words(got) != want || (err == nil) != row.ok {
			t.Errorf("preflight for %s from %s: %s, %v", row.method, row.origin, words(got), err)
		}
	}
}

// The two ends of a pattern do not share characters.
func TestWildcards(t *testing.T) {
	for _, row := range []struct {
		pattern, s string
		want       bool
	}{{"ab*ba", "aba", false}, {"ab*ba", "abba", true}, {"*", "", true}, {"a", "a", true}, {"a", "ab", false}, {"a*", "ba", false}} {
		if wildcard(row.pattern, row.s) != row.want {
			t.Errorf("%s: %s", row.pattern, row.s)
		}
	}
}

func TestPreflights(t *testing.T) {
	c := parsed(t, origins("GET", "http://a")+"<AllowedHeader>X-Amz-*</AllowedHeader><AllowedHeader>Range</AllowedHeader><ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-a</ExposeHeader><MaxAgeSeconds>30</MaxAgeSeconds>",
		origins("PUT", "http://b", "*")+"<AllowedHeader>*</AllowedHeader>", origins("DELETE", "http://c"))
	const rest = "; Expose-Headers=ETag, x-a; Max-Age=30" + named
	for _, row := range []struct{ origin, method, headers, want string }{
		{"http://a", "GET", "", "Allow-Origin=http://a; Allow-Methods=GET" + rest},
		{"http://a", "GET", "x-amz-date, RANGE", "Allow-Origin=http://a; Allow-Methods=GET; Allow-Headers=x-amz-date, range" + rest},
		{"http://a", "GET", "range,,x-amz-,", "Allow-Origin=http://a; Allow-Methods=GET; Allow-Headers=range, x-amz-" + rest},
		{"http://a", "GET", "content-type", forbidden},
		{"http://a", "GET", "range,content-type", forbidden},
		{"http://a", "HEAD", "", forbidden},
		{"http://b", "PUT", "any", "Allow-Origin=http://b; Allow-Methods=PUT; Allow-Headers=any" + named},
		{"http://x", "PUT", "any", "Allow-Origin=*; Allow-Methods=PUT; Allow-Headers=any" + vary},
		{"http://x", "PUT", "a b", forbidden},
		{"http://x", "PUT", "a\r\nSet-Cookie: b", forbidden},
		{"http://x", "PUT", strings.Repeat("a,", 257), forbidden},
		{"http://c", "DELETE", "range", forbidden},
		{"", "GET", "", "321 Insufficient information. Origin request header needed."},
		{"http://a", "", "", "321 Invalid Access-Control-Request-Method: null"},
		{"http://a", "BREW", "", "321 Invalid Access-Control-Request-Method: BREW"},
	} {
		h, err := c.Preflight(row.origin, row.method, row.headers)
		if got := words(h) + failure(err); got != row.want {
			t.Errorf("%s from %s with %q: %s", row.method, row.origin, row.headers, got)
		}
	}
	var none *Config
	if _, err := none.Preflight("http://a", "GET", ""); failure(err) != "309 CORSResponse: CORS is not enabled for this bucket." {
		t.Error(err)
	}
	if h := none.Simple("http://a", "GET"); h != nil {
		t.Error(h)
	}
}

func FuzzCORS(f *testing.F) {
	f.Add(config(rule(minimal)), "http://a", "range")
	f.Add(config(rule(origins("PUT", "a*b")+"<AllowedHeader>x*</AllowedHeader><ID> </ID><MaxAgeSeconds>007</MaxAgeSeconds>")), "ab", "xy")
	f.Fuzz(func(t *testing.T, doc, origin, headers string) {
		c, err := Parse(doc)
		if err != nil {
			return
		}
		text := xmlio.Document(c)
		again, err := Parse(text)
		if err != nil || xmlio.Document(again) != text {
			t.Fatalf("%q became %v, %v", text, again, err)
		}
		all, _ := c.Preflight(origin, "GET", headers)
		for _, h := range append(all, c.Simple(origin, "GET")...) {
			if strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%s: %q", h.Name, h.Value)
			}
		}
	})
}
