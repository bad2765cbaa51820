package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kind"
)

// The credentials and the date of the examples in the S3 documentation.
var (
	docTime  = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	docCreds = Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	stsCreds = Credentials{AccessKey: "ASIAEXAMPLE", SecretKey: "temporary/secret", SessionToken: "FwoGZXIvYXdzEXAMPLE//+="}
)

func lookup(_ context.Context, key string) (Credentials, bool, error) {
	for _, c := range []Credentials{docCreds, stsCreds} {
		if c.AccessKey == key {
			return c, true, nil
		}
	}
	return Credentials{}, false, nil
}

func verifierAt(now time.Time, regions ...string) *Verifier {
	return New(Config{Lookup: lookup, Regions: regions, Now: func() time.Time { return now }})
}

// request makes a client's request; headers are "Name: value".
func request(t testing.TB, method, url string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// onWire sends r through net/http's writer and its server's parser, so that the Verifier sees what
// a server would: without Host in the headers, with the path decoded, with the length as it came.
func onWire(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatalf("the server's parser: %v", err)
	}
	return got
}

// readAll verifies r and reads its body as an engine does that never looks for io.EOF.
func readAll(v *Verifier, r *http.Request) ([]byte, map[string]string, error) {
	id, p, err := v.Verify(r)
	if err != nil {
		return nil, nil, err
	}
	body, trailers, err := v.Body(r, id, p)
	if err != nil {
		return nil, nil, err
	}
	b := make([]byte, p.DecodedLength)
	if n, err := io.ReadFull(body, b); err != nil {
		return b[:n], nil, err
	}
	return b, trailers(), nil
}

// wantCode fails unless err is an Error with the given code, whose kind is set.
func wantCode(t testing.TB, err error, code string) *Error {
	t.Helper()
	var e *Error
	switch {
	case err == nil:
		t.Fatalf("accepted; want %s", code)
	case !errors.As(err, &e):
		t.Fatalf("%v is no *Error; want %s", err, code)
	case e.Code != code:
		t.Fatalf("got %s (%s), want %s", e.Code, e.Message, code)
	case kind.Of(err) != e.Kind || e.Kind == kind.Unknown:
		t.Fatalf("%s: kind.Of gives %d, the Error says %d", code, kind.Of(err), e.Kind)
	}
	return e
}
