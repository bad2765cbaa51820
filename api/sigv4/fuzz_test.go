package sigv4

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The query is read as net/url reads it, or refused; and its canonical form reads back as the same.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "acl", "a=b&a=a", "a=%2F+%20", "&&=&=v", "a;b", "%zz=1", "prefix=%C3%A9&delimiter=/", "X-Amz-Signature=0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		want, wantErr := url.ParseQuery(raw)
		got, err := parseQuery(nil, raw)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("net/url says %v, we %v", wantErr, err)
		}
		if err != nil {
			return
		}
		values := url.Values{}
		for _, p := range got {
			values.Add(p.name, p.value)
		}
		if values.Encode() != want.Encode() {
			t.Fatalf("got %v, want %v", values, want)
		}
		canonical := string(appendQuery(nil, &scratch{query: got}, false))
		back, err := parseQuery(nil, canonical)
		if err != nil {
			t.Fatalf("%q: %v", canonical, err)
		}
		if again := string(appendQuery(nil, &scratch{query: back}, false)); again != canonical || len(back) != len(got) {
			t.Fatalf("%q became %q", canonical, again)
		}
		for part := range strings.SplitSeq(canonical, "&") {
			if strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~%=") != "" {
				t.Fatalf("%q is not canonical", part)
			}
		}
	})
}

// Whatever a server may hand on, Verify does not panic, and nothing but what is signed is accepted.
func FuzzVerify(f *testing.F) {
	for _, presigned := range []bool{false, true} {
		r := signedRequest(f, presigned)
		var b bytes.Buffer
		r.RequestURI = ""
		r.URL.Host, r.URL.Scheme = r.Host, "https"
		_ = r.Write(&b)
		f.Add(b.Bytes())
	}
	f.Add([]byte("GET /?X-Amz-Algorithm=a HTTP/1.1\r\nHost: h\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/20260301/r/s3/aws4_request,SignedHeaders=host,Signature=00\r\n\r\n"))
	seen := map[string]bool{}
	v := verifierAt(testTime)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		id, p, err := v.Verify(r)
		var e *Error
		if err != nil {
			if !errors.As(err, &e) || e.Code == "" || e.Message == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if !id.Anonymous {
			seen[r.Method+r.URL.Path] = true
			if len(seen) > 1 { // both seeds have one method and path
				t.Fatalf("forged: %v", seen)
			}
		}
		if p.DecodedLength < -1 || p.DecodedLength > 1<<20 {
			return
		}
		if body, _, err := v.Body(r, id, p); err == nil {
			if n, _ := io.Copy(io.Discard, body); n > p.DecodedLength {
				t.Fatalf("%d bytes of %d", n, p.DecodedLength)
			}
		}
	})
}

// The reader never panics, never yields more than was declared, keeps to what a simple decoder
// finds in an unsigned body, and hands on nothing unauthentic of a signed one.
func FuzzChunkReader(f *testing.F) {
	for i, form := range forms3 {
		u := newUpload(f, form, noise(700), 300)
		f.Add(u.wire, int64(700), uint8(i), uint16(128))
		f.Add(u.wire, int64(700), uint8(i), uint16(4096))
	}
	f.Add([]byte("0\r\n"+crc+":AAAAAA==\n\r\n\r\n"), int64(0), uint8(2), uint16(1))
	f.Add([]byte("ffffffffffffffff\r\n"), int64(1), uint8(2), uint16(1))
	signed := map[string]*upload{}
	for _, form := range forms3 {
		signed[form] = newUpload(f, form, noise(700), 300)
	}
	f.Fuzz(func(t *testing.T, wire []byte, decoded int64, form uint8, buf uint16) {
		u := signed[forms3[int(form)%3]]
		if decoded < 0 || decoded > 1<<20 {
			return
		}
		v := verifierAt(testTime)
		u.req.Body, u.req.ContentLength = io.NopCloser(bytes.NewReader(wire)), -1
		id, p, err := v.Verify(u.req)
		if err != nil {
			t.Fatal(err)
		}
		p.DecodedLength = decoded
		body, _, err := v.Body(u.req, id, p)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(&smallReads{body, int(buf) + 1})
		}
		if int64(len(got)) > decoded || err == nil && int64(len(got)) != decoded {
			t.Fatalf("%d bytes of %d: %v", len(got), decoded, err)
		}
		if p.Kind != StreamingUnsignedTrailer {
			if !bytes.HasPrefix(u.data, got) {
				t.Fatal("unauthentic bytes")
			}
			return
		}
		want, ok := decodeUnsigned(string(wire), decoded)
		if ok != (err == nil) || ok && want != string(got) {
			t.Fatalf("a simple decoder says %v with %d bytes, the reader %v with %d", ok, len(want), err, len(got))
		}
	})
}

// decodeUnsigned decodes a whole body with the trailer crc, without regard to memory.
func decodeUnsigned(s string, decoded int64) (string, bool) {
	var out strings.Builder
	for {
		head, rest, found := strings.Cut(s, "\r\n")
		if !found || strings.ContainsAny(head, "\n_+-") || len(head) > 16 {
			return "", false
		}
		n, err := strconv.ParseInt(head, 16, 64)
		if err != nil || n > int64(len(rest)) {
			return "", false
		}
		s = rest
		if n == 0 {
			break
		}
		out.WriteString(s[:n])
		if s, found = strings.CutPrefix(s[n:], "\r\n"); !found {
			return "", false
		}
	}
	if int64(out.Len()) != decoded {
		return "", false
	}
	line, rest, found := strings.Cut(s, "\n")
	name, value, colon := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
	value = strings.Trim(value, " \t")
	ok := found && colon && strings.EqualFold(name, crc) && value != "" && len(line) < maxLine &&
		slices.Contains([]string{"\r\n", "\r\n\r\n"}, rest) && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
	return out.String(), ok
}
