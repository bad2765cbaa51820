package s3

import "testing"

func TestSmoke(t *testing.T) {
	b := newBench(t).fill("a/b", "a/c", "d")
	r := b.want(200, b.do("GET", "/docs/a/b", ""))
	if r.body != "a/b" {
		t.Errorf("got %q", r.body)
	}
	t.Log(r.Header)
	b.want(206, b.do("GET", "/docs/a/b", "", "Range", "bytes=1-"))
	b.wantError(416, "InvalidRange", b.do("GET", "/docs/a/b", "", "Range", "bytes=5-"))
	b.want(304, b.do("GET", "/docs/a/b", "", "If-None-Match", r.Header.Get("ETag")))
	t.Log(b.do("GET", "/docs?list-type=2&delimiter=/", "").body)
	t.Log(b.do("GET", "/", "").body)
	b.want(200, b.do("HEAD", "/docs/a/b", ""))
	b.want(204, b.do("DELETE", "/docs/a/b", ""))
	t.Log(b.wantError(404, "NoSuchKey", b.do("GET", "/docs/a/b", "")).body)
	t.Log(b.log.String())
}
