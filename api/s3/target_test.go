package s3

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestPathAndHostNameBucketAndKey(t *testing.T) {
	domains := []string{"eu.s3.example.org", "s3.example.org", "localhost"}
	for _, row := range []struct {
		host, path  string
		level       level
		bucket, key string
	}{
		{"h", "/", levelService, "", ""},
		{"h", "/docs", levelBucket, "docs", ""},
		{"h", "/docs/", levelBucket, "docs", ""},
		{"h", "/docs/k", levelObject, "docs", "k"},
		{"h", "/docs//k", levelObject, "docs", "/k"},
		{"h", "/docs/a/../b", levelObject, "docs", "a/../b"},
		{"h", "/docs/%2e%2e/%2e%2e/etc/passwd", levelObject, "docs", "../../etc/passwd"},
		{"h", "/docs/..", levelObject, "docs", ".."},
		{"h", "/docs/a%2Fb", levelObject, "docs", "a/b"},
		{"h", "/docs%2Fk", levelObject, "docs", "k"},
		{"h", "/docs/%252F", levelObject, "docs", "%2F"},
		{"h", "/docs/a+b", levelObject, "docs", "a+b"},
		{"h", "/docs/a%5Cb", levelObject, "docs", `a\b`},
		{"h", "/docs/%00", levelObject, "docs", "\x00"},
		{"h", "/docs/a%3Fb%23c", levelObject, "docs", "a?b#c"},
		{"h", "/docs/%E6%97%A5", levelObject, "docs", "日"},
		{"h", "//docs/k", levelObject, "", "docs/k"},
		{"docs.s3.example.org", "/", levelBucket, "docs", ""},
		{"docs.s3.example.org:9000", "/k/l", levelObject, "docs", "k/l"},
		{"DOCS.S3.example.ORG", "//k", levelObject, "docs", "/k"},
		{"a.b.localhost:9000", "/k", levelObject, "a.b", "k"},
		{"s3.example.org", "/docs/k", levelObject, "docs", "k"},
		{"eu.s3.example.org", "/docs/k", levelObject, "docs", "k"},
		{"docs.eu.s3.example.org", "/k", levelObject, "docs", "k"},
		{".s3.example.org", "/docs/k", levelObject, "docs", "k"},
		{"evils3.example.org", "/docs/k", levelObject, "docs", "k"},
		{"[::1]:9000", "/docs/k", levelObject, "docs", "k"},
	} {
		r := httptest.NewRequest("GET", "http://x/", nil)
		u, err := url.ParseRequestURI(row.path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.Host = u, row.host
		got, err := parseTarget(r, domains)
		if want := (target{row.level, row.bucket, row.key}); err != nil || got != want {
			t.Errorf("%s%s is %+v, want %+v, %v", row.host, row.path, got, want, err)
		}
	}
}

// A5: a key is bytes. It is stored under itself, whatever it looks like as a path.
func TestAttack_A5_KeysAreLiteral(t *testing.T) {
	b := newBench(t).fill()
	for _, key := range []string{"..", ".", "../../etc/passwd", "a/./b", "a//b", "//", "/lead", "trail/", `..\..\x`, "a\x00b", "a%2Fb", "%2e%2e", strings.Repeat("k", 1024), strings.Repeat("é", 512), "a;b", "a b", "\u202e"} {
		b.want(200, b.do("PUT", "/docs/"+escapePath(key), "of "+key))
		if o := b.engine.objects["docs/"+key]; o == nil || o.Key != key {
			t.Errorf("%q is not stored under itself", key)
		}
		if got := b.want(200, b.do("GET", "/docs/"+escapePath(key), "")); got.body != "of "+key {
			t.Errorf("%q reads %q", key, got.body)
		}
	}
	b.resetCalls()
	b.wantError(400, "KeyTooLongError", b.do("PUT", "/docs/"+strings.Repeat("k", 1025), ""))
	b.wantError(400, "InvalidURI", b.do("PUT", "/docs/%ff", ""))
	b.wantError(400, "InvalidURI", b.do("PUT", "/docs/%c3%28", ""))
	b.wantError(400, "InvalidBucketName", b.do("PUT", "//docs/k", ""))
	b.wantError(400, "InvalidBucketName", b.do("GET", "/..%2Fdocs/k", ""))
	b.wantError(400, "InvalidBucketName", b.do("GET", "/%2e%2e/docs/k", ""))
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
}

func TestVirtualHostStyle(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Domains = []string{"example.org", "S3.example.org"} })
	host := "docs.s3.example.org"
	b.want(200, b.do("PUT", "/", "", "Host", host))
	b.want(200, b.do("PUT", "/a/b", "bytes", "Host", host))
	if got := b.want(200, b.do("GET", "/docs/a/b", "")); got.body != "bytes" {
		t.Errorf("got %q", got.body)
	}
	if got := b.want(200, b.do("GET", "/?list-type=2", "", "Host", host)); !strings.Contains(got.body, "<Key>a/b</Key>") {
		t.Errorf("got %s", got.body)
	}
	b.wantError(400, "InvalidBucketName", b.do("GET", "/k", "", "Host", "a_b.s3.example.org"))
	b.want(204, b.do("DELETE", "/a/b", "", "Host", host))
	b.want(204, b.do("DELETE", "/", "", "Host", host))
}

func FuzzTarget(f *testing.F) {
	f.Add("/docs/k", "x=y&z")
	f.Add("//%2e%2e/%ff", "versionId=%zz")
	f.Fuzz(func(t *testing.T, path, raw string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "http://x/", nil)
		r.URL = u
		got, err := parseTarget(r, []string{"s3.example.org"})
		if err == nil && got.level != levelService {
			if whole := "/" + got.bucket + "/" + got.key; whole != u.Path && whole != u.Path+"/" {
				t.Fatalf("%q was split into %q and %q", u.Path, got.bucket, got.key)
			}
		}
		// Where net/url reads the query whole, so does this, with the same values.
		q, err := parseQuery(nil, raw)
		if err != nil {
			return
		}
		want, err := url.ParseQuery(raw)
		if err != nil || len(want) != len(q) {
			t.Fatalf("%q is %v, and to net/url %v, %v", raw, q, want, err)
		}
		for _, p := range q {
			if want.Get(p.name) != p.value {
				t.Fatalf("%q is %v, and to net/url %v", raw, q, want)
			}
		}
	})
}
