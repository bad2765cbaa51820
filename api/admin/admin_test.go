package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"holdfast/api/sigv4"
	"holdfast/cluster/operate"
	"holdfast/internal/kind"
)

// fake is an Operator that notes what it is told.
type fake struct {
	calls  []string
	refuse error
}

func (f *fake) note(format string, args ...any) error {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.refuse
}

func (f *fake) change(format string, args ...any) (operate.Change, error) {
	return operate.Change{Changed: true, What: "drive", ID: "d1", State: operate.StateDraining, Message: "done"}, f.note(format, args...)
}

func (f *fake) set(format string, args ...any) (operate.Settings, error) {
	return operate.Settings{Changed: true, Paused: true}, f.note(format, args...)
}

func (f *fake) Status(context.Context) operate.Status {
	return operate.Status{Scheme: "4+2", Healed: 2}
}
func (f *fake) AddDrive(_ context.Context, node, path string) (operate.Change, error) {
	return f.change("add %s on %q", path, node)
}
func (f *fake) DrainDrive(_ context.Context, name string) (operate.Change, error) {
	return f.change("drain drive %s", name)
}
func (f *fake) UndrainDrive(_ context.Context, name string) (operate.Change, error) {
	return f.change("undrain drive %s", name)
}
func (f *fake) RemoveDrive(_ context.Context, name string, force bool) (operate.Change, error) {
	return f.change("remove drive %s %v", name, force)
}
func (f *fake) DrainNode(_ context.Context, name string) (operate.Change, error) {
	return f.change("drain node %s", name)
}
func (f *fake) UndrainNode(_ context.Context, name string) (operate.Change, error) {
	return f.change("undrain node %s", name)
}
func (f *fake) RemoveNode(_ context.Context, name string, force bool) (operate.Change, error) {
	return f.change("remove node %s %v", name, force)
}
func (f *fake) PauseRebalance(context.Context) (operate.Settings, error)  { return f.set("pause") }
func (f *fake) ResumeRebalance(context.Context) (operate.Settings, error) { return f.set("resume") }
func (f *fake) SetRebalanceRate(_ context.Context, n int64) (operate.Settings, error) {
	return f.set("rate %d", n)
}
func (f *fake) SetRepairAfter(_ context.Context, d time.Duration) (operate.Settings, error) {
	return f.set("after %s", d)
}
func (f *fake) KickRebalance(context.Context) error { return f.note("kick") }
func (f *fake) StartScrub(context.Context) (operate.Started, error) {
	return operate.Started{Nodes: []string{"node1"}}, f.note("scrub")
}

type fixture struct {
	*Server
	fake fake
	log  bytes.Buffer
}

func newServer(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{}
	s, err := New(Config{
		Credentials: func(_ context.Context, accessKey string) (sigv4.Credentials, bool, error) {
			return sigv4.Credentials{AccessKey: "root", SecretKey: "secret-of-root"}, accessKey == "root", nil
		},
		Operator: &f.fake, Logger: slog.New(slog.NewTextHandler(&f.log, nil)),
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

const right = "secret-of-root"

func TestOnlySignedCallsAreAnswered(t *testing.T) {
	f := newServer(t)
	for _, secret := range []string{"", "wrong"} {
		for name := range f.calls {
			method, what, _ := strings.Cut(name, " ")
			if code, body := f.ask(t, method, Prefix+what, secret, ""); code != 403 {
				t.Errorf("secret %q: %s: %d %s", secret, name, code, body)
			}
		}
		if code, _ := f.ask(t, "GET", "/-/admin/v1/nonsense", secret, ""); code != 403 {
			t.Errorf("secret %q: a stranger learns what calls there are", secret)
		}
	}
	if len(f.fake.calls) != 0 {
		t.Errorf("strangers did %v", f.fake.calls)
	}
}

func TestEveryCallReachesTheOperatorWithItsArguments(t *testing.T) {
	f := newServer(t)
	for _, c := range []struct{ path, want string }{
		{"drives/add?path=/mnt/a%20b", `add /mnt/a b on ""`},
		{"drives/add?node=n1&path=/mnt/a", `add /mnt/a on "n1"`},
		{"drives/drain?drive=n1:/mnt/a", "drain drive n1:/mnt/a"},
		{"drives/undrain?drive=abcd", "undrain drive abcd"},
		{"drives/remove?drive=abcd", "remove drive abcd false"},
		{"drives/remove?drive=abcd&force=true", "remove drive abcd true"},
		{"nodes/drain?node=n1", "drain node n1"},
		{"nodes/undrain?node=n1", "undrain node n1"},
		{"nodes/remove?force=1&node=n1", "remove node n1 true"},
		{"rebalance/pause", "pause"},
		{"rebalance/resume", "resume"},
		{"rebalance/kick", "kick"},
		{"rebalance/rate?bytes_per_second=1048576", "rate 1048576"},
		{"repair/after?seconds=90", "after 1m30s"},
		{"repair/after?seconds=9223372036854775807", "after 2386092h56m32s"},
		{"scrub", "scrub"},
	} {
		f.fake.calls = nil
		code, body := f.ask(t, "POST", Prefix+c.path, right, "")
		if code != 200 && (code != 202 || c.path != "scrub") || !slices.Equal(f.fake.calls, []string{c.want}) {
			t.Errorf("%s: %d %s, %q", c.path, code, body, f.fake.calls)
		}
	}
	if code, body := f.ask(t, "GET", Prefix+"status", right, ""); code != 200 || !strings.Contains(body, `"scheme":"4+2"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestWhatIsNotUnderstoodDoesNothing(t *testing.T) {
	f := newServer(t)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "scrub", "x", 400},
		{"GET", "scrub", "", 405},
		{"POST", "status", "", 405},
		{"GET", "drives/drain?drive=a", "", 405},
		{"POST", "drives", "", 404},
		{"POST", "drives/drain?drive=a&force=true", "", 400}, // it has no force: left out silently that would be dangerous
		{"POST", "drives/drain?drive=a&drive=b", "", 400},
		{"POST", "drives/remove?drive=a&force=yes", "", 400},
		{"POST", "drives/remove?drive=a&Force=true", "", 400},
		{"POST", "rebalance/rate", "", 400},
		{"POST", "rebalance/rate?bytes_per_second=1MiB", "", 400},
		{"POST", "rebalance/rate?bytes_per_second=-1", "", 400},
		{"POST", "repair/after?seconds=", "", 400},
		{"POST", "drives/drain?drive=" + strings.Repeat("a", maxQuery), "", 400},
	} {
		code, body := f.ask(t, c.method, Prefix+c.path, right, c.body)
		var e struct{ Code, Message string }
		if err := json.Unmarshal([]byte(body), &e); code != c.want || err != nil || e.Code == "" || e.Message == "" {
			t.Errorf("%s %.60s: %d %s", c.method, c.path, code, body)
		}
	}
	if len(f.fake.calls) > 0 {
		t.Errorf("%v", f.fake.calls)
	}
}

func TestRefusalsKeepTheirCodes(t *testing.T) {
	f := newServer(t)
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{&operate.Refused{Code: operate.CodeTooFewDrives, Why: "why"}, 409, operate.CodeTooFewDrives},
		{&operate.Refused{Code: operate.CodeNotEmpty, Why: "why"}, 409, operate.CodeNotEmpty},
		{&operate.Refused{Code: operate.CodeUnknownDrive, Why: "why"}, 404, operate.CodeUnknownDrive},
		{&operate.Refused{Code: operate.CodeInvalid, Why: "why"}, 400, operate.CodeInvalid},
		{&operate.Refused{Code: operate.CodeUnsupported, Why: "why"}, 501, operate.CodeUnsupported},
		{kind.New(kind.Unavailable, "why"), 503, "ServiceUnavailable"},
		{kind.New(kind.Timeout, "why"), 503, "ServiceUnavailable"},
		{context.DeadlineExceeded, 503, "ServiceUnavailable"},
		{fmt.Errorf("why"), 500, "InternalError"},
	} {
		f.fake.refuse = c.err
		code, body := f.ask(t, "POST", Prefix+"drives/drain?drive=a", right, "")
		var e struct{ Code, Message string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || code != c.status || e.Code != c.code || e.Message == "" {
			t.Errorf("%v: %d %s", c.err, code, body)
		}
	}
}

func TestWhatWasChangedIsLoggedWithWhoAsked(t *testing.T) {
	f := newServer(t)
	f.ask(t, "GET", Prefix+"status", right, "")
	if f.log.Len() > 0 {
		t.Errorf("a look is logged: %s", f.log.String())
	}
	f.ask(t, "POST", Prefix+"drives/remove?drive=abcd&force=true", right, "")
	for _, want := range []string{"call=drives/remove", "user=root", "peer=", "drive=abcd", "force=true", "state=draining"} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("%s is not in %s", want, f.log.String())
		}
	}
	f.log.Reset()
	f.fake.refuse = &operate.Refused{Code: operate.CodeNotEmpty, Why: "it holds shards"}
	f.ask(t, "POST", Prefix+"drives/remove?drive=abcd", right, "")
	if text := f.log.String(); !strings.Contains(text, "it holds shards") || !strings.Contains(text, "user=root") {
		t.Errorf("a refusal: %s", text)
	}
	if strings.Contains(f.log.String(), right) {
		t.Error("the secret is in the log")
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{Operator: &fake{}}); err == nil {
		t.Error("no Credentials: no error")
	}
	if _, err := New(Config{Credentials: newServer(t).cfg.Credentials, Now: time.Now}); err == nil {
		t.Error("no Operator: no error")
	}
}
