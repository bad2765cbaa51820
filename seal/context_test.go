package seal_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/seal"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestContextHeaderIsBase64OfAFlatObjectOfStrings(t *testing.T) {
	for text, want := range map[string]seal.Context{
		`{}`:                              {},
		`{"a":"b"}`:                       {"a": "b"},
		" {\n\"a\" : \"\", \"é\":\"猫\"} ": {"a": "", "é": "猫"},
		`{"a":"\u0000"}`:                  {"a": "\x00"},
	} {
		c, err := seal.ParseContext(b64(text))
		if err != nil || !maps.Equal(c, want) {
			t.Errorf("%s: %v %v", text, c, err)
		}
	}
	many := make([]string, 33)
	for n := range many {
		many[n] = fmt.Sprintf(`"k%d":"v"`, n)
	}
	for what, header := range map[string]string{
		"empty":           "",
		"not base64":      "{}",
		"line feed":       b64(`{"a":"b"}`)[:4] + "\n" + b64(`{"a":"b"}`)[4:],
		"url base64":      strings.ReplaceAll(b64(`{"a":"???>>>"}`), "/", "_"),
		"no object":       b64(`"a"`),
		"null":            b64(`null`),
		"array":           b64(`["a","b"]`),
		"number":          b64(`{"a":1}`),
		"null value":      b64(`{"a":null}`),
		"nested":          b64(`{"a":{"b":"c"}}`),
		"deep":            b64(strings.Repeat(`{"a":`, 900)),
		"twice":           b64(`{"a":"b","a":"c"}`),
		"twice, escaped":  b64(`{"a":"b","\u0061":"c"}`),
		"more behind":     b64(`{"a":"b"}{}`),
		"rubbish behind":  b64(`{"a":"b"}x`),
		"open":            b64(`{"a":"b"`),
		"empty name":      b64(`{"":"b"}`),
		"not UTF-8":       b64("{\"a\":\"\xff\"}"),
		"too many":        b64("{" + strings.Join(many, ",") + "}"),
		"too long":        b64(`{"a":"` + strings.Repeat("x", seal.MaxContext) + `"}`),
		"far too long":    strings.Repeat("A", 1<<20),
		"trailing commas": b64(`{"a":"b",}`),
	} {
		_, err := seal.ParseContext(header)
		if kind.Of(err) != kind.InvalidArgument || err.Error() != "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map" {
			t.Errorf("%s: %v", what, err)
		}
	}
	c := seal.Context{"b": "2", "a": "1"}
	if got, err := seal.ParseContext(c.Header()); err != nil || !maps.Equal(got, c) {
		t.Errorf("what was answered does not parse: %v", err)
	}
	if seal.Context(nil).Header() != "" {
		t.Error("no context, but a header")
	}
}

func TestContextHasOneEncoding(t *testing.T) {
	c := seal.Context{"b": "2", "a": "1", "aa": ""}
	want := "\x00\x00\x00\x03\x00\x00\x00\x01a\x00\x00\x00\x011\x00\x00\x00\x02aa\x00\x00\x00\x00\x00\x00\x00\x01b\x00\x00\x00\x012"
	if got := c.Canonical(); string(got) != want {
		t.Fatalf("%q", got)
	}
	got, err := seal.DecodeContext([]byte(want))
	if err != nil || !maps.Equal(got, c) {
		t.Fatal(err)
	}
	if c, err := seal.DecodeContext(nil); c != nil || err != nil {
		t.Error("no bytes are not no pairs")
	}
	for what, b := range map[string]string{
		"short":        "\x00\x00\x00",
		"more behind":  want + "\x00",
		"cut":          want[:len(want)-1],
		"unordered":    "\x00\x00\x00\x02\x00\x00\x00\x01b\x00\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x00\x00",
		"twice":        "\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x00\x00",
		"empty name":   "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
		"huge count":   "\xff\xff\xff\xff",
		"huge length":  "\x00\x00\x00\x01\xff\xff\xff\xff",
		"not UTF-8":    "\x00\x00\x00\x01\x00\x00\x00\x01\xff\x00\x00\x00\x00",
		"over MaxSize": string(seal.Context{"a": strings.Repeat("x", seal.MaxContext)}.Canonical()),
	} {
		if _, err := seal.DecodeContext([]byte(b)); kind.Of(err) != kind.Damaged {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestContextGetsTheARNOfObjectOrBucket(t *testing.T) {
	c := seal.Context{"a": "b"}
	for _, x := range []struct {
		bucketKey bool
		arn       string
	}{{false, "arn:aws:s3:::photos/2026/a b.jpg"}, {true, "arn:aws:s3:::photos"}} {
		got, err := c.At("photos", "2026/a b.jpg", x.bucketKey)
		if err != nil || !maps.Equal(got, seal.Context{"a": "b", "aws:s3:arn": x.arn}) {
			t.Errorf("%v %v", got, err)
		}
		if again, err := got.At("photos", "2026/a b.jpg", x.bucketKey); err != nil || !maps.Equal(again, got) {
			t.Errorf("the pair that is right anyway: %v", err)
		}
		_, err = got.At("other", "2026/a b.jpg", x.bucketKey)
		wantKind(t, err, kind.InvalidArgument)
	}
	if len(c) != 1 {
		t.Error("At changed its receiver")
	}
}

// FuzzContext: what parses comes back from header and stored form alike; what decodes has no other
// encoding.
func FuzzContext(f *testing.F) {
	f.Add([]byte(`{"a":"b","c":"d"}`))
	f.Add([]byte(`{"a":{"b":"c"}}`))
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x01b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := seal.ParseContext(base64.StdEncoding.EncodeToString(b)); err == nil {
			stored, err := seal.DecodeContext(c.Canonical())
			if err != nil || !maps.Equal(stored, c) {
				t.Fatalf("%q: stored as %v, %v", b, stored, err)
			}
			if len(c) > 0 {
				if again, err := seal.ParseContext(c.Header()); err != nil || !maps.Equal(again, c) {
					t.Fatalf("%q: header %v, %v", b, again, err)
				}
			}
		}
		if c, err := seal.DecodeContext(b); err == nil && len(b) > 0 && !bytes.Equal(c.Canonical(), b) {
			t.Fatalf("%x has another encoding", b)
		}
	})
}
