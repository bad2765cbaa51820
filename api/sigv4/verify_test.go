package sigv4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kind"
)

func itoa(n int) string { return strconv.Itoa(n) }

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// signedRequest is a PUT as a server sees it, signed in the header or in the query.
func signedRequest(t testing.TB, presigned bool) *http.Request {
	r := request(t, "PUT", "https://s3.example.org:9000/bucket/some/key%20x?partNumber=7&uploadId=abc&tagging",
		"Content-Type: text/plain", "X-Amz-Meta-Color: red", "X-Amz-Meta-Color: green", "X-Amz-Acl: private")
	if presigned {
		r.URL = Presign(r, docCreds, "eu-west-1", "s3", testTime, time.Hour)
	} else {
		Sign(r, docCreds, "eu-west-1", "s3", testTime, UnsignedPayload)
	}
	return onWire(t, r)
}

// forms runs a test on both ways to sign.
func forms(t *testing.T, f func(t *testing.T, presigned bool)) {
	t.Run("header", func(t *testing.T) { f(t, false) })
	t.Run("presigned", func(t *testing.T) { f(t, true) })
}

// editAuth replaces a piece of the authentication, wherever it is.
func editAuth(r *http.Request, presigned bool, old, new string) {
	if presigned {
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, url.QueryEscape(old), url.QueryEscape(new), 1)
		return
	}
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

func TestUntouchedRequestVerifies(t *testing.T) {
	forms(t, func(t *testing.T, presigned bool) {
		r := signedRequest(t, presigned)
		r.Header.Set("User-Agent", "changed on the way") // not signed, not x-amz-*
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		id, p, err := verifierAt(testTime, "eu-west-1").Verify(r)
		if err != nil || id.Anonymous || id.Region != "eu-west-1" || p.Kind != Unsigned {
			t.Fatalf("%v %v: %v", id, p, err)
		}
		if !id.HasSigned("x-amz-acl") || !id.HasSigned("X-Amz-Meta-Color") || id.HasSigned("user-agent") {
			t.Fatalf("signed headers %v", id.SignedHeaders)
		}
	})
}

// A1: one digit of the signature, whatever the form of the payload.
func TestAttackA1EveryDigitOfTheSignatureCounts(t *testing.T) {
	v := verifierAt(testTime)
	for _, payload := range []string{UnsignedPayload, EmptySHA256, StreamingPayload, StreamingTrailer, StreamingUnsigned} {
		for _, presigned := range []bool{false, true} {
			if presigned && (payload == StreamingPayload || payload == StreamingTrailer) {
				continue // refused altogether, see below
			}
			r := request(t, "PUT", "https://h/b/k", "X-Amz-Decoded-Content-Length: 0", "X-Amz-Content-Sha256: "+payload)
			if presigned {
				r.URL = Presign(r, docCreds, "", "", testTime, time.Hour)
			} else {
				Sign(r, docCreds, "", "", testTime, payload)
			}
			r = onWire(t, r)
			if payload != UnsignedPayload && payload != EmptySHA256 {
				r.ContentLength = -1
			}
			if _, _, err := v.Verify(r); err != nil {
				t.Fatalf("%s presigned %v: %v", payload, presigned, err)
			}
			const mark = "Signature="
			where := &r.URL.RawQuery
			auth := r.Header["Authorization"]
			if !presigned {
				where = &auth[0]
			}
			at := strings.LastIndex(*where, mark) + len(mark)
			for i := range 64 {
				b := []byte(*where)
				b[at+i] = "123456789abcdef0"[strings.IndexByte("0123456789abcdef", b[at+i])]
				was := *where
				*where = string(b)
				_, _, err := v.Verify(r)
				wantCode(t, err, "SignatureDoesNotMatch")
				*where = was
			}
		}
	}
}

// A2: a header that means something to S3 and that the signature does not cover.
func TestAttackA2UnsignedAmzHeadersAreRefused(t *testing.T) {
	forms(t, func(t *testing.T, presigned bool) {
		v := verifierAt(testTime)
		for _, name := range []string{
			"x-amz-copy-source", "x-amz-copy-source-range", "x-amz-copy-source-if-match", "x-amz-metadata-directive", "x-amz-grant-read", "x-amz-tagging",
			"x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-key",
			"x-amz-server-side-encryption-customer-key-md5", "x-amz-copy-source-server-side-encryption-customer-key", "x-amz-object-lock-mode",
			"x-amz-object-lock-legal-hold", "x-amz-bypass-governance-retention", "x-amz-mfa", "x-amz-storage-class", "x-amz-meta-other",
			"x-amz-website-redirect-location", "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm", "x-amz-expected-bucket-owner",
			"x-amz-request-payer", "x-amz-if-match-size", "x-amz-mp-object-size", "x-amz-anything", "x-amz-",
		} {
			r := signedRequest(t, presigned)
			r.Header.Set(name, "value")
			_, _, err := v.Verify(r)
			if e := wantCode(t, err, "AccessDenied"); e.Message != msgNotSigned || !strings.EqualFold(e.Header, name) {
				t.Fatalf("%s: %+v", name, e)
			}
		}
		r := signedRequest(t, presigned)
		r.Header["x-AMZ-meta-odd"] = []string{"not in canonical case"}
		_, _, err := v.Verify(r)
		wantCode(t, err, "AccessDenied")
	})
	r := signedRequest(t, true)
	r.Header.Set("X-Amz-Content-Sha256", UnsignedPayload) // what the query implies, but as an unsigned header
	_, _, err := verifierAt(testTime).Verify(r)
	wantCode(t, err, "AccessDenied")
}

// Everything that a request says of itself is under the signature.
func TestChangedRequestIsRefused(t *testing.T) {
	set := func(name string, values ...string) func(*http.Request, bool) {
		return func(r *http.Request, _ bool) { r.Header[name] = values }
	}
	query := func(old, new string) func(*http.Request, bool) {
		return func(r *http.Request, _ bool) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, new, 1) }
	}
	auth := func(old, new string) func(*http.Request, bool) {
		return func(r *http.Request, presigned bool) { editAuth(r, presigned, old, new) }
	}
	const bad, either = "SignatureDoesNotMatch", "malformed"
	for name, c := range map[string]struct {
		edit func(*http.Request, bool)
		code string
	}{
		"method":                      {func(r *http.Request, _ bool) { r.Method = "GET" }, bad},
		"host":                        {func(r *http.Request, _ bool) { r.Host = "other.example.org:9000" }, bad},
		"port":                        {func(r *http.Request, _ bool) { r.Host = "s3.example.org:9001" }, bad},
		"path":                        {func(r *http.Request, _ bool) { r.URL.Path = "/bucket/some/key y" }, bad},
		"path cleaned":                {func(r *http.Request, _ bool) { r.URL.Path = "/bucket/x/../some/key x" }, bad},
		"path slash":                  {func(r *http.Request, _ bool) { r.URL.Path += "/" }, bad},
		"path encoded twice":          {func(r *http.Request, _ bool) { r.URL.Path = "/bucket/some/key%20x" }, bad},
		"header value":                {set("X-Amz-Acl", "public-read"), bad},
		"header case of value":        {set("X-Amz-Acl", "Private"), bad},
		"header gone":                 {func(r *http.Request, _ bool) { delete(r.Header, "X-Amz-Acl") }, bad},
		"header second value":         {set("X-Amz-Acl", "private", "public-read"), bad},
		"header values swapped":       {set("X-Amz-Meta-Color", "green", "red"), bad},
		"header value dropped":        {set("X-Amz-Meta-Color", "red"), bad},
		"content type":                {set("Content-Type", "text/html"), bad},
		"query value":                 {query("partNumber=7", "partNumber=8"), bad},
		"query name":                  {query("tagging", "acl"), bad},
		"query more":                  {query("uploadId=abc", "uploadId=abc&versionId=1"), bad},
		"query twice":                 {query("uploadId=abc", "uploadId=abc&uploadId=abc"), bad},
		"query less":                  {query("partNumber=7&", ""), bad},
		"region":                      {auth("/eu-west-1/", "/eu-west-2/"), bad},
		"terminator":                  {auth("/aws4_request", "/aws5_request"), either},
		"service":                     {auth("/s3/", "/ec2/"), either},
		"day":                         {auth("/20260301/", "/20260302/"), either},
		"access key to another":       {auth(docCreds.AccessKey, stsCreds.AccessKey), bad},
		"signed headers less":         {auth("content-type;", ""), bad},
		"signed headers less an amz":  {auth("x-amz-acl;", ""), "AccessDenied"},
		"signed headers more":         {auth("content-type;", "content-type;foo;"), bad},
		"signed headers no host":      {auth("host;", ""), either},
		"signed headers twice":        {auth("host;", "host;host;"), either},
		"signed headers not in order": {auth("content-type;host;", "host;content-type;"), either},
		"signed headers upper case":   {auth("content-type;", "Content-Type;"), either},
		"signature short":             {func(r *http.Request, p bool) { cutLast(r, p) }, either},
	} {
		t.Run(name, func(t *testing.T) {
			forms(t, func(t *testing.T, presigned bool) {
				r := signedRequest(t, presigned)
				c.edit(r, presigned)
				code := c.code
				if code == either {
					code = "AuthorizationHeaderMalformed"
					if presigned {
						code = "AuthorizationQueryParametersError"
					}
				}
				_, _, err := verifierAt(testTime).Verify(r)
				wantCode(t, err, code)
			})
		})
	}
}

func cutLast(r *http.Request, presigned bool) {
	if presigned {
		r.URL.RawQuery = r.URL.RawQuery[:len(r.URL.RawQuery)-1]
		return
	}
	a := r.Header.Get("Authorization")
	r.Header.Set("Authorization", a[:len(a)-1])
}

func TestUnknownKeyAndBadSignatureAreBothRefused(t *testing.T) {
	forms(t, func(t *testing.T, presigned bool) {
		v := verifierAt(testTime)
		r := signedRequest(t, presigned)
		editAuth(r, presigned, docCreds.AccessKey, "AKIANOBODY")
		_, _, err := v.Verify(r)
		wantCode(t, err, "InvalidAccessKeyId")
		// Signed with the very secret that stands in for unknown ones: still unknown.
		stand := Credentials{AccessKey: "AKIANOBODY", SecretKey: "an access key that does not exist, as long as a real one"}
		r = request(t, "GET", "https://h/")
		Sign(r, stand, "", "", testTime, UnsignedPayload)
		_, _, err = v.Verify(onWire(t, r))
		wantCode(t, err, "InvalidAccessKeyId")
	})
}

func TestEmptySecretSignsNothing(t *testing.T) {
	v := New(Config{Now: func() time.Time { return testTime }, Lookup: func(context.Context, string) (Credentials, bool, error) {
		return Credentials{AccessKey: "disabled"}, true, nil
	}})
	r := request(t, "GET", "https://h/")
	Sign(r, Credentials{AccessKey: "disabled"}, "", "", testTime, UnsignedPayload)
	_, _, err := v.Verify(onWire(t, r))
	wantCode(t, err, "InvalidAccessKeyId")
}

func TestLookupErrorIsPassedOn(t *testing.T) {
	down := kind.New(kind.Unavailable, "no quorum")
	v := New(Config{Now: func() time.Time { return testTime }, Lookup: func(context.Context, string) (Credentials, bool, error) { return Credentials{}, false, down }})
	if _, _, err := v.Verify(signedRequest(t, false)); !errors.Is(err, down) {
		t.Fatal(err)
	}
}

// A key that was derived from an older secret must not be found in the cache.
func TestChangedSecretEndsTheOldOne(t *testing.T) {
	secret := docCreds.SecretKey
	v := New(Config{Now: func() time.Time { return testTime }, Lookup: func(context.Context, string) (Credentials, bool, error) {
		return Credentials{AccessKey: docCreds.AccessKey, SecretKey: secret}, true, nil
	}})
	r := signedRequest(t, false)
	for range 2 {
		if _, _, err := v.Verify(r); err != nil {
			t.Fatal(err)
		}
	}
	secret = "rotated"
	_, _, err := v.Verify(r)
	wantCode(t, err, "SignatureDoesNotMatch")
}

func TestKeyCacheIsBoundedAndTakesOnlyVerifiedKeys(t *testing.T) {
	v := verifierAt(testTime)
	for i := range 5 * keyCacheSize {
		r := request(t, "GET", "https://h/")
		Sign(r, docCreds, "r"+itoa(i), "s3", testTime, UnsignedPayload)
		if i%3 == 2 {
			r.Method = "PUT"
		}
		_, _, err := v.Verify(r2(r))
		if (err != nil) != (i%3 == 2) {
			t.Fatal(i, err)
		}
		if k := v.keys.get(keyName{docCreds.AccessKey, docCreds.SecretKey, "20260301", "r" + itoa(i)}); (k == nil) != (i%3 == 2) {
			t.Fatalf("request %d: the cache has %v", i, k)
		}
	}
	if n := len(v.keys.young) + len(v.keys.old); n > 2*keyCacheSize {
		t.Fatalf("%d keys", n)
	}
}

// r2 makes a client's request look like a server's without a parser.
func r2(r *http.Request) *http.Request { r.Host = r.URL.Host; return r }

func TestSessionTokenMustBeTheOneOfTheKey(t *testing.T) {
	for _, presigned := range []bool{false, true} {
		for name, c := range map[string]Credentials{
			"none":      {AccessKey: stsCreds.AccessKey, SecretKey: stsCreds.SecretKey},
			"another":   {AccessKey: stsCreds.AccessKey, SecretKey: stsCreds.SecretKey, SessionToken: "other"},
			"unasked":   {AccessKey: docCreds.AccessKey, SecretKey: docCreds.SecretKey, SessionToken: "other"},
			"too large": {AccessKey: docCreds.AccessKey, SecretKey: docCreds.SecretKey, SessionToken: strings.Repeat("x", maxTokenLen+1)},
		} {
			r := request(t, "GET", "https://h/b")
			if presigned {
				r.URL = Presign(r, c, "", "", testTime, time.Hour)
			} else {
				Sign(r, c, "", "", testTime, UnsignedPayload)
			}
			_, _, err := verifierAt(testTime).Verify(onWire(t, r))
			if err == nil {
				t.Fatalf("token %s, presigned %v: accepted", name, presigned)
			}
			wantCode(t, err, "InvalidToken")
		}
	}
}

func TestNoAuthenticationIsAnonymous(t *testing.T) {
	r := onWire(t, request(t, "GET", "https://h/b/k?versionId=1"))
	id, p, err := verifierAt(testTime).Verify(r)
	if err != nil || !id.Anonymous || id.AccessKey != "" || p.Kind != Unsigned {
		t.Fatalf("%+v %v", id, err)
	}
	for _, form := range []string{StreamingPayload, StreamingTrailer} { // nobody signs these chunks
		r := onWire(t, request(t, "PUT", "https://h/b/k", "X-Amz-Decoded-Content-Length: 0", "X-Amz-Content-Sha256: "+form))
		_, _, err := verifierAt(testTime).Verify(r)
		wantCode(t, err, "InvalidRequest")
	}
	r = request(t, "PUT", "https://h/b/k", "X-Amz-Content-Sha256: "+StreamingPayload)
	r.URL = Presign(r, docCreds, "", "", testTime, time.Hour)
	_, _, err = verifierAt(testTime).Verify(onWire(t, r))
	wantCode(t, err, "InvalidRequest")
}

// A5: the signature and the caller see one path: decoded once, never cleaned.
func TestAttackA5PathIsSignedAsItIsUsed(t *testing.T) {
	v := verifierAt(testTime)
	for _, path := range []string{"/b/../c", "/b//c", "/b/./c", "/b/%2e%2e/c", "/b/a\x00b", `/b/a\b`, "/b/\xff\xfe", "/b/ä+ ~", "//b/c", "/"} {
		r := request(t, "GET", "https://h/")
		r.URL.Path = path
		Sign(r, docCreds, "", "", testTime, UnsignedPayload)
		got := onWire(t, r)
		if got.URL.Path != path {
			t.Fatalf("%q came as %q", path, got.URL.Path)
		}
		if _, _, err := v.Verify(got); err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		got.URL.Path = strings.NewReplacer("/..", "", "//", "/", "/.", "", "%2e", ".", "\xff", "\xfe", "\x00", "").Replace(path)
		if got.URL.Path == path {
			continue
		}
		_, _, err := v.Verify(got)
		wantCode(t, err, "SignatureDoesNotMatch")
	}
}

// net/http takes Expect, Host and Content-Length out of the headers, or may; they can be signed.
func TestHeadersThatTheServerTakesAwayCanBeSigned(t *testing.T) {
	r := request(t, "PUT", "https://h/b/k", "X-Amz-Content-Sha256: "+UnsignedPayload, "X-Amz-Date: "+testTime.Format(isoBasic),
		"Expect: 100-continue", "Content-Length: 5")
	a := newAuth(formHeader, docCreds, "", "", testTime.Format(isoBasic))
	a.signed = []string{"content-length", "expect", "host", "x-amz-content-sha256", "x-amz-date"}
	chain := signWith(r, &a, docCreds.SecretKey, UnsignedPayload)
	r.Header.Set("Authorization", algorithm+" Credential="+a.accessKey+"/"+a.scope+", SignedHeaders="+strings.Join(a.signed, ";")+", Signature="+string(chain.prev[:]))
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("hello")), 5
	r.Header.Del("Content-Length")
	got := onWire(t, r)
	got.Header.Del("Expect")
	got.Header.Del("Content-Length")
	if _, _, err := verifierAt(testTime).Verify(got); err != nil {
		t.Fatal(err)
	}
	got.ContentLength = 6
	_, _, err := verifierAt(testTime).Verify(got)
	wantCode(t, err, "SignatureDoesNotMatch")
}

// A21: secrets and what is derived from them do not print.
func TestNothingPrintsASecret(t *testing.T) {
	v := verifierAt(testTime)
	r := signedRequest(t, false)
	id, p, err := v.Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	key := deriveKey(docCreds.SecretKey, "20260301", "eu-west-1", "s3")
	secrets := [][]byte{[]byte(docCreds.SecretKey), fmt.Appendf(nil, "%x", key[:]), fmt.Appendf(nil, "%v", key[:]), key[:]}
	r.Method = "GET"
	_, _, bad := v.Verify(r)
	for _, value := range []any{v, docCreds, &docCreds, []Credentials{docCreds}, id, &id, p, id.chain, key, &key, bad, struct{ C Credentials }{docCreds}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			out := fmt.Appendf(nil, verb, value)
			for _, s := range secrets {
				if bytes.Contains(out, s) || bytes.Contains(out, fmt.Appendf(nil, "%x", s)) {
					t.Errorf("%s of %T prints a secret", verb, value)
				}
			}
		}
	}
}

func TestVerifierServesManyAtOnce(t *testing.T) {
	v := verifierAt(testTime)
	done := make(chan error)
	for i := range 8 {
		go func() {
			r := request(t, "GET", "https://h/b/k")
			Sign(r, docCreds, "r"+itoa(i%3), "", testTime, UnsignedPayload)
			r2(r)
			var err error
			for range 50 {
				if _, _, e := v.Verify(r); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}
