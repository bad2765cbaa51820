package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

func newOperations(reasons ...string) *operations {
	return &operations{
		token:   "t0ken",
		reasons: func(*http.Request) []string { return reasons },
		metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("figures")) }),
	}
}

func TestReadySaysWhyNot(t *testing.T) {
	ask := func(o *operations) (int, readiness) {
		w := httptest.NewRecorder()
		o.ServeHTTP(w, httptest.NewRequest("GET", "/-/ready", nil))
		var got readiness
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		return w.Code, got
	}
	if code, got := ask(newOperations()); code != 200 || !got.Ready || got.Reasons != nil {
		t.Errorf("ready server: %d %+v", code, got)
	}
	if code, got := ask(newOperations("group 3 has no leader")); code != 503 || got.Ready || !slices.Equal(got.Reasons, []string{"group 3 has no leader"}) {
		t.Errorf("server without leader: %d %+v", code, got)
	}
	stopping := newOperations()
	stopping.stopping.Store(true)
	if code, got := ask(stopping); code != 503 || got.Ready || len(got.Reasons) != 1 {
		t.Errorf("stopping server: %d %+v", code, got)
	}
}

func TestMetricsAreForLoopbackAndBearers(t *testing.T) {
	for _, c := range []struct {
		name, peer, header, value string
		want                      int
	}{
		{"loopback", "127.0.0.1:5000", "", "", 200},
		{"loopback v6", "[::1]:5000", "", "", 200},
		{"loopback v4 in v6", "[::ffff:127.0.0.1]:5000", "", "", 200},
		{"stranger", "192.0.2.7:5000", "", "", 401},
		{"no address", "", "", "", 401},
		{"bearer", "192.0.2.7:5000", "Authorization", "Bearer t0ken", 200},
		{"wrong bearer", "192.0.2.7:5000", "Authorization", "Bearer t0ke", 401},
		{"wrong bearer on loopback", "127.0.0.1:5000", "Authorization", "Bearer x", 401},
		{"through a proxy on this machine", "127.0.0.1:5000", "X-Forwarded-For", "192.0.2.7", 401},
	} {
		r := httptest.NewRequest("GET", "/-/metrics", nil)
		r.RemoteAddr = c.peer
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		newOperations().ServeHTTP(w, r)
		if w.Code != c.want || (w.Body.String() == "figures") != (c.want == 200) {
			t.Errorf("%s: status %d, want %d", c.name, w.Code, c.want)
		}
	}
	open := newOperations()
	open.token = ""
	r := httptest.NewRequest("GET", "/-/metrics", nil)
	r.Header.Set("Authorization", "Bearer ")
	w := httptest.NewRecorder()
	if open.ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("an empty bearer with no token set: status %d, want 401", w.Code)
	}
}

func TestOperationsAnswerReadsOnly(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int
	}{{"GET", "/-/live", 200}, {"HEAD", "/-/live", 200}, {"POST", "/-/live", 405}, {"PUT", "/-/metrics", 405}, {"GET", "/-/", 404}, {"GET", "/-/nonsense", 404}} {
		w := httptest.NewRecorder()
		newOperations().ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.want {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
}
