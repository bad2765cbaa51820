package sigv4

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A4: the clock.
func TestAttackA4DateIsHeldAgainstTheClock(t *testing.T) {
	for _, c := range []struct {
		presigned bool
		clock     time.Duration // of the server, after signing
		code      string
	}{
		{false, 15 * time.Minute, ""}, {false, -15 * time.Minute, ""},
		{false, 15*time.Minute + time.Second, "RequestTimeTooSkewed"}, {false, -15*time.Minute - time.Second, "RequestTimeTooSkewed"},
		{false, 24 * time.Hour, "RequestTimeTooSkewed"},
		{true, time.Hour, ""}, {true, time.Hour + time.Second, "AccessDenied"},
		{true, -15 * time.Minute, ""}, {true, -15*time.Minute - time.Second, "AccessDenied"},
	} {
		_, _, err := verifierAt(testTime.Add(c.clock)).Verify(signedRequest(t, c.presigned))
		if c.code != "" {
			wantCode(t, err, c.code)
		} else if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	}
}

func TestAttackA4ExpiresIsBounded(t *testing.T) {
	for expires, ok := range map[string]bool{"1": true, "604800": true, "0": false, "-1": false, "604801": false, "1e3": false, "+5": false, " 5": false, "": false, "99999999999999999999": false} {
		r := request(t, "GET", "https://h/b/k")
		r.URL = Presign(r, docCreds, "", "", testTime, time.Minute)
		q := r.URL.Query()
		q.Set(argExpires, expires)
		q.Del(argSignature)
		r.URL.RawQuery = q.Encode()
		a := newAuth(formQuery, docCreds, "", "", testTime.Format(isoBasic))
		a.signed = []string{"host"}
		chain := signWith(r, &a, docCreds.SecretKey, UnsignedPayload) // rightly signed
		r.URL.RawQuery += "&X-Amz-Signature=" + string(chain.prev[:])
		_, _, err := verifierAt(testTime).Verify(onWire(t, r))
		if ok && err != nil {
			t.Fatalf("%q: %v", expires, err)
		}
		if !ok {
			wantCode(t, err, "AuthorizationQueryParametersError")
		}
	}
}

func TestDateHeaderServesWithoutAmzDate(t *testing.T) {
	for name, date := range map[string]string{
		"http":  testTime.Format(http.TimeFormat),
		"basic": testTime.Format(isoBasic),
		"none":  "", "rubbish": "yesterday", "fraction": "20260301T120000.5Z", "long": "2026-03-01T12:00:00Z",
	} {
		r := r2(request(t, "GET", "https://h/b", "X-Amz-Content-Sha256: "+UnsignedPayload))
		if date != "" {
			r.Header.Set("Date", date)
		}
		a := newAuth(formHeader, docCreds, "", "", testTime.Format(isoBasic))
		a.signed = signedHeaders(r.Header)
		chain := signWith(r, &a, docCreds.SecretKey, UnsignedPayload)
		r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s,SignedHeaders=%s,Signature=%s", algorithm, a.accessKey, a.scope, strings.Join(a.signed, ";"), chain.prev[:]))
		_, _, err := verifierAt(testTime).Verify(r)
		if name == "http" || name == "basic" {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			continue
		}
		wantCode(t, err, "AccessDenied")
	}
}

func TestRegionIsCheckedAndNamed(t *testing.T) {
	r := request(t, "GET", "https://h/b")
	Sign(r, docCreds, "eu-west-1", "s3", testTime, UnsignedPayload)
	_, _, err := verifierAt(testTime, "", "us-west-2").Verify(onWire(t, r))
	if e := wantCode(t, err, "AuthorizationHeaderMalformed"); e.Region != "us-east-1" ||
		e.Message != "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-east-1'" {
		t.Fatalf("%+v", e)
	}
	if _, _, err := verifierAt(testTime, "us-west-2", "eu-west-1").Verify(onWire(t, r)); err != nil {
		t.Fatal(err)
	}
}

// A4: what is there twice is refused, and so are two ways at once, parts of one, and older ones.
func TestAttackA4AmbiguousAuthenticationIsRefused(t *testing.T) {
	add := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
	}
	query := func(s string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery += "&" + s } }
	for name, c := range map[string]struct {
		presigned bool
		edit      func(*http.Request)
		code      string
	}{
		"authorization twice":  {false, func(r *http.Request) { add("Authorization", r.Header.Get("Authorization"))(r) }, "InvalidRequest"},
		"date twice":           {false, add("X-Amz-Date", "20260301T120000Z"), "InvalidRequest"},
		"hash twice":           {false, add("X-Amz-Content-Sha256", UnsignedPayload), "InvalidRequest"},
		"both ways":            {true, add("Authorization", "AWS4-HMAC-SHA256 Credential=a"), "InvalidArgument"},
		"both ways, empty":     {true, add("Authorization", ""), "InvalidArgument"},
		"signature argument":   {false, query("X-Amz-Signature=00"), "InvalidArgument"},
		"credential argument":  {false, query("X-Amz-Credential=a"), "InvalidArgument"},
		"signature twice":      {true, query("X-Amz-Signature=00"), "AuthorizationQueryParametersError"},
		"all in small letters": {true, func(r *http.Request) { r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "X-Amz-", "x-amz-") }, "AuthorizationQueryParametersError"},
		"signature in small":   {true, query("x-amz-signature=00"), "AuthorizationQueryParametersError"},
		"expires twice":        {true, query("X-Amz-Expires=604800"), "AuthorizationQueryParametersError"},
		"hash argument twice":  {true, query("X-Amz-Content-Sha256=a&X-Amz-Content-Sha256=a"), "AuthorizationQueryParametersError"},
		"version 2 header":     {false, func(r *http.Request) { r.Header.Set("Authorization", "AWS AKIA:sig=") }, "InvalidRequest"},
		"version 2 query": {false, func(r *http.Request) {
			r.Header.Del("Authorization")
			query("AWSAccessKeyId=a&Signature=b&Expires=1")(r)
		}, "InvalidRequest"},
		"version 4A":              {false, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=x") }, "NotImplemented"},
		"bearer":                  {false, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "InvalidArgument"},
		"empty header":            {false, func(r *http.Request) { r.Header.Set("Authorization", "") }, "InvalidArgument"},
		"header without parts":    {false, func(r *http.Request) { r.Header.Set("Authorization", algorithm) }, "AuthorizationHeaderMalformed"},
		"header part twice":       {false, func(r *http.Request) { r.Header["Authorization"][0] += ", Signature=" + strings.Repeat("0", 64) }, "AuthorizationHeaderMalformed"},
		"header part unknown":     {false, func(r *http.Request) { r.Header["Authorization"][0] += ", Foo=1" }, "AuthorizationHeaderMalformed"},
		"only an algorithm":       {false, func(r *http.Request) { r.Header.Del("Authorization"); query("X-Amz-Algorithm=AWS4-HMAC-SHA256")(r) }, "AuthorizationQueryParametersError"},
		"only a signature":        {false, func(r *http.Request) { r.Header.Del("Authorization"); query("X-Amz-Signature=00")(r) }, "AuthorizationQueryParametersError"},
		"other algorithm":         {true, func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "HMAC-SHA256", "HMAC-SHA1", 1) }, "AuthorizationQueryParametersError"},
		"semicolon in the query":  {false, query("a=1;b=2"), "InvalidURI"},
		"bad escape in the query": {false, query("a=%zz"), "InvalidURI"},
		"no hash":                 {false, func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, "InvalidRequest"},
		"odd hash":                {false, func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "abc") }, "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			r := signedRequest(t, c.presigned)
			c.edit(r)
			_, _, err := verifierAt(testTime).Verify(r)
			wantCode(t, err, c.code)
		})
	}
}
