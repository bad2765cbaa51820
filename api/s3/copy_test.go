package s3

import (
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/internal/xmlio"
	"holdfast/object"
)

func TestCopySourceIsParsedOnce(t *testing.T) {
	for _, row := range []struct{ header, bucket, key, version string }{
		{"docs/k", "docs", "k", ""},
		{"/docs/k", "docs", "k", ""},
		{"/docs/a/b/c", "docs", "a/b/c", ""},
		{"docs%2Fk", "docs", "k", ""},
		{"%2Fdocs%2Fk", "docs", "k", ""},
		{"docs/k?versionId=null", "docs", "k", "null"},
		{"docs/k?versionId=0123", "docs", "k", "0123"},
		{"docs/a%3FversionId=x", "docs", "a?versionId=x", ""},
		{"docs/a%3Fb?versionId=null", "docs", "a?b", "null"},
		{"docs/a+b", "docs", "a+b", ""},
		{"docs/a%20b%2Bc", "docs", "a b+c", ""},
		{"docs/%C3%A9", "docs", "é", ""},
		{"docs/é", "docs", "é", ""},
		{"docs/%2541", "docs", "%41", ""}, // decoded once, not twice
		{"docs/%252e%252e%252fother", "docs", "%2e%2e%2fother", ""},
		{"docs/../other/k", "docs", "../other/k", ""},
		{"docs/%2e%2e/k", "docs", "../k", ""},
		{"docs//k", "docs", "/k", ""},
		{"docs/k/", "docs", "k/", ""},
		{`docs/a\b`, "docs", `a\b`, ""},
		{"docs/%00", "docs", "\x00", ""},
		{"", "", "", ""}, {"docs", "", "", ""}, {"docs/", "", "", ""}, {"/docs", "", "", ""}, {"//docs/k", "", "", ""}, {"/", "", "", ""},
		{"docs/k?", "", "", ""}, {"docs/k?versionId=", "", "", ""}, {"docs/k?versionid=x", "", "", ""}, {"docs/k?acl", "", "", ""},
		{"docs/k?versionId=%zz", "", "", ""}, {"docs/%zz", "", "", ""}, {"docs/%ff", "", "", ""}, {"docs/\xff", "", "", ""},
		{"../k", "", "", ""}, {"UPPER/k", "", "", ""}, {"a/k", "", "", ""}, {"arn:aws:s3:us-west-2:1:accesspoint/a/object/k", "", "", ""},
		{"docs/" + strings.Repeat("k", 1025), "", "", ""},
	} {
		src, err := parseCopySource(row.header)
		if row.bucket == "" {
			if err == nil {
				t.Errorf("%q is %q %q", row.header, src.Bucket, src.Key)
			}
			continue
		}
		if err != nil || src.Bucket != row.bucket || src.Key != row.key || src.VersionID != row.version {
			t.Errorf("%q is %q %q %q, %v", row.header, src.Bucket, src.Key, src.VersionID, err)
		}
	}
}

func FuzzCopySource(f *testing.F) {
	for _, s := range []string{"docs/k", "/docs/%2e%2e/x?versionId=null", "docs/%2541", "//", "docs/k?versionId=a?b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		src, err := parseCopySource(s)
		if err != nil {
			return
		}
		if !validBucket(src.Bucket) || src.Key == "" || len(src.Key) > object.MaxKeyLen || !utf8.ValidString(src.Key) {
			t.Fatalf("%q is %+v", s, src)
		}
		// Written as an SDK would, it names the same.
		again, err := parseCopySource("/" + src.Bucket + "/" + escapePath(src.Key))
		if err != nil || again.Bucket != src.Bucket || again.Key != src.Key {
			t.Fatalf("%q is %+v and then %+v, %v", s, src, again, err)
		}
	})
}

func TestCopy(t *testing.T) {
	b := newBench(t).fill("src")
	b.want(200, b.do("PUT", "/docs/src", "source", "x-amz-meta-a", "1", "Content-Type", "text/plain", "x-amz-tagging", "t=1"))
	etag := b.engine.objects["docs/src"].ETag
	got := b.want(200, b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/src", "x-amz-meta-a", "2"))
	if want := xmlio.Head + `<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LastModified>2026-11-22T10:30:00.000Z</LastModified><ETag>&quot;` +
		etag + `&quot;</ETag></CopyObjectResult>`; got.body != want {
		t.Errorf("got %s", got.body)
	}
	if o := b.engine.objects["docs/dst"]; o.Metadata["a"] != "1" || o.Headers["Content-Type"] != "text/plain" || o.Tags != "t=1" {
		t.Errorf("copied %+v", o.Attributes)
	}
	b.want(200, b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/src", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-a", "2",
		"x-amz-tagging-directive", "REPLACE", "x-amz-tagging", "t=2", "x-amz-checksum-algorithm", "SHA256"))
	if o := b.engine.objects["docs/dst"]; o.Metadata["a"] != "2" || o.Headers["Content-Type"] != "" || o.Tags != "t=2" || b.engine.lastCopy.ChecksumAlgorithm != 5 {
		t.Errorf("replaced %+v", o.Attributes)
	}
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/src", "x-amz-metadata-directive", "MERGE"))
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/src", "x-amz-tagging-directive", "MERGE"))
	b.wantError(404, "NoSuchKey", b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/none"))
	b.wantError(400, "InvalidArgument", b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/src", "x-amz-copy-source", "docs/dst"))
	for _, row := range []struct {
		header, value string
		status        int
	}{
		{"if-match", `"` + etag + `"`, 200}, {"if-match", `"other"`, 412}, {"if-none-match", `"other"`, 200},
		{"if-none-match", `"` + etag + `"`, 412}, // never a 304
		{"if-modified-since", "Sun, 22 Nov 2026 09:30:00 GMT", 200}, {"if-modified-since", "Sun, 22 Nov 2026 11:30:00 GMT", 412},
		{"if-unmodified-since", "Sun, 22 Nov 2026 09:30:00 GMT", 412}, {"if-unmodified-since", "Sun, 22 Nov 2026 11:30:00 GMT", 200},
	} {
		b.want(row.status, b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/src", "x-amz-copy-source-"+row.header, row.value))
	}
	b.wantError(412, "PreconditionFailed", b.do("PUT", "/docs/dst", "", "x-amz-copy-source", "docs/src", "If-None-Match", "*"))
}

func TestACopyOntoItselfMustChangeSomething(t *testing.T) {
	b := newBench(t).fill("k")
	self := func(more ...string) reply {
		return b.do("PUT", "/docs/k", "", append(more, "x-amz-copy-source", "/docs/k")...)
	}
	got := b.wantError(400, "InvalidRequest", self())
	if got.message() != "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes." {
		t.Errorf("message %q", got.message())
	}
	b.wantError(400, "InvalidRequest", self("x-amz-meta-a", "1")) // without REPLACE it is dropped
	b.want(200, self("x-amz-metadata-directive", "REPLACE", "x-amz-meta-a", "1"))
	b.want(200, self("x-amz-tagging-directive", "REPLACE"))
	b.want(200, self("x-amz-storage-class", "STANDARD"))
	b.want(200, self(ssec('k')...)) // seal it
	b.want(200, self(append(ssec('n'), sourceSSEC('k')...)...))
	if b.engine.objects["docs/k"].customer != keyMD5('n') {
		t.Error("the key was not changed")
	}
	b.want(200, self(sourceSSEC('n')...)) // open it
	if b.engine.objects["docs/k"].customer != "" {
		t.Error("the object is still sealed")
	}
}

func TestPartCopyRanges(t *testing.T) {
	b := newBench(t).fill("src")
	b.want(200, b.do("POST", "/docs/k?uploads", ""))
	target := "/docs/k?partNumber=1&uploadId=00000000000000000000000000000001"
	for _, bad := range []string{"", "bytes=", "bytes=1", "bytes=1-", "bytes=-1", "bytes=2-1", "1-2", "bytes=0-1,2-3", "bytes=a-b"} {
		b.wantError(400, "InvalidArgument", b.do("PUT", target, "", "x-amz-copy-source", "docs/src", "x-amz-copy-source-range", bad))
	}
	b.want(200, b.do("PUT", target, "", "x-amz-copy-source", "docs/src", "x-amz-copy-source-range", "bytes=0-1"))
}
