package s3

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"holdfast/api/sigv4"
	"holdfast/object"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header              { return s.h }
func (s *sink) Write(b []byte) (int, error)      { return len(b), nil }
func (s *sink) WriteHeader(int)                  {}
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// quickEngine answers from one object and one page at no cost.
type quickEngine struct {
	*fakeEngine
	info object.Info
	body []byte
	page object.ListPage
}

func (e *quickEngine) Get(context.Context, object.GetRequest) (*object.Reading, error) {
	return object.NewReading(e.info, 0, e.info.Size, false, func(_ context.Context, w io.Writer) (int64, error) {
		n, err := w.Write(e.body)
		return int64(n), err
	}), nil
}

func (e *quickEngine) Put(_ context.Context, r object.PutRequest) (object.PutResult, error) {
	buf := e.body
	for r.Size > 0 {
		n, err := r.Body.Read(buf[:min(int64(len(buf)), r.Size)])
		if r.Size -= int64(n); err != nil && err != io.EOF {
			return object.PutResult{}, err
		}
	}
	return object.PutResult{ETag: e.info.ETag, Modified: testTime}, nil
}

func (e *quickEngine) List(context.Context, object.ListRequest) (object.ListPage, error) {
	return e.page, nil
}

// BenchmarkRequest is the cost of the front alone, signature check included: compare with "verify".
func BenchmarkRequest(b *testing.B) {
	e := &quickEngine{fakeEngine: newFake(), body: make([]byte, 4096), info: object.Info{Size: 4096, ETag: "781e5e245d69b566979b86e28d23f2c7", Modified: testTime,
		Attributes: object.Attributes{Headers: map[string]string{"Content-Type": "text/plain"}, Metadata: map[string]string{"a": "b"}}}}
	for i := range 1000 {
		e.page.Entries = append(e.page.Entries, object.ListEntry{Key: fmt.Sprintf("some/prefix/key-%07d", i), Size: 4096, ETag: e.info.ETag, Modified: testTime.Add(time.Duration(i) * time.Second)})
	}
	s, err := New(Config{Engine: e, Credentials: lookup, Now: func() time.Time { return testTime }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range []struct {
		name, method, target string
		size                 int64
		run                  func(http.ResponseWriter, *http.Request)
	}{
		{"verify", "GET", "/docs/some/key", 0, func(_ http.ResponseWriter, r *http.Request) { _, _, _ = s.verifier.Verify(r) }},
		{"get", "GET", "/docs/some/key", 0, s.ServeHTTP},
		{"head", "HEAD", "/docs/some/key", 0, s.ServeHTTP},
		{"put", "PUT", "/docs/some/key", 4096, s.ServeHTTP},
		{"list", "GET", "/docs?list-type=2&prefix=some%2F&encoding-type=url", 0, s.ServeHTTP},
	} {
		b.Run(row.name, func(b *testing.B) {
			r := httptest.NewRequest(row.method, row.target, nil)
			r.ContentLength = row.size
			sigv4.Sign(r, testCredentials, "us-east-1", "s3", testTime, sigv4.UnsignedPayload)
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{h: make(http.Header, 16)}
				if row.size > 0 {
					r.Body = io.NopCloser(&counted{})
				}
				row.run(w, r)
			}
		})
	}
}
