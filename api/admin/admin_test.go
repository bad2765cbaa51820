package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"holdfast/api/sigv4"
)

type fixture struct {
	*Server
	scrubs int
}

func newServer(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{}
	s, err := New(Config{
		Credentials: func(_ context.Context, accessKey string) (sigv4.Credentials, bool, error) {
			return sigv4.Credentials{AccessKey: "root", SecretKey: "secret"}, accessKey == "root", nil
		},
		Status: func() any { return map[string]int{"drives": 6} },
		Scrub:  func() { f.scrubs++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Server = s
	return f
}

// ask sends a request signed with a secret; "" leaves it unsigned.
func (f *fixture) ask(t *testing.T, method, path, secret, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:9000"+path, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if secret != "" {
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		r = signer.SignV4(*r, "root", secret, "", "us-east-1")
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestOnlySignedCallsAreAnswered(t *testing.T) {
	f := newServer(t)
	for _, secret := range []string{"", "wrong"} {
		if code, body := f.ask(t, "POST", "/-/admin/v1/scrub", secret, ""); code != 403 {
			t.Errorf("secret %q: %d %s", secret, code, body)
		}
		if code, _ := f.ask(t, "GET", "/-/admin/v1/nonsense", secret, ""); code != 403 {
			t.Errorf("secret %q: a stranger learns what calls there are", secret)
		}
	}
	if f.scrubs != 0 {
		t.Errorf("%d scrubs started by strangers", f.scrubs)
	}
}

func TestScrubIsStartedOnce(t *testing.T) {
	f := newServer(t)
	if code, body := f.ask(t, "POST", "/-/admin/v1/scrub", "secret", ""); code != 202 || f.scrubs != 1 {
		t.Errorf("%d %s, %d scrubs", code, body, f.scrubs)
	}
	if code, _ := f.ask(t, "GET", "/-/admin/v1/scrub", "secret", ""); code == 202 || f.scrubs != 1 {
		t.Errorf("GET scrub: %d, %d scrubs", code, f.scrubs)
	}
	if code, _ := f.ask(t, "POST", "/-/admin/v1/scrub", "secret", "x"); code != 400 || f.scrubs != 1 {
		t.Errorf("with a body: %d, %d scrubs", code, f.scrubs)
	}
}

func TestStatusAnswersJSON(t *testing.T) {
	if code, body := newServer(t).ask(t, "GET", "/-/admin/v1/status", "secret", ""); code != 200 || body != "{\"drives\":6}\n" {
		t.Errorf("%d %s", code, body)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{Status: func() any { return nil }, Scrub: func() {}}); err == nil {
		t.Error("no Credentials: no error")
	}
	if _, err := New(Config{Credentials: newServer(t).cfg.Credentials, Scrub: func() {}, Now: time.Now}); err == nil {
		t.Error("no Status: no error")
	}
}
