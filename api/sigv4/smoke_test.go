package sigv4

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := Credentials{AccessKey: "AK", SecretKey: "secret"}
	v := New(Config{Lookup: func(_ context.Context, k string) (Credentials, bool, error) { return c, k == "AK", nil }, Now: func() time.Time { return now }})
	data := bytes.Repeat([]byte("abc"), 100000)
	for _, kind := range []string{StreamingPayload, StreamingTrailer, StreamingUnsigned} {
		r := httptest.NewRequest("PUT", "/b/a%2Fb?x=1&y", nil)
		r.Header.Set("X-Amz-Decoded-Content-Length", "300000")
		var tr func() map[string]string
		if kind != StreamingPayload {
			r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
			tr = func() map[string]string { return map[string]string{"x-amz-checksum-crc32": "AAAA"} }
		}
		r.ContentLength = -1
		ch := Sign(r, c, "", "", now, kind)
		if kind == StreamingUnsigned {
			ch = nil
		}
		var buf bytes.Buffer
		w := NewChunkWriter(&buf, ch, 65536, tr)
		w.Write(data)
		w.Close()
		r.Body = io.NopCloser(&buf)
		id, p, err := v.Verify(r)
		if err != nil {
			t.Fatal(kind, err)
		}
		b, trailers, err := v.Body(r, id, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatal(kind, err, len(got))
		}
		t.Log(trailers())
	}
}
