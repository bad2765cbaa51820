package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/api/sigv4"
	"holdfast/internal/xmlio"
	"holdfast/object"
	"holdfast/proto/metapb"
)

func checksumOf(a *algorithm, body string) string {
	h := a.hash()
	h.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func md5Of(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestPutKeepsWhatTheClientSaysOfIt(t *testing.T) {
	b := newBench(t).fill()
	got := b.want(200, b.do("PUT", "/docs/k", "bytes", "Content-Type", "text/plain", "Content-Encoding", "aws-chunked, gzip", "Cache-Control", "no-store",
		"Content-Disposition", "inline", "Content-Language", "de", "Expires", "Thu, 01 Dec 2033 16:00:00 GMT",
		"x-amz-meta-Colour", "blue", "x-amz-meta-two", "1", "x-amz-meta-two", "2", "x-amz-meta-empty", "", "x-amz-meta-umlaut", "größe",
		"x-amz-tagging", "a=1&b=x%20y", "x-amz-acl", "private", "x-amz-storage-class", "STANDARD"))
	if got.Header.Get("ETag") != `"`+fmt.Sprintf("%x", md5.Sum([]byte("bytes")))+`"` || got.ContentLength != 0 {
		t.Errorf("answer %v", got.Header)
	}
	p := b.engine.lastPut
	want := object.Attributes{
		Headers: map[string]string{"Content-Type": "text/plain", "Content-Encoding": "gzip", "Cache-Control": "no-store",
			"Content-Disposition": "inline", "Content-Language": "de", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT"},
		Metadata: map[string]string{"colour": "blue", "two": "1,2", "empty": "", "umlaut": "größe"},
		Tags:     "a=1&b=x+y",
	}
	if fmt.Sprint(p.Attributes) != fmt.Sprint(want) || p.Size != 5 || p.Bucket != "docs" || p.Key != "k" {
		t.Errorf("the engine got %+v", p)
	}
	back := b.do("GET", "/docs/k", "")
	if v := back.Header["X-Amz-Meta-Umlaut"]; len(v) != 1 || v[0] != "größe" {
		t.Errorf("metadata came back as %q", v)
	}
}

func TestAttack_A8_InternalHeadersAreNotLookedAt(t *testing.T) {
	b := newBench(t).fill()
	b.want(200, b.do("PUT", "/docs/k", "x", "X-Minio-Replication-Actual-Object-Size", "1", "X-Minio-Internal-Server-Side-Encryption-Sealed-Key", "x",
		"X-Holdfast-Version", "1", "x-holdfast-envelope", "1", "X-Amz-Meta", "none", "X-Amz-Meta-", "none", "X-Rustfs-Force-Delete", "true", "x-amz-meta-a", "1"))
	if a := b.engine.lastPut.Attributes; len(a.Metadata) != 1 || a.Metadata["a"] != "1" || len(a.Headers) != 0 {
		t.Errorf("the engine got %+v", a)
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	b := newBench(t).fill("src")
	b.resetCalls()
	for _, row := range []struct {
		name, value string
		status      int
		code        string
	}{
		{"x-amz-object-lock-mode", "GOVERNANCE", 400, "InvalidRequest"},
		{"x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z", 400, "InvalidRequest"},
		{"x-amz-object-lock-legal-hold", "ON", 400, "InvalidRequest"},
		{"x-amz-website-redirect-location", "/x", 501, "NotImplemented"},
		{"x-amz-storage-class", "GLACIER", 400, "InvalidStorageClass"},
		{"x-amz-acl", "public-read", 400, "AccessControlListNotSupported"},
		{"x-amz-acl", "nonsense", 400, "AccessControlListNotSupported"},
		{"x-amz-grant-read", "id=1", 400, "AccessControlListNotSupported"},
		{"x-amz-grant-full-control", "id=1", 400, "AccessControlListNotSupported"},
		{"x-amz-tagging", "a=1&a=2", 400, "InvalidArgument"},
		{"x-amz-tagging", "aws:x=1", 400, "InvalidTag"},
		{"x-amz-tagging", "=1", 400, "InvalidTag"},
		{"x-amz-tagging", "a=%zz", 400, "InvalidArgument"},
		{"x-amz-tagging", strings.Repeat("k", 129) + "=1", 400, "InvalidTag"},
		{"x-amz-tagging", "k=" + strings.Repeat("v", 257), 400, "InvalidTag"},
		{"x-amz-tagging", "a&b&c&d&e&f&g&h&i&j&k", 400, "InvalidTag"},
		{"x-amz-meta-a", strings.Repeat("m", 2048), 400, "MetadataTooLarge"},
		{"x-amz-meta-a", "latin \xe9", 400, "InvalidArgument"},
		{"If-None-Match", `"etag"`, 501, "NotImplemented"},
		{"If-Match", `"a", "b"`, 501, "NotImplemented"},
		{"If-Modified-Since", "Sun, 22 Nov 2026 10:30:00 GMT", 501, "NotImplemented"},
		{"If-Unmodified-Since", "Sun, 22 Nov 2026 10:30:00 GMT", 501, "NotImplemented"},
		{"x-amz-expected-bucket-owner", "somebody", 403, "AccessDenied"},
		{"x-amz-source-expected-bucket-owner", "somebody", 403, "AccessDenied"},
		{"x-other", strings.Repeat("h", 17<<10), 400, "RequestHeaderSectionTooLarge"},
	} {
		for _, op := range []struct{ method, target, source string }{
			{"PUT", "/docs/k", ""}, {"PUT", "/docs/k", "docs/src"}, {"POST", "/docs/k?uploads", ""},
		} {
			if op.method == "POST" && strings.HasPrefix(row.name, "If-") || op.source == "" && strings.HasPrefix(row.name, "x-amz-source-") {
				continue // no conditions, and no source there
			}
			headers := []string{row.name, row.value}
			if op.source != "" {
				headers = append(headers, "x-amz-copy-source", op.source, "x-amz-metadata-directive", "REPLACE")
			}
			b.wantError(row.status, row.code, b.do(op.method, op.target, "", headers...))
		}
	}
	if slices.ContainsFunc(b.calls(), func(name string) bool { return name != "HeadBucket" }) {
		t.Errorf("the engine was called: %v", b.calls())
	}
	b.want(200, b.do("PUT", "/docs/k", "", "x-amz-meta-a", strings.Repeat("m", 2047), "x-amz-acl", "bucket-owner-full-control",
		"x-amz-expected-bucket-owner", strings.Repeat("0f", 32), "x-amz-request-payer", "requester"))
}

func TestConditionalWritesReachTheEngine(t *testing.T) {
	b := newBench(t).fill("k")
	b.wantError(412, "PreconditionFailed", b.do("PUT", "/docs/k", "x", "If-None-Match", "*"))
	b.wantError(412, "PreconditionFailed", b.do("PUT", "/docs/k", "x", "If-Match", `"other"`))
	b.wantError(404, "NoSuchKey", b.do("PUT", "/docs/none", "x", "If-Match", `"other"`))
	b.want(200, b.do("PUT", "/docs/k", "x", "If-Match", `"`+b.engine.objects["docs/k"].ETag+`"`))
	b.want(200, b.do("PUT", "/docs/new", "x", "If-None-Match", "*"))
	b.wantError(412, "PreconditionFailed", b.do("DELETE", "/docs/k", "", "If-Match", `"other"`))
	b.wantError(412, "PreconditionFailed", b.do("DELETE", "/docs/k", "", "x-amz-if-match-size", "99"))
	b.wantError(400, "InvalidArgument", b.do("DELETE", "/docs/k", "", "x-amz-if-match-size", "-1"))
	b.wantError(400, "InvalidArgument", b.do("DELETE", "/docs/k", "", "x-amz-if-match-last-modified-time", "soon"))
	b.wantError(501, "NotImplemented", b.do("DELETE", "/docs/k", "", "If-None-Match", "*"))
	b.wantError(501, "NotImplemented", b.do("DELETE", "/docs/k", "", "x-amz-mfa", "serial 123456"))
	b.want(204, b.do("DELETE", "/docs/k", "", "If-Match", "*", "x-amz-if-match-size", "1", "x-amz-if-match-last-modified-time", testTime.Format(http.TimeFormat)))
	if c := b.engine.lastDelete.Condition; c.IfMatch != "*" || *c.IfSize != 1 || !c.IfLastModified.Equal(testTime) {
		t.Errorf("the engine got %+v", c)
	}
	b.want(204, b.do("DELETE", "/docs/k", "")) // gone, and no error
}

func TestChecksumsOfABody(t *testing.T) {
	const body = "some bytes"
	for i := range algorithms {
		a := algorithms[i]
		t.Run(a.name, func(t *testing.T) {
			b := newBench(t).fill()
			sum, other := checksumOf(a, body), checksumOf(a, "other")
			got := b.want(200, b.do("PUT", "/docs/k", body, a.wire, sum, "x-amz-sdk-checksum-algorithm", a.name))
			if got.Header.Get(a.wire) != sum || got.Header.Get("x-amz-checksum-type") != "FULL_OBJECT" {
				t.Errorf("answer %v", got.Header)
			}
			back := b.do("GET", "/docs/k", "", "x-amz-checksum-mode", "enabled")
			if back.Header.Get(a.wire) != sum {
				t.Errorf("read back %v", back.Header)
			}
			b.wantError(400, "BadDigest", b.do("PUT", "/docs/n", body, a.wire, other))
			b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/n", body, a.wire, "AAAA"))
			b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/n", body, a.wire, "*"))
			b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/n", body, a.wire, sum, a.wire, sum))
			b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/n", body, "x-amz-sdk-checksum-algorithm", a.name))
			next := algorithms[(i+1)%len(algorithms)]
			b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/n", body, a.wire, sum, next.wire, checksumOf(next, body)))
			b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/n", body, a.wire, sum, "x-amz-sdk-checksum-algorithm", next.name))
			if _, stored := b.engine.objects["docs/n"]; stored {
				t.Error("a refused body was stored")
			}
		})
	}
	b := newBench(t).fill()
	b.want(200, b.do("PUT", "/docs/k", body, "Content-MD5", md5Of(body)))
	b.wantError(400, "BadDigest", b.do("PUT", "/docs/n", body, "Content-MD5", md5Of("other")))
	b.wantError(400, "InvalidDigest", b.do("PUT", "/docs/n", body, "Content-MD5", "AAAA"))
	b.wantError(400, "InvalidDigest", b.do("PUT", "/docs/n", body, "Content-MD5", ""))
	b.wantError(501, "NotImplemented", b.do("PUT", "/docs/n", body, "x-amz-checksum-sha512", "AAAA"))
	b.wantError(501, "NotImplemented", b.do("PUT", "/docs/n", body, "x-amz-sdk-checksum-algorithm", "XXHASH64"))
	b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/n", body, "x-amz-sdk-checksum-algorithm", "ROT13"))
}

// chunked sends a body in the aws-chunked framing with an unsigned trailer.
func (b *bench) chunked(target, body string, declared int64, trailers map[string]string, announced string, pairs ...string) reply {
	b.t.Helper()
	var framed bytes.Buffer
	w := sigv4.NewChunkWriter(&framed, nil, 8<<10, func() map[string]string { return trailers })
	_, _ = io.WriteString(w, body)
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	r := b.request("PUT", target, framed.String(), pairs...)
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(declared, 10))
	r.Header.Set("Content-Encoding", "aws-chunked")
	if announced != "" {
		r.Header.Set("X-Amz-Trailer", announced)
	}
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.StreamingUnsigned)
	return b.send(r)
}

func TestChecksumsInTrailers(t *testing.T) {
	b := newBench(t).fill()
	body := strings.Repeat("0123456789abcdef", 2000)
	crc := algorithms[0]
	sum := checksumOf(crc, body)
	got := b.want(200, b.chunked("/docs/k", body, int64(len(body)), map[string]string{crc.wire: sum}, crc.wire, "x-amz-sdk-checksum-algorithm", "CRC32"))
	if got.Header.Get(crc.wire) != sum || len(b.engine.objects["docs/k"].data) != len(body) {
		t.Errorf("answer %v", got.Header)
	}
	if b.engine.lastPut.Headers["Content-Encoding"] != "" {
		t.Error("aws-chunked was stored as a content encoding")
	}
	b.wantError(400, "BadDigest", b.chunked("/docs/n", body, int64(len(body)), map[string]string{crc.wire: checksumOf(crc, "x")}, crc.wire))
	b.wantError(400, "InvalidRequest", b.chunked("/docs/n", body, int64(len(body)), map[string]string{crc.wire: "AAAA"}, crc.wire))
	b.want(400, b.chunked("/docs/n", body, int64(len(body)), nil, crc.wire))
	b.want(400, b.chunked("/docs/n", body, int64(len(body))-1, map[string]string{crc.wire: sum}, crc.wire))
	b.want(400, b.chunked("/docs/n", body, int64(len(body))+1, map[string]string{crc.wire: sum}, crc.wire))
	b.wantError(400, "InvalidRequest", b.chunked("/docs/n", body, int64(len(body)), map[string]string{crc.wire: sum}, crc.wire, "x-amz-checksum-sha1", checksumOf(algorithms[3], body)))
	if _, stored := b.engine.objects["docs/n"]; stored {
		t.Error("a refused body was stored")
	}
}

func TestSizesOfABody(t *testing.T) {
	b := newBench(t).fill()
	b.want(200, b.do("PUT", "/docs/empty", ""))
	b.resetCalls()
	b.http.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	r := b.request("PUT", "/docs/n", "", "Expect", "100-continue")
	body := &counted{}
	r.ContentLength, r.Body = 5<<30+1, io.NopCloser(body)
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
	b.wantError(400, "EntityTooLarge", b.send(r))
	if body.n > 0 {
		t.Errorf("the client was made to send %d bytes of a body that is refused", body.n)
	}

	r = b.request("PUT", "/docs/n", "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("no length")), -1
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
	b.wantError(411, "MissingContentLength", b.send(r))
	if slices.ContainsFunc(b.calls(), func(name string) bool { return name != "HeadBucket" }) {
		t.Errorf("the engine was called: %v", b.calls())
	}
}

// counted is an endless body that counts what is read of it.
type counted struct{ n int64 }

func (c *counted) Read(p []byte) (int, error) {
	clear(p)
	c.n += int64(len(p))
	return len(p), nil
}

func TestAWrongSHA256StoresNothing(t *testing.T) {
	b := newBench(t).fill()
	r := b.request("PUT", "/docs/n", "body")
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, strings.Repeat("00", 32))
	b.wantError(400, "XAmzContentSHA256Mismatch", b.send(r))
	r = b.request("PUT", "/docs/n", "")
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, strings.Repeat("00", 32))
	b.wantError(400, "XAmzContentSHA256Mismatch", b.send(r))
	if len(b.engine.objects) > 0 {
		t.Error("something was stored")
	}
}

func TestMultipart(t *testing.T) {
	b := newBench(t).fill("src")
	sha := algorithms[4]
	got := b.want(200, b.do("POST", "/docs/big%20one?uploads", "", "x-amz-checksum-algorithm", "SHA256", "x-amz-meta-a", "1"))
	id := fmt.Sprintf("%032x", 1)
	if want := xmlio.Head + `<InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>docs</Bucket><Key>big one</Key><UploadId>` + id +
		`</UploadId></InitiateMultipartUploadResult>`; got.body != want {
		t.Errorf("got %s", got.body)
	}
	if got.Header.Get("x-amz-checksum-algorithm") != "SHA256" || got.Header.Get("x-amz-checksum-type") != "COMPOSITE" {
		t.Errorf("answer %v", got.Header)
	}
	etags := map[int]string{}
	for _, n := range []int{2, 1} {
		body := fmt.Sprintf("part %d", n)
		got := b.want(200, b.do("PUT", fmt.Sprintf("/docs/big%%20one?partNumber=%d&uploadId=%s", n, id), body, sha.wire, checksumOf(sha, body)))
		if got.Header.Get(sha.wire) != checksumOf(sha, body) || got.Header.Get("x-amz-checksum-type") != "" {
			t.Errorf("part %d: %v", n, got.Header)
		}
		etags[n] = got.Header.Get("ETag")
	}
	got = b.want(200, b.do("PUT", "/docs/big%20one?partNumber=3&uploadId="+id, "", "x-amz-copy-source", "docs/src", "x-amz-copy-source-range", "bytes=1-2"))
	if !strings.Contains(got.body, "<CopyPartResult ") || b.engine.lastPCopy.Source.Range.First != 1 || b.engine.lastPCopy.Source.Range.Last != 2 {
		t.Errorf("got %s from %+v", got.body, b.engine.lastPCopy)
	}
	golden(t, "list-parts.xml", []byte(b.want(200, b.do("GET", "/docs/big%20one?uploadId="+id+"&max-parts=2", "")).body))
	golden(t, "list-parts-2.xml", []byte(b.want(200, b.do("GET", "/docs/big%20one?uploadId="+id+"&part-number-marker=2", "")).body))

	third := b.engine.uploads[id].parts[3].ETag
	complete := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Part><ETag>%s</ETag><PartNumber>1</PartNumber><ChecksumSHA256>%s</ChecksumSHA256></Part>
  <Part><PartNumber>2</PartNumber><ETag>%s</ETag></Part><Part><PartNumber>3</PartNumber><ETag>&quot;%s&quot;</ETag></Part>
</CompleteMultipartUpload>`, etags[1], checksumOf(sha, "part 1"), etags[2], third)
	got = b.want(200, b.do("POST", "/docs/big%20one?uploadId="+id, complete, sha.wire, checksumOf(sha, "all")+"-3", "x-amz-checksum-type", "COMPOSITE",
		"x-amz-mp-object-size", "14", "If-None-Match", "*"))
	done := b.engine.lastDone
	if len(done.Parts) != 3 || done.Parts[0] != (object.CompletePart{Number: 1, ETag: strings.Trim(etags[1], `"`), ChecksumAlgorithm: metapb.Checksum_SHA256, Checksum: checksumOf(sha, "part 1")}) ||
		*done.ExpectSize != 14 || done.Condition.IfNoneMatch != "*" || done.Checksum.Value != checksumOf(sha, "all")+"-3" || done.Checksum.Type != metapb.Checksum_COMPOSITE {
		t.Errorf("the engine got %+v", done)
	}
	if !strings.Contains(got.body, "<Location>"+b.http.URL+"/docs/big%20one</Location><Bucket>docs</Bucket><Key>big one</Key><ETag>&quot;") ||
		!strings.Contains(got.body, "<ChecksumSHA256>") || !strings.Contains(got.body, "<ChecksumType>COMPOSITE</ChecksumType>") {
		t.Errorf("got %s", got.body)
	}
	if o := b.engine.objects["docs/big one"]; string(o.data) != "part 1part 2rc" || o.Metadata["a"] != "1" {
		t.Errorf("the object is %q", o.data)
	}
	b.wantError(404, "NoSuchUpload", b.do("POST", "/docs/big%20one?uploadId="+id, complete))
	b.wantError(404, "NoSuchUpload", b.do("DELETE", "/docs/big%20one?uploadId="+id, ""))
	b.want(200, b.do("POST", "/docs/other?uploads", ""))
	b.want(204, b.do("DELETE", "/docs/other?uploadId="+id, ""))
}

func TestWhatCompleteRefuses(t *testing.T) {
	b := newBench(t).fill()
	b.want(200, b.do("POST", "/docs/k?uploads", ""))
	target := "/docs/k?uploadId=" + fmt.Sprintf("%032x", 1)
	b.resetCalls()
	part := `<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>`
	for _, row := range []struct{ body, code string }{
		{"", "MalformedXML"},
		{"<CompleteMultipartUpload/>", "MalformedXML"},
		{"<CompleteMultipartUpload>" + part, "MalformedXML"},
		{"<Other>" + part + "</Other>", "MalformedXML"},
		{"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", "MalformedXML"},
		{"<CompleteMultipartUpload><Part><ETag>a</ETag></Part></CompleteMultipartUpload>", "MalformedXML"},
		{"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>", "MalformedXML"},
		{"<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>", "InvalidArgument"},
		{"<CompleteMultipartUpload><Part><PartNumber>10001</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>", "InvalidArgument"},
		{"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>AAAA</ChecksumCRC32></Part></CompleteMultipartUpload>", "InvalidRequest"},
		{"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumROT13>AAAA</ChecksumROT13></Part></CompleteMultipartUpload>", "InvalidRequest"},
		{"<!DOCTYPE x [<!ENTITY a 'b'>]><CompleteMultipartUpload>" + part + "</CompleteMultipartUpload>", "MalformedXML"},
		{"<CompleteMultipartUpload>" + strings.Repeat(part, 10_001) + "</CompleteMultipartUpload>", "MalformedXML"},
		{"<CompleteMultipartUpload>" + part + strings.Repeat(" ", 2<<20) + "</CompleteMultipartUpload>", "MalformedXML"},
	} {
		b.wantError(400, row.code, b.do("POST", target, row.body))
	}
	body := "<CompleteMultipartUpload>" + part + "</CompleteMultipartUpload>"
	b.wantError(400, "InvalidRequest", b.do("POST", target, body, "x-amz-mp-object-size", "many"))
	b.wantError(400, "InvalidRequest", b.do("POST", target, body, "x-amz-checksum-crc32", "AAAA"))
	b.wantError(400, "InvalidRequest", b.do("POST", target, body, "x-amz-checksum-type", "HALF"))
	b.wantError(400, "BadDigest", b.do("POST", target, body, "Content-MD5", md5Of("other")))
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
	all := "<CompleteMultipartUpload>" + strings.Repeat(part, 10_000) + "</CompleteMultipartUpload>"
	b.wantError(400, "InvalidPart", b.do("POST", target, all)) // the engine's word: there is no part
}

func TestChecksumsOfAnUpload(t *testing.T) {
	b := newBench(t).fill()
	for _, row := range []struct{ algorithm, typ, want string }{
		{"", "", ""},
		{"CRC32", "", "COMPOSITE"}, {"CRC32C", "", "COMPOSITE"}, {"SHA1", "", "COMPOSITE"}, {"SHA256", "", "COMPOSITE"}, {"CRC64NVME", "", "FULL_OBJECT"},
		{"CRC32", "FULL_OBJECT", "FULL_OBJECT"}, {"CRC32C", "FULL_OBJECT", "FULL_OBJECT"}, {"crc64nvme", "FULL_OBJECT", "FULL_OBJECT"},
		{"CRC32", "COMPOSITE", "COMPOSITE"}, {"SHA1", "COMPOSITE", "COMPOSITE"},
		{"SHA1", "FULL_OBJECT", "error"}, {"SHA256", "FULL_OBJECT", "error"}, {"CRC64NVME", "COMPOSITE", "error"},
		{"", "COMPOSITE", "error"}, {"CRC32", "HALF", "error"}, {"ROT13", "", "error"},
	} {
		var headers []string
		if row.algorithm != "" {
			headers = append(headers, "x-amz-checksum-algorithm", row.algorithm)
		}
		if row.typ != "" {
			headers = append(headers, "x-amz-checksum-type", row.typ)
		}
		got := b.do("POST", "/docs/k?uploads", "", headers...)
		if row.want == "error" {
			b.wantError(400, "InvalidRequest", got)
		} else if b.want(200, got); got.Header.Get("x-amz-checksum-type") != row.want {
			t.Errorf("%+v: %v", row, got.Header)
		}
	}
}
