package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"holdfast/api/sigv4"
	"holdfast/internal/kind"
	"holdfast/object"
	"holdfast/seal"
)

const (
	algHeader = "x-amz-server-side-encryption-customer-algorithm"
	keyHeader = "x-amz-server-side-encryption-customer-key"
	md5Header = "x-amz-server-side-encryption-customer-key-MD5"
)

func keyText(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func keyMD5(b byte) string {
	sum := md5.Sum(bytes.Repeat([]byte{b}, 32))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ssec are the three headers for a key of 32 equal bytes.
func ssec(b byte) []string {
	return []string{algHeader, "AES256", keyHeader, keyText(b), md5Header, keyMD5(b)}
}

// sourceSSEC are the three headers of a copy's source.
func sourceSSEC(b byte) []string {
	const p = "x-amz-copy-source-server-side-encryption-customer-"
	return []string{p + "algorithm", "AES256", p + "key", keyText(b), p + "key-MD5", keyMD5(b)}
}

const (
	saysAlgorithm  = "The Encryption request you specified is not valid. Supported value: AES256."
	saysNoAlg      = "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."
	saysNoKey      = "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."
	saysNoMD5      = "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key."
	saysBadKey     = "The secret key was invalid for the specified algorithm."
	saysBadMD5     = "The calculated MD5 hash of the key did not match the hash that was provided."
	saysWrongKey   = "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."
	saysRequired   = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
	saysNot        = "The encryption parameters are not applicable to this object."
	saysBoth       = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
	saysPart       = "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."
	saysOtherKey   = "The provided encryption parameters did not match the ones used originally."
	saysInsecure   = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
	saysMisspelled = "x-amz-copy-source-server-side-encryption-customer-"
)

// The table of errors of docs on SSE-C, row by row, through HTTP over TLS. HEAD rows have the
// status of GET and no body.
func TestSSECErrorsAreThoseOfAWS(t *testing.T) {
	b := newBench(t).fill("plain")
	b.want(200, b.do("PUT", "/docs/sealed", "secret", ssec('k')...))
	b.want(200, b.do("PUT", "/docs/empty", "", ssec('k')...))
	b.want(200, b.do("POST", "/docs/up?uploads", "", ssec('k')...))
	b.want(200, b.do("POST", "/docs/bare?uploads", ""))
	up := "/docs/up?partNumber=1&uploadId=" + fmt.Sprintf("%032x", 1)
	bare := "/docs/bare?partNumber=1&uploadId=" + fmt.Sprintf("%032x", 2)
	pairs := func(p ...string) []string { return p }
	source := func(p ...string) []string { return append(p, "x-amz-copy-source", "/docs/sealed") }
	short := base64.StdEncoding.EncodeToString([]byte("too short"))
	with := func(p []string, more ...string) []string { return append(append([]string{}, p...), more...) }

	for _, row := range []struct {
		name, method, target string
		headers              []string
		status               int
		code, message        string
	}{
		{"algorithm not AES256", "PUT", "/docs/k", pairs(algHeader, "AES128", keyHeader, keyText('k'), md5Header, keyMD5('k')), 400, "InvalidEncryptionAlgorithmError", saysAlgorithm},
		{"algorithm in lower case", "PUT", "/docs/k", pairs(algHeader, "aes256", keyHeader, keyText('k'), md5Header, keyMD5('k')), 400, "InvalidEncryptionAlgorithmError", saysAlgorithm},
		{"algorithm missing", "PUT", "/docs/k", pairs(keyHeader, keyText('k'), md5Header, keyMD5('k')), 400, "InvalidArgument", saysNoAlg},
		{"algorithm empty", "PUT", "/docs/k", pairs(algHeader, "", keyHeader, keyText('k'), md5Header, keyMD5('k')), 400, "InvalidArgument", saysNoAlg},
		{"key missing", "PUT", "/docs/k", pairs(algHeader, "AES256", md5Header, keyMD5('k')), 400, "InvalidArgument", saysNoKey},
		{"MD5 missing", "PUT", "/docs/k", pairs(algHeader, "AES256", keyHeader, keyText('k')), 400, "InvalidArgument", saysNoMD5},
		{"only the algorithm", "GET", "/docs/plain", pairs(algHeader, "AES256"), 400, "InvalidArgument", saysNoKey},
		{"only the MD5", "GET", "/docs/sealed", pairs(md5Header, keyMD5('k')), 400, "InvalidArgument", saysNoAlg},
		{"key not base64", "PUT", "/docs/k", pairs(algHeader, "AES256", keyHeader, strings.Repeat("*", 44), md5Header, keyMD5('k')), 400, "InvalidArgument", saysBadKey},
		{"key not 32 bytes", "PUT", "/docs/k", pairs(algHeader, "AES256", keyHeader, short, md5Header, keyMD5('k')), 400, "InvalidArgument", saysBadKey},
		{"MD5 of another key", "PUT", "/docs/k", pairs(algHeader, "AES256", keyHeader, keyText('k'), md5Header, keyMD5('x')), 400, "InvalidArgument", saysBadMD5},
		{"a header given twice", "PUT", "/docs/k", with(ssec('k'), algHeader, "AES256"), 400, "InvalidArgument", "A header of server-side encryption with a customer key was given more than once."},

		{"wrong key on GET", "GET", "/docs/sealed", ssec('x'), 403, "AccessDenied", saysWrongKey},
		{"wrong key on an empty object", "GET", "/docs/empty", ssec('x'), 403, "AccessDenied", saysWrongKey},
		{"wrong key on HEAD", "HEAD", "/docs/sealed", ssec('x'), 403, "", ""},
		{"wrong key on the attributes", "GET", "/docs/sealed?attributes", with(ssec('x'), "x-amz-object-attributes", "ETag"), 403, "AccessDenied", saysWrongKey},
		{"wrong key on a copy's source", "PUT", "/docs/k", source(sourceSSEC('x')...), 403, "AccessDenied", saysWrongKey},
		{"wrong key on a part copy's source", "PUT", bare, source(sourceSSEC('x')...), 403, "AccessDenied", saysWrongKey},

		{"no headers on GET", "GET", "/docs/sealed", nil, 400, "InvalidRequest", saysRequired},
		{"no headers on an empty object", "GET", "/docs/empty", nil, 400, "InvalidRequest", saysRequired},
		{"no headers on HEAD", "HEAD", "/docs/sealed", nil, 400, "", ""},
		{"no headers on the attributes", "GET", "/docs/sealed?attributes", pairs("x-amz-object-attributes", "ETag"), 400, "InvalidRequest", saysRequired},
		{"no headers on a copy's source", "PUT", "/docs/k", source(), 400, "InvalidRequest", saysRequired},
		{"destination's headers do not open the source", "PUT", "/docs/k", source(ssec('k')...), 400, "InvalidRequest", saysRequired},

		{"headers on a plain GET", "GET", "/docs/plain", ssec('k'), 400, "InvalidRequest", saysNot},
		{"headers on a plain HEAD", "HEAD", "/docs/plain", ssec('k'), 400, "", ""},
		{"headers on a plain source", "PUT", "/docs/k", with(sourceSSEC('k'), "x-amz-copy-source", "docs/plain"), 400, "InvalidRequest", saysNot},

		{"with SSE-S3", "PUT", "/docs/k", with(ssec('k'), "x-amz-server-side-encryption", "AES256"), 400, "InvalidArgument", saysBoth},
		{"with SSE-KMS", "PUT", "/docs/k", with(ssec('k'), "x-amz-server-side-encryption", "aws:kms"), 400, "InvalidArgument", saysBoth},
		{"with a KMS key", "PUT", "/docs/k", with(ssec('k'), "x-amz-server-side-encryption-aws-kms-key-id", "k"), 400, "InvalidArgument", saysBoth},
		{"with SSE-S3 on a copy", "PUT", "/docs/k", with(source(ssec('k')...), "x-amz-server-side-encryption", "AES256"), 400, "InvalidArgument", saysBoth},
		{"with SSE-S3 on an upload", "POST", "/docs/k?uploads", with(ssec('k'), "x-amz-server-side-encryption", "AES256"), 400, "InvalidArgument", saysBoth},
		{"with SSE-S3 on a part", "PUT", up, with(ssec('k'), "x-amz-server-side-encryption", "AES256"), 400, "InvalidArgument", saysBoth},
		{"with SSE-S3 on GET", "GET", "/docs/sealed", with(ssec('k'), "x-amz-server-side-encryption", "AES256"), 400, "InvalidArgument", saysBoth},

		{"part without headers", "PUT", up, nil, 400, "InvalidRequest", saysPart},
		{"part with headers, upload without", "PUT", bare, ssec('k'), 400, "InvalidRequest", saysPart},
		{"part with another key", "PUT", up, ssec('x'), 400, "InvalidRequest", saysOtherKey},
		{"copied part without headers", "PUT", up, source(sourceSSEC('k')...), 400, "InvalidRequest", saysPart},
		{"copied part with another key", "PUT", up, source(with(sourceSSEC('k'), ssec('x')...)...), 400, "InvalidRequest", saysOtherKey},

		{"misspelled algorithm", "PUT", "/docs/k", source("x-amz-copy-source-server-side-encryption-algorithm", "AES256"), 400, "InvalidArgument", saysMisspelled + "algorithm"},
		{"misspelled key", "PUT", "/docs/k", source("x-amz-copy-source-server-side-encryption-key", keyText('k')), 400, "InvalidArgument", saysMisspelled + "key"},
		{"misspelled MD5", "PUT", up, source("x-amz-copy-source-server-side-encryption-key-MD5", keyMD5('k')), 400, "InvalidArgument", saysMisspelled + "key-md5"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := b.do(row.method, row.target, "data", row.headers...)
			if row.method == "HEAD" {
				if got.StatusCode != row.status || got.body != "" {
					t.Fatalf("got %d with %q, want %d without a body", got.StatusCode, got.body, row.status)
				}
				return
			}
			if got.StatusCode != row.status || got.code() != row.code || !strings.HasSuffix(got.message(), row.message) {
				t.Fatalf("got %d %s %q\nwant %d %s %q", got.StatusCode, got.code(), got.message(), row.status, row.code, row.message)
			}
			for _, k := range []byte("kx") {
				if strings.Contains(got.body+fmt.Sprint(got.Header), keyText(k)) {
					t.Error("the answer holds a key")
				}
			}
		})
	}
	if _, stored := b.engine.objects["docs/k"]; stored {
		t.Error("a refused request stored an object")
	}
}

// A bucket that blocks SSE-C is known to the engine; its answer is named so.
func TestABlockedBucketNamesTheBlock(t *testing.T) {
	b := newBench(t).fill()
	b.engine.fail["Put"] = kind.New(kind.SSECBlocked, "blocked")
	got := b.wantError(403, "AccessDenied", b.do("PUT", "/docs/k", "x", ssec('k')...))
	if !strings.Contains(got.message(), "blocks uploads with Server Side Encryption with Customer provided keys (SSE-C)") {
		t.Errorf("message %q", got.message())
	}
}

// sendTo sends a signed request to another listener than the bench's own.
func (b *bench) sendTo(s *httptest.Server, method, target, body string, pairs ...string) reply {
	b.t.Helper()
	old := b.http
	b.http = s
	defer func() { b.http = old }()
	return b.do(method, target, body, pairs...)
}

func TestACustomersKeyNeedsTLSOrATrustedProxy(t *testing.T) {
	key := func(more ...string) []string { return append(ssec('k'), more...) }
	for _, row := range []struct {
		name    string
		proxies []netip.Prefix
		headers []string
		status  int
	}{
		{"plain", nil, key(), 400},
		{"plain that says https", nil, key("X-Forwarded-Proto", "https"), 400},
		{"another proxy than the trusted", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, key("X-Forwarded-Proto", "https"), 400},
		{"trusted proxy that says nothing", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, key(), 400},
		{"trusted proxy that says http", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, key("X-Forwarded-Proto", "http"), 400},
		{"trusted proxy and two voices", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, key("X-Forwarded-Proto", "https", "X-Forwarded-Proto", "http"), 400},
		{"trusted proxy that says https", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, key("X-Forwarded-Proto", "https"), 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.TrustedProxies = row.proxies }).fill()
			plainHTTP := httptest.NewServer(b.server)
			defer plainHTTP.Close()
			got := b.want(row.status, b.sendTo(plainHTTP, "PUT", "/docs/k", "x", row.headers...))
			if row.status == 400 && (got.code() != "InvalidRequest" || got.message() != saysInsecure) {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

// Every operation refuses a key over plain HTTP, also where it would not use one, and before it
// asks the engine anything.
func TestNoOperationTakesAKeyOverPlainHTTP(t *testing.T) {
	b := newBench(t).fill("some/key")
	b.resetCalls()
	plainHTTP := httptest.NewServer(b.server)
	defer plainHTTP.Close()
	for _, rt := range routes() {
		if rt.run == nil || rt.open {
			continue
		}
		target, header := sample(rt)
		for _, set := range [][]string{ssec('k'), sourceSSEC('k'), {md5Header, keyMD5('k')}} {
			for k := range header {
				set = append(set, k, header.Get(k))
			}
			got := b.want(400, b.sendTo(plainHTTP, rt.method, target, "", set...))
			if rt.method != "HEAD" && got.message() != saysInsecure {
				t.Errorf("%s: %s", rt.op, got.body)
			}
		}
	}
	if len(b.calls()) > 0 {
		t.Errorf("the engine was called: %v", b.calls())
	}
}

func TestAnswersEchoAlgorithmAndMD5Alone(t *testing.T) {
	b := newBench(t).fill()
	id := fmt.Sprintf("%032x", 1)
	b.want(200, b.do("PUT", "/docs/src", "bytes", ssec('k')...))
	both := func(p ...string) []string {
		return append(append(p, sourceSSEC('k')...), "x-amz-copy-source", "/docs/src")
	}
	for _, row := range []struct {
		method, target string
		headers        []string
		key            byte
	}{
		{"PUT", "/docs/a", ssec('k'), 'k'},
		{"GET", "/docs/a", ssec('k'), 'k'},
		{"HEAD", "/docs/a", ssec('k'), 'k'},
		{"POST", "/docs/up?uploads", ssec('k'), 'k'},
		{"PUT", "/docs/up?partNumber=1&uploadId=" + id, ssec('k'), 'k'},
		{"PUT", "/docs/up?partNumber=2&uploadId=" + id, both(ssec('k')...), 'k'},
		{"PUT", "/docs/copy", both(ssec('n')...), 'n'},
		{"PUT", "/docs/src", both(ssec('n')...), 'n'}, // rotation
	} {
		got := b.want(200, b.do(row.method, row.target, "data", row.headers...))
		if a, m := got.Header.Get(algHeader), got.Header.Get(md5Header); a != "AES256" || m != keyMD5(row.key) {
			t.Errorf("%s %s: algorithm %q, MD5 %q", row.method, row.target, a, m)
		}
		if all := got.body + fmt.Sprint(got.Header); strings.Contains(all, keyText(row.key)) || got.Header.Get(keyHeader) != "" {
			t.Errorf("%s %s: the answer holds the key", row.method, row.target)
		}
	}
	if o := b.engine.objects["docs/src"]; o.customer != keyMD5('n') {
		t.Error("the rotation did not take the new key")
	}
	got := b.want(200, b.do("PUT", "/docs/plain", "x"))
	if got.Header.Get(algHeader) != "" {
		t.Error("a plain answer has SSE-C headers")
	}
}

// Rules 2 and A21: after the request the key is zeroed, and it is in no log line, not even of a
// panic, and in no header that a later handler could print.
func TestAttack_A21_KeysAreZeroedAndNotLogged(t *testing.T) {
	b := newBench(t).fill()
	b.want(200, b.do("PUT", "/docs/k", "x", ssec('k')...))
	b.want(200, b.do("GET", "/docs/k", "", ssec('k')...))
	b.want(403, b.do("GET", "/docs/k", "", ssec('w')...))
	b.want(200, b.do("PUT", "/docs/k", "", append(append(ssec('n'), sourceSSEC('k')...), "x-amz-copy-source", "docs/k")...))
	b.engine.panics = true
	b.want(500, b.do("GET", "/docs/k", "", ssec('p')...))
	if len(b.engine.keys) < 5 {
		t.Fatalf("only %d keys seen", len(b.engine.keys))
	}
	for i, k := range b.engine.keys {
		if k.MD5() != "" {
			t.Errorf("key %d of %d is not zeroed", i, len(b.engine.keys))
		}
	}
	log := b.log.String()
	for _, k := range []byte("kwnp") {
		if strings.Contains(log, keyText(k)) || strings.Contains(log, strings.Repeat(string(k), 8)) {
			t.Errorf("the log holds key %c", k)
		}
	}
	if !strings.Contains(log, "planted") {
		t.Error("the panic was not logged, so nothing is shown about it")
	}
}

func TestTheKeyIsDroppedFromTheRequest(t *testing.T) {
	b := newBench(t).fill("k")
	r := httptest.NewRequest("PUT", "https://"+b.http.Listener.Addr().String()+"/docs/k", nil)
	pairs := append(ssec('k'), sourceSSEC('s')...)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	r.Header.Set("X-Amz-Copy-Source", "docs/k")
	sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	if len(b.engine.lastCopy.Bucket) == 0 {
		t.Fatalf("no copy: %d %s", w.Code, w.Body)
	}
	if all := fmt.Sprint(r.Header); strings.Contains(all, keyText('k')) || strings.Contains(all, keyText('s')) {
		t.Error("a key is still in the request")
	}
}

func TestManagedEncryptionThatIsRefused(t *testing.T) {
	b := newBench(t).fill("k")
	b.resetCalls()
	for _, row := range []struct {
		method, target, header, value string
		status                        int
		code, says                    string
	}{
		{"PUT", "/docs/n", "x-amz-server-side-encryption", "aws:kms:dsse", 501, "NotImplemented", "aws:kms"},
		{"PUT", "/docs/n", "x-amz-server-side-encryption-aws-kms-key-id", "k", 400, "InvalidArgument", "aws:kms"},
		{"PUT", "/docs/n", "x-amz-server-side-encryption", "ROT13", 400, "InvalidArgument", "not supported"},
		{"PUT", "/docs/n", "x-amz-server-side-encryption", "", 400, "InvalidArgument", "not supported"},
		{"GET", "/docs/k", "x-amz-server-side-encryption", "AES256", 400, "InvalidArgument", "not supported for this operation"},
		{"PUT", "/docs/n?partNumber=1&uploadId=1", "x-amz-server-side-encryption", "AES256", 400, "InvalidArgument", "not supported for this operation"},
	} {
		got := b.wantError(row.status, row.code, b.do(row.method, row.target, "", row.header, row.value))
		if !strings.Contains(got.message(), row.says) {
			t.Errorf("%s: %s: %s", row.header, row.value, got.message())
		}
	}
	if slices.ContainsFunc(b.calls(), func(name string) bool { return name != "HeadBucket" }) {
		t.Errorf("the engine was called: %v", b.calls())
	}
}

func TestTheBucketSaysHowObjectsAreEncrypted(t *testing.T) {
	b := newBench(t).fill("k")
	put := func(status int, headers ...string) (seal.SSE, reply) {
		b.engine.lastPut = object.PutRequest{}
		got := b.want(status, b.do("PUT", "/docs/n", "", headers...))
		return b.engine.lastPut.SSE, got
	}
	set := func(doc string) {
		info := b.engine.buckets["docs"]
		info.Documents = map[string][]byte{"encryption": []byte(doc)}
		b.engine.buckets["docs"] = info
	}
	if sse, _ := put(200); sse.Method != 0 {
		t.Errorf("encrypted unasked: %+v", sse)
	}
	if sse, got := put(200, "x-amz-server-side-encryption", "aws:kms"); sse.Method != seal.SSEKMS || sse.KeyID != "aws/s3" ||
		!strings.HasSuffix(got.Header.Get("x-amz-server-side-encryption-aws-kms-key-id"), ":key/aws/s3") {
		t.Errorf("%+v, answer %v", sse, got.Header)
	}
	set(`<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>mine</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`)
	if sse, _ := put(200); sse.Method != seal.SSEKMS || sse.KeyID != "mine" || !sse.BucketKey {
		t.Errorf("the bucket's default: %+v", sse)
	}
	if sse, _ := put(200, "x-amz-server-side-encryption", "AES256"); sse.Method != seal.SSES3 {
		t.Errorf("what the request says: %+v", sse)
	}
	if sse, _ := put(200, ssec('c')...); sse.Method != 0 || b.engine.lastPut.Customer == nil {
		t.Errorf("SSE-C does not win: %+v", sse)
	}
	set(`<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>`)
	put(403, ssec('c')...)
	set(`<broken`)
	put(500)
}
