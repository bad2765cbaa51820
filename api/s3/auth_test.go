package s3

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/api/sigv4"
	"holdfast/seal"
)

// tampering makes a signed request into one that must be refused.
type tampering struct {
	name string
	do   func(r *http.Request)
}

// flip changes one hexadecimal digit.
func flip(s string, i int) string {
	b := []byte(s)
	if b[i] == '0' {
		b[i] = '1'
	} else {
		b[i] = '0'
	}
	return string(b)
}

func signHeader(c sigv4.Credentials) func(*http.Request) {
	return func(r *http.Request) { sigv4.Sign(r, c, "us-east-1", "s3", testTime, sigv4.UnsignedPayload) }
}

var tamperings = []tampering{
	{"no credentials", func(*http.Request) {}},
	{"wrong secret", signHeader(sigv4.Credentials{AccessKey: testCredentials.AccessKey, SecretKey: "another"})},
	{"unknown key", signHeader(sigv4.Credentials{AccessKey: "AKIANOBODY", SecretKey: testCredentials.SecretKey})},
	{"one bit of the signature", func(r *http.Request) {
		signHeader(testCredentials)(r)
		h := r.Header.Get("Authorization")
		r.Header.Set("Authorization", flip(h, len(h)-1))
	}},
	{"unsigned streaming with a bad signature", func(r *http.Request) {
		r.Header.Set("X-Amz-Decoded-Content-Length", "0")
		sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.StreamingUnsigned)
		h := r.Header.Get("Authorization")
		r.Header.Set("Authorization", flip(h, len(h)-1))
	}},
	{"a header that is not signed", func(r *http.Request) {
		signHeader(testCredentials)(r)
		r.Header.Set("X-Amz-Acl", "private")
	}},
	{"a query that is not signed", func(r *http.Request) {
		signHeader(testCredentials)(r)
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&x=y", "&")
	}},
	{"presigned, one bit of the signature", func(r *http.Request) {
		u := sigv4.Presign(r, testCredentials, "us-east-1", "s3", testTime, time.Minute)
		i := strings.Index(u.RawQuery, "X-Amz-Signature=") + len("X-Amz-Signature=")
		u.RawQuery = flip(u.RawQuery, i+5)
		r.URL = u
	}},
	{"presigned and expired", func(r *http.Request) {
		r.URL = sigv4.Presign(r, testCredentials, "us-east-1", "s3", testTime.Add(-time.Hour), time.Minute)
	}},
}

// Every route × every bad authentication: 403, and the engine is never asked anything. The
// conditional headers and the range would tell of an object if they were looked at first (A16).
func TestAttack_A1_NoRouteWorksWithoutASignature(t *testing.T) {
	b := newBench(t).fill("some/key", "source")
	etag := b.engine.objects["docs/some/key"].ETag
	b.resetCalls()
	before := len(b.engine.objects)
	answers := map[string]string{}
	for _, rt := range append(routes(), route{op: "Unknown", method: "PATCH", level: levelObject}) {
		target, header := sample(rt)
		for _, how := range tamperings {
			r := b.request(rt.method, target, "", "If-None-Match", `"`+etag+`"`, "Range", "bytes=9999-")
			if rt.open { // a browser asks without credentials, and is told of the bucket's CORS rules alone
				r.Header.Set("Origin", "https://evil.example")
				r.Header.Set("Access-Control-Request-Method", "PUT")
			}
			for k := range header {
				r.Header.Set(k, header.Get(k))
			}
			how.do(r)
			got := b.send(r)
			if got.StatusCode != 403 {
				t.Errorf("%s (%s %s) with %s: got %d %s", rt.op, rt.method, target, how.name, got.StatusCode, got.body)
			}
			if got.Header.Get("ETag")+got.Header.Get("Last-Modified")+got.Header.Get("Content-Range") != "" {
				t.Errorf("%s with %s tells of the object: %v", rt.op, how.name, got.Header)
			}
			if rt.open {
				b.resetCalls()
			}
			if rt.op == "PutObject" {
				answers[how.name] = got.code() + ": " + got.message()
			}
		}
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
	if len(b.engine.objects) != before {
		t.Error("something was stored")
	}
	// A16: nobody can find out by the answer which access keys exist.
	if answers["unknown key"] != answers["wrong secret"] || answers["unknown key"] == "" {
		t.Errorf("an unknown key answers %q, a wrong secret %q", answers["unknown key"], answers["wrong secret"])
	}
}

// The same routes with a good signature are not refused, or the test above would prove nothing.
func TestEveryRouteWorksWithASignature(t *testing.T) {
	b := newBench(t).fill("some/key", "source")
	for _, rt := range routes() {
		target, header := sample(rt)
		r := b.request(rt.method, target, "")
		for k := range header {
			r.Header.Set(k, header.Get(k))
		}
		signHeader(testCredentials)(r)
		if got := b.send(r); got.StatusCode == 403 && !rt.open {
			t.Errorf("%s (%s %s): got %d %s", rt.op, rt.method, target, got.StatusCode, got.body)
		}
	}
}

func TestAttack_A4_ArgumentsGivenTwiceAreRefused(t *testing.T) {
	b := newBench(t).fill("k")
	b.resetCalls()
	for _, q := range []string{"versionId=null&versionId=null", "versionId=a&version%49d=b", "response-content-type=a&response-content-type=b"} {
		b.wantError(400, "InvalidArgument", b.do("GET", "/docs/k?"+q, ""))
	}
	for _, q := range []string{"a=%zz", "a=1;b=2", "prefix=%ff", "%ff=1"} {
		b.wantError(400, "InvalidURI", b.do("GET", "/docs?"+q, ""))
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
}

func TestARequestForAnotherRegionIsToldTheRightOne(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Region = "eu-central-1" })
	r := b.request("GET", "/", "")
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
	got := b.wantError(400, "AuthorizationHeaderMalformed", b.send(r))
	if !strings.Contains(got.body, "<Region>eu-central-1</Region>") {
		t.Errorf("no region in %s", got.body)
	}
}

// SDKs put x-amz- headers into the query of a presigned URL: there they must count as much.
func TestPresignedArgumentsCountAsHeaders(t *testing.T) {
	b := newBench(t).fill()
	presigned := func(method, target string, pairs ...string) reply {
		r := b.request(method, target, "", pairs...)
		r.URL = sigv4.Presign(r, testCredentials, "us-east-1", "s3", testTime, time.Minute)
		return b.send(r)
	}
	b.want(200, presigned("PUT", "/docs/k?x-amz-meta-colour=blue&X-Amz-Acl=private"))
	if m := b.engine.lastPut.Metadata; m["colour"] != "blue" {
		t.Errorf("metadata %v", m)
	}
	got := b.want(200, presigned("PUT", "/docs/k?x-amz-server-side-encryption=AES256"))
	if b.engine.lastPut.SSE.Method != seal.SSES3 || got.Header.Get("x-amz-server-side-encryption") != "AES256" {
		t.Errorf("SSE-S3 was asked for: %+v, answer %v", b.engine.lastPut.SSE, got.Header)
	}
	b.wantError(400, "AccessControlListNotSupported", presigned("PUT", "/docs/k?x-amz-acl=public-read"))
	b.wantError(400, "InvalidArgument", presigned("PUT", "/docs/k?x-amz-meta-a=%0d%0ab"))
	b.wantError(400, "InvalidArgument", presigned("PUT", "/docs/k?x-amz-meta-a=1", "x-amz-meta-a", "2"))
	b.wantError(400, "InvalidArgument", presigned("PUT", "/docs/k?x-amz-copy-source=docs/k"))
	b.wantError(400, "InvalidRequest", presigned("PUT", "/docs/k?x-amz-server-side-encryption-customer-key=abc"))
	// Signed in headers, such arguments are arguments that nobody knows.
	b.wantError(400, "InvalidRequest", b.do("PUT", "/docs/k?x-amz-server-side-encryption-customer-key=abc", ""))
	b.want(200, b.do("PUT", "/docs/k?x-amz-acl=public-read", ""))
}

func TestAttack_A2_UnsignedAmzHeadersAreRefused(t *testing.T) {
	b := newBench(t).fill("k")
	b.resetCalls()
	for _, name := range []string{
		"x-amz-copy-source", "x-amz-acl", "x-amz-grant-read", "x-amz-tagging", "x-amz-storage-class", "x-amz-metadata-directive", "x-amz-meta-a",
		algHeader, keyHeader, md5Header, "x-amz-server-side-encryption", "x-amz-copy-source-server-side-encryption-customer-key",
		"x-amz-object-lock-mode", "x-amz-bypass-governance-retention", "x-amz-website-redirect-location", "x-amz-checksum-crc32", "x-amz-trailer",
		"x-amz-decoded-content-length", "x-amz-security-token", "x-amz-mfa", "x-amz-copy-source-range", "x-amz-expected-bucket-owner", "x-amz-anything",
	} {
		for how, sign := range map[string]func(*http.Request){
			"header": signHeader(testCredentials),
			"query": func(r *http.Request) {
				r.URL = sigv4.Presign(r, testCredentials, "us-east-1", "s3", testTime, time.Minute)
			},
		} {
			r := b.request("PUT", "/docs/k", "")
			sign(r)
			r.Header.Set(name, "1")
			want := 403
			if name == "x-amz-trailer" {
				want = 400 // it does not fit the framing, which is told before any signature
			}
			if got := b.send(r); got.StatusCode != want {
				t.Errorf("%s, signed by %s: %d %s", name, how, got.StatusCode, got.body)
			}
		}
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
}
