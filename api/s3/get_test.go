package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
	"holdfast/proto/metapb"
)

// ten makes object docs/ten of ten bytes with everything that headers can show.
func ten(t *testing.T) *bench {
	b := newBench(t).fill("empty")
	b.engine.objects["docs/empty"].data, b.engine.objects["docs/empty"].Size = nil, 0
	b.engine.objects["docs/ten"] = &fakeObject{data: []byte("0123456789"), Info: object.Info{
		Bucket: "docs", Key: "ten", Size: 10, ETag: "781e5e245d69b566979b86e28d23f2c7", Modified: testTime.Truncate(time.Second),
		Attributes: object.Attributes{
			Headers:  map[string]string{"Content-Type": "text/plain", "Cache-Control": "max-age=60", "Content-Disposition": `attachment; filename="t"`},
			Metadata: map[string]string{"colour": "blue", "größe": "10"}, Tags: "a=1&b=2"},
		Checksum: &object.ChecksumValue{Algorithm: metapb.Checksum_CRC32, Type: metapb.Checksum_FULL_OBJECT, Value: "poRP4A=="},
	}}
	return b
}

func TestRanges(t *testing.T) {
	b := ten(t)
	for _, row := range []struct {
		header, target string
		status         int
		body, content  string // Content-Range
	}{
		{"bytes=0-0", "ten", 206, "0", "bytes 0-0/10"},
		{"bytes=2-4", "ten", 206, "234", "bytes 2-4/10"},
		{"bytes=8-", "ten", 206, "89", "bytes 8-9/10"},
		{"bytes=0-", "ten", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=5-99", "ten", 206, "56789", "bytes 5-9/10"},
		{"bytes=5-99999999999999999999999999", "ten", 206, "56789", "bytes 5-9/10"},
		{"bytes=-3", "ten", 206, "789", "bytes 7-9/10"},
		{"bytes=-99", "ten", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=-99999999999999999999999999", "ten", 206, "0123456789", "bytes 0-9/10"},
		{" bytes= 2 - 4 ", "ten", 206, "234", "bytes 2-4/10"},
		{"bytes=10-", "ten", 416, "", "bytes */10"},
		{"bytes=10-12", "ten", 416, "", "bytes */10"},
		{"bytes=99999999999999999999999999-", "ten", 416, "", "bytes */10"},
		{"bytes=-0", "ten", 416, "", "bytes */10"},
		{"bytes=0-0", "empty", 416, "", "bytes */0"},
		{"bytes=-1", "empty", 416, "", "bytes */0"},
		// What is no range, or more than one, is as if it were not there.
		{"bytes=4-2", "ten", 200, "0123456789", ""},
		{"bytes=", "ten", 200, "0123456789", ""},
		{"bytes=-", "ten", 200, "0123456789", ""},
		{"bytes=a-b", "ten", 200, "0123456789", ""},
		{"bytes=+1-2", "ten", 200, "0123456789", ""},
		{"bytes=1--2", "ten", 200, "0123456789", ""},
		{"bytes=0-1,3-4", "ten", 200, "0123456789", ""},
		{"lines=0-1", "ten", 200, "0123456789", ""},
		{"0-1", "ten", 200, "0123456789", ""},
	} {
		got := b.do("GET", "/docs/"+row.target, "", "Range", row.header)
		if got.StatusCode != row.status || got.Header.Get("Content-Range") != row.content || row.status < 300 && got.body != row.body {
			t.Errorf("Range %q of %s: %d %q %q", row.header, row.target, got.StatusCode, got.Header.Get("Content-Range"), got.body)
		}
		if row.status == 416 && got.code() != "InvalidRange" {
			t.Errorf("Range %q: %s", row.header, got.body)
		}
		head := b.do("HEAD", "/docs/"+row.target, "", "Range", row.header)
		if head.StatusCode != row.status || head.Header.Get("Content-Range") != row.content || head.body != "" {
			t.Errorf("HEAD with range %q of %s: %d %q", row.header, row.target, head.StatusCode, head.Header.Get("Content-Range"))
		}
		if row.status < 300 && head.ContentLength != int64(len(row.body)) {
			t.Errorf("HEAD with range %q: length %d", row.header, head.ContentLength)
		}
	}
}

func TestIfRangeKeepsPiecesOfOneVersionTogether(t *testing.T) {
	b := ten(t)
	tag, date := `"781e5e245d69b566979b86e28d23f2c7"`, testTime.Format(http.TimeFormat)
	for _, row := range []struct {
		ifRange, rng string
		status       int
	}{
		{tag, "bytes=1-2", 206},
		{date, "bytes=1-2", 206},
		{`"other"`, "bytes=1-2", 200},
		{"W/" + tag, "bytes=1-2", 200}, // weak tags never do
		{testTime.Add(time.Hour).Format(http.TimeFormat), "bytes=1-2", 200},
		{tag, "bytes=20-", 416},
		{`"other"`, "bytes=20-", 200},
	} {
		got := b.do("GET", "/docs/ten", "", "Range", row.rng, "If-Range", row.ifRange)
		if got.StatusCode != row.status || row.status == 200 && (got.body != "0123456789" || got.Header.Get("Content-Range") != "") {
			t.Errorf("If-Range %s with %s: %d %q %v", row.ifRange, row.rng, got.StatusCode, got.body, got.Header)
		}
	}
}

// The order of RFC 9110, section 13.2.2, and AWS's table in GetObject.
func TestConditionalReads(t *testing.T) {
	b := ten(t)
	const tag, other = `"781e5e245d69b566979b86e28d23f2c7"`, `"00000000000000000000000000000000"`
	past, same, future := testTime.Add(-time.Hour), testTime, testTime.Add(time.Hour)
	d := func(t time.Time) string { return t.UTC().Format(http.TimeFormat) }
	for _, row := range []struct {
		headers []string
		status  int
	}{
		{[]string{"If-Match", tag}, 200},
		{[]string{"If-Match", "*"}, 200},
		{[]string{"If-Match", strings.Trim(tag, `"`)}, 200}, // S3 takes it without quotes
		{[]string{"If-Match", other + ", " + tag}, 200},
		{[]string{"If-Match", other}, 412},
		{[]string{"If-Match", "W/" + tag}, 412}, // strong comparison
		{[]string{"If-None-Match", tag}, 304},
		{[]string{"If-None-Match", "*"}, 304},
		{[]string{"If-None-Match", "W/" + tag}, 304}, // weak comparison
		{[]string{"If-None-Match", other + "," + tag}, 304},
		{[]string{"If-None-Match", `"a,b",` + tag}, 304},
		{[]string{"If-None-Match", other}, 200},
		{[]string{"If-Modified-Since", d(past)}, 200},
		{[]string{"If-Modified-Since", d(same)}, 304},
		{[]string{"If-Modified-Since", d(future)}, 304},
		{[]string{"If-Modified-Since", "yesterday"}, 200},
		{[]string{"If-Unmodified-Since", d(past)}, 412},
		{[]string{"If-Unmodified-Since", d(same)}, 200},
		{[]string{"If-Unmodified-Since", d(future)}, 200},
		{[]string{"If-Unmodified-Since", "yesterday"}, 200},
		// An ETag outranks a date.
		{[]string{"If-Match", tag, "If-Unmodified-Since", d(past)}, 200},
		{[]string{"If-Match", other, "If-Unmodified-Since", d(future)}, 412},
		{[]string{"If-None-Match", other, "If-Modified-Since", d(future)}, 200},
		{[]string{"If-None-Match", tag, "If-Modified-Since", d(past)}, 304},
		// 412 before 304.
		{[]string{"If-Match", other, "If-None-Match", tag}, 412},
		{[]string{"If-Unmodified-Since", d(past), "If-None-Match", tag}, 412},
		{[]string{"If-Match", tag, "If-None-Match", tag}, 304},
		{[]string{"If-Match", tag, "If-Modified-Since", d(same)}, 304},
		// Conditions before the range.
		{[]string{"If-None-Match", tag, "Range", "bytes=0-1"}, 304},
		{[]string{"If-Match", other, "Range", "bytes=99-"}, 412},
		{[]string{"If-Match", tag, "Range", "bytes=0-1"}, 206},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			got := b.do(method, "/docs/ten", "", row.headers...)
			if got.StatusCode != row.status {
				t.Errorf("%s with %q: %d, want %d", method, row.headers, got.StatusCode, row.status)
			}
			if row.status == 304 {
				checkNotModified(t, got)
			}
			if row.status == 412 && method == "GET" && got.code() != "PreconditionFailed" {
				t.Errorf("with %q: %s", row.headers, got.body)
			}
		}
	}
}

// checkNotModified holds a 304 against RFC 9110, section 15.4.5.
func checkNotModified(t *testing.T, got reply) {
	t.Helper()
	if got.body != "" || got.Header.Get("Content-Type") != "" {
		t.Errorf("a 304 with body %q and type %q", got.body, got.Header.Get("Content-Type"))
	}
	if got.Header.Get("ETag") != `"781e5e245d69b566979b86e28d23f2c7"` || got.Header.Get("Last-Modified") == "" || got.Header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("a 304 without its validators: %v", got.Header)
	}
}

func TestAnObjectsHeadersComeBack(t *testing.T) {
	b := ten(t)
	for _, method := range []string{"GET", "HEAD"} {
		got := b.want(200, b.do(method, "/docs/ten", "", "x-amz-checksum-mode", "ENABLED"))
		for name, want := range map[string]string{
			"Content-Length": "10", "Content-Type": "text/plain", "Cache-Control": "max-age=60", "Content-Disposition": `attachment; filename="t"`,
			"ETag": `"781e5e245d69b566979b86e28d23f2c7"`, "Last-Modified": "Sun, 22 Nov 2026 10:30:00 GMT", "Accept-Ranges": "bytes",
			"X-Amz-Meta-Colour": "blue", "X-Amz-Tagging-Count": "2", "X-Amz-Checksum-Crc32": "poRP4A==", "X-Amz-Checksum-Type": "FULL_OBJECT",
			"X-Content-Type-Options": "nosniff", "X-Amz-Version-Id": "", "X-Amz-Storage-Class": "", "X-Amz-Id-2": "front-1",
		} {
			if v := got.Header.Get(name); v != want {
				t.Errorf("%s: %s is %q, want %q", method, name, v, want)
			}
		}
		if id := got.Header.Get("X-Amz-Request-Id"); len(id) != 16 || strings.Trim(id, "0123456789ABCDEF") != "" {
			t.Errorf("request ID %q", id)
		}
	}
	if got := b.do("GET", "/docs/ten", ""); got.Header.Get("X-Amz-Checksum-Crc32") != "" {
		t.Error("a checksum that nobody asked for")
	}
	if got := b.do("GET", "/docs/ten", "", "x-amz-checksum-mode", "ENABLED", "Range", "bytes=0-3"); got.Header.Get("X-Amz-Checksum-Crc32") != "" {
		t.Error("the whole's checksum beside a part of the bytes")
	}
	if got := b.do("GET", "/docs/empty", ""); got.Header.Get("Content-Type") != "binary/octet-stream" || got.ContentLength != 0 {
		t.Errorf("an object without a type: %v", got.Header)
	}
}

func TestAttack_A17_OverridesAreCleanAndSigned(t *testing.T) {
	b := ten(t)
	got := b.want(200, b.do("GET", "/docs/ten?response-content-type=text/html&response-cache-control=no-store&response-expires=never"+
		"&response-content-language=de&response-content-encoding=gzip&response-content-disposition=inline", ""))
	for name, want := range map[string]string{"Content-Type": "text/html", "Cache-Control": "no-store", "Expires": "never",
		"Content-Language": "de", "Content-Encoding": "gzip", "Content-Disposition": "inline", "X-Content-Type-Options": "nosniff"} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	for _, v := range []string{"a%0d%0aSet-Cookie:x", "a%0aX:y", "a%00b", "%7f", "%01"} {
		got := b.wantError(400, "InvalidArgument", b.do("GET", "/docs/ten?response-content-disposition="+v, ""))
		if got.Header.Get("Set-Cookie") != "" {
			t.Error("a header was injected")
		}
	}
	c := &call{query: query{{"response-content-type", "text/html"}}}
	c.identity.Anonymous = true
	if _, err := c.overrides(); !kind.Is(err, kind.InvalidRequest) {
		t.Errorf("an anonymous override: %v", err)
	}
}

func TestPartsOfAnObjectCanBeRead(t *testing.T) {
	b := ten(t)
	b.engine.objects["docs/ten"].partLens, b.engine.objects["docs/ten"].Parts = []int64{4, 6}, 2
	got := b.want(206, b.do("GET", "/docs/ten?partNumber=2", ""))
	if got.body != "456789" || got.Header.Get("Content-Range") != "bytes 4-9/10" || got.Header.Get("X-Amz-Mp-Parts-Count") != "2" {
		t.Errorf("part 2: %q %v", got.body, got.Header)
	}
	b.wantError(416, "InvalidPartNumber", b.do("GET", "/docs/ten?partNumber=3", ""))
	b.wantError(400, "InvalidArgument", b.do("GET", "/docs/ten?partNumber=0", ""))
	b.wantError(400, "InvalidArgument", b.do("GET", "/docs/ten?partNumber=x", ""))
	b.wantError(400, "InvalidRequest", b.do("GET", "/docs/ten?partNumber=1", "", "Range", "bytes=0-1"))
	if got := b.do("GET", "/docs/ten", ""); got.Header.Get("X-Amz-Mp-Parts-Count") != "" {
		t.Error("a parts count without a part number")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	b := ten(t)
	b.wantError(404, "NoSuchKey", b.do("GET", "/docs/nothing", ""))
	b.wantError(404, "NoSuchBucket", b.do("GET", "/other/ten", ""))
	b.wantError(404, "NoSuchVersion", b.do("GET", "/docs/ten?versionId="+strings.Repeat("0", 32), ""))
	b.want(200, b.do("GET", "/docs/ten?versionId=null", ""))
	b.wantError(400, "InvalidArgument", b.do("GET", "/docs/ten?versionId=", ""))
	for _, target := range []string{"/docs/nothing", "/other/ten", "/other"} {
		got := b.want(404, b.do("HEAD", target, ""))
		if got.body != "" {
			t.Errorf("HEAD %s has a body", target)
		}
	}
}

// An answer that was begun and cannot be finished must not look whole.
func TestAFaultInTheMiddleBreaksTheConnection(t *testing.T) {
	b := ten(t)
	b.engine.objects["docs/ten"].data = []byte(strings.Repeat("x", 1<<20))
	b.engine.objects["docs/ten"].Size = 1 << 20
	b.engine.bodyError, b.engine.brokenAfter = kind.New(kind.Damaged, "shard 3 of 6 is damaged"), 100_000
	got := b.do("GET", "/docs/ten", "")
	if got.StatusCode != 200 || !errors.Is(got.err, io.ErrUnexpectedEOF) || len(got.body) >= 1<<20 {
		t.Errorf("got %d with %d bytes and %v", got.StatusCode, len(got.body), got.err)
	}
	if log := b.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "shard 3 of 6 is damaged") {
		t.Errorf("the cause is not in the log: %s", log)
	}
	// Before the first byte it is an error like any other.
	b.engine.brokenAfter = 0
	bad := b.wantError(500, "InternalError", b.do("GET", "/docs/ten", ""))
	if strings.Contains(bad.body, "shard") || bad.Header.Get("ETag") != "" || bad.Header.Get("X-Amz-Meta-Colour") != "" {
		t.Errorf("the answer tells too much: %v %s", bad.Header, bad.body)
	}
}

func TestAnEngineThatSendsTooLittleIsCaught(t *testing.T) {
	b := ten(t)
	b.engine.objects["docs/ten"].Size = 12 // two bytes more than there are
	rd := object.NewReading(b.engine.objects["docs/ten"].Info, 0, 12, false, nil)
	b.server.cfg.Engine = &shortEngine{b.engine, rd}
	b.wantError(500, "InternalError", b.do("GET", "/docs/ten", ""))
}

type shortEngine struct {
	*fakeEngine
	rd *object.Reading
}

func (e *shortEngine) Get(context.Context, object.GetRequest) (*object.Reading, error) {
	return e.rd, nil
}

func TestAPanicIsAnsweredLoggedAndSurvived(t *testing.T) {
	b := ten(t)
	b.engine.panics = true
	got := b.wantError(500, "InternalError", b.do("GET", "/docs/ten", ""))
	if !got.Close || strings.Contains(got.body, "planted") {
		t.Errorf("close %v, body %s", got.Close, got.body)
	}
	if log := b.log.String(); !strings.Contains(log, "planted") || !strings.Contains(log, "fake_test.go") {
		t.Errorf("no panic with a stack in the log: %s", log)
	}
	if o := b.metrics.last(); o.op != "GetObject" || o.code != 500 {
		t.Errorf("counted as %v", o)
	}
	b.engine.panics = false
	b.want(200, b.do("GET", "/docs/ten", ""))
}

func TestAttributes(t *testing.T) {
	b := ten(t)
	got := b.want(200, b.do("GET", "/docs/ten?attributes", "", "x-amz-object-attributes", "ETag,ObjectSize,StorageClass", "x-amz-object-attributes", "Checksum, ObjectParts"))
	want := `<GetObjectAttributesResponse xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ETag>781e5e245d69b566979b86e28d23f2c7</ETag>` +
		`<Checksum><ChecksumCRC32>poRP4A==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType></Checksum>` +
		`<StorageClass>STANDARD</StorageClass><ObjectSize>10</ObjectSize></GetObjectAttributesResponse>`
	if got.body != xmlio.Head+want {
		t.Errorf("got %s", got.body)
	}
	b.wantError(400, "InvalidRequest", b.do("GET", "/docs/ten?attributes", ""))
	b.wantError(400, "InvalidArgument", b.do("GET", "/docs/ten?attributes", "", "x-amz-object-attributes", "Colour"))
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=9-1", "bytes=--1", "bytes=1-2,3-4", "bytes=99999999999999999999-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := parseRange(s)
		if r == nil {
			return
		}
		if r.IsSuffix {
			if r.Suffix < 0 || r.First != 0 || r.Last != 0 {
				t.Errorf("%q: %+v", s, r)
			}
			return
		}
		if r.First < 0 || r.Last >= 0 && r.Last < r.First {
			t.Errorf("%q: %+v", s, r)
		}
		if r.Last >= 0 && r.Last < maxPosition { // what it understood, written again, is the same
			again := parseRange(fmt.Sprintf("bytes=%d-%d", r.First, r.Last))
			if again == nil || *again != *r {
				t.Errorf("%q: %+v and then %+v", s, r, again)
			}
		}
	})
}

func TestADeleteMarkerMayBeDeleted(t *testing.T) {
	b := ten(t)
	b.engine.fail["Get"] = kind.New(kind.MethodNotAllowed, "a delete marker")
	if got := b.wantError(405, "MethodNotAllowed", b.do("GET", "/docs/ten?versionId=null", "")); got.Header.Get("Allow") != "DELETE" {
		t.Errorf("allowed are %q", got.Header.Get("Allow"))
	}
}
