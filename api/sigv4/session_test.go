package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// witness counts what it is told.
type witness struct{ seen []string }

func (w *witness) Authenticated(service, region string, _ time.Time) {
	w.seen = append(w.seen, service+" "+region)
}

// sessionVerifier knows one session, which its token alone holds.
func sessionVerifier(service string, now time.Time, who any) *Verifier {
	session := func(_ context.Context, token string) (Credentials, error) {
		switch token {
		case "":
			return Credentials{}, nil
		case stsCreds.SessionToken:
			c := stsCreds
			c.Expires, c.Who = testTime.Add(time.Minute), who
			return c, nil
		}
		return Credentials{}, InvalidToken()
	}
	return New(Config{Service: service, Now: func() time.Time { return now }, Lookup: func(_ context.Context, key string) (Credentials, bool, error) {
		return Credentials{Session: session}, key == stsCreds.AccessKey, nil
	}})
}

func TestASessionIsKnownByItsTokenAlone(t *testing.T) {
	who := &witness{}
	for _, c := range []struct {
		name  string
		creds Credentials
		clock time.Duration
		code  string
	}{
		{"right", stsCreds, 0, ""},
		{"without its token", Credentials{AccessKey: stsCreds.AccessKey, SecretKey: stsCreds.SecretKey}, 0, "InvalidAccessKeyId"},
		{"another token", Credentials{AccessKey: stsCreds.AccessKey, SecretKey: stsCreds.SecretKey, SessionToken: "other"}, 0, "InvalidToken"},
		{"another secret", Credentials{AccessKey: stsCreds.AccessKey, SecretKey: "guess", SessionToken: stsCreds.SessionToken}, 0, "SignatureDoesNotMatch"},
		{"expired", stsCreds, time.Minute, "ExpiredToken"},
		{"expired, and not its owner", Credentials{AccessKey: stsCreds.AccessKey, SecretKey: "guess", SessionToken: stsCreds.SessionToken}, time.Minute, "SignatureDoesNotMatch"},
	} {
		r := request(t, "GET", "https://h/b/k")
		Sign(r, c.creds, "eu-1", "", testTime, UnsignedPayload)
		before := len(who.seen)
		id, _, err := sessionVerifier("", testTime.Add(c.clock), who).Verify(onWire(t, r))
		if c.code != "" {
			wantCode(t, err, c.code)
			if len(who.seen) != before {
				t.Errorf("%s: the witness was told of a request that was refused", c.name)
			}
			continue
		}
		if err != nil || id.Who != any(who) || len(who.seen) != before+1 || who.seen[before] != "s3 eu-1" {
			t.Errorf("%s: %v, who %v, seen %v", c.name, err, id.Who, who.seen)
		}
	}
}

// formRequest is signed as clients of other services sign: without x-amz-content-sha256.
func formRequest(t *testing.T, creds Credentials, service string, body []byte, declare bool) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "https://h/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	date := testTime.Format(isoBasic)
	r.Header["X-Amz-Date"] = []string{date}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if declare {
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	a := newAuth(formHeader, creds, "", service, date)
	a.signed = signedHeaders(r.Header)
	chain := signWith(r, &a, creds.SecretKey, hash)
	r.Header.Set("Authorization", algorithm+" Credential="+a.accessKey+"/"+a.scope+", SignedHeaders="+strings.Join(a.signed, ";")+", Signature="+string(chain.prev[:]))
	return r
}

func TestTheBodyOfAFormIsSigned(t *testing.T) {
	v := New(Config{Service: "iam", Lookup: lookup, Now: func() time.Time { return testTime }})
	body := []byte("Action=ListUsers&Version=2010-05-08")
	for _, declare := range []bool{false, true} {
		r := formRequest(t, docCreds, "iam", body, declare)
		if id, err := v.VerifyForm(r, body); err != nil || id.AccessKey != docCreds.AccessKey {
			t.Fatalf("declared %v: %v", declare, err)
		}
		for bit := range 8 * len(body) {
			other := bytes.Clone(body)
			other[bit/8] ^= 1 << (bit % 8)
			if _, err := v.VerifyForm(r, other); err == nil {
				t.Fatalf("a body with bit %d flipped was accepted", bit)
			}
		}
	}
	_, err := v.VerifyForm(formRequest(t, docCreds, "sts", body, false), body)
	wantCode(t, err, "AuthorizationHeaderMalformed")
	_, err = v.VerifyForm(formRequest(t, docCreds, "s3", body, true), body)
	wantCode(t, err, "AuthorizationHeaderMalformed")
	_, _, err = verifierAt(testTime).Verify(formRequest(t, docCreds, "iam", body, true))
	wantCode(t, err, "AuthorizationHeaderMalformed")
	unsigned := formRequest(t, docCreds, "iam", body, false)
	unsigned.Header.Set("X-Amz-Content-Sha256", UnsignedPayload)
	if _, err := v.VerifyForm(unsigned, body); err == nil {
		t.Error("a form whose body is declared unsigned was accepted")
	}
	elsewhere := formRequest(t, docCreds, "iam", body, false)
	elsewhere.URL.Path = "/bucket"
	_, err = v.VerifyForm(elsewhere, body)
	wantCode(t, err, "InvalidURI")
}

func TestTheClaimedServiceIsThatOfTheScope(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "AWS a:b": "", "AWS4-HMAC-SHA256 Credential=": "",
		"AWS4-HMAC-SHA256 Credential=k/20260301/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=00": "iam",
		"AWS4-HMAC-SHA256 SignedHeaders=host,Credential=k/a/20260301/us-east-1/sts/aws4_request":              "sts",
		"AWS4-HMAC-SHA256 Credential=k/20260301/us-east-1/iam/aws3_request":                                   "",
	} {
		r := httptest.NewRequest("POST", "https://h/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		if got := ClaimedService(r); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
