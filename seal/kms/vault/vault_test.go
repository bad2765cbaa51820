package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/secret"
	"holdfast/seal"
	"holdfast/seal/kms"
	"holdfast/seal/kms/vault"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_800_000_000_000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func client(t testing.TB, cfg vault.Config) *vault.Client {
	t.Helper()
	c, err := vault.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func wantCode(t testing.TB, err error, code kms.Code) {
	t.Helper()
	if err == nil || kms.CodeOf(err) != code {
		t.Fatalf("error %v (code %q), want %q", err, kms.CodeOf(err), code)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Fatalf("a secret in %v", err)
	}
}

func same(t testing.TB, a, b *seal.KMSKey) bool {
	t.Helper()
	x, errX := a.Derive(nil, 32, "test")
	y, errY := b.Derive(nil, 32, "test")
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	return bytes.Equal(x, y)
}

func contexts() (a, b seal.Context) {
	return seal.Context{"aws:s3:arn": "arn:aws:s3:::b/a"}, seal.Context{"aws:s3:arn": "arn:aws:s3:::b/b"}
}

// conforms is what every Vault must do, the fake and a real one.
func conforms(t *testing.T, c *vault.Client, derived, plain string) {
	t.Helper()
	one, two := contexts()
	var blobs [][]byte
	for mode, key := range map[byte]string{1: derived, 2: plain} {
		d, err := c.GenerateDataKey(t.Context(), key, one)
		if err != nil {
			t.Fatal(err)
		}
		if d.Blob[0] != kms.FormatVault || d.Blob[1] != mode || len(d.Blob) > seal.MaxKMSBlob {
			t.Errorf("%s: blob %.12q", key, d.Blob)
		}
		blobs = append(blobs, d.Blob)
		if got, err := c.Decrypt(t.Context(), key, d.Blob, one); err != nil || !same(t, got, d.Key) {
			t.Errorf("%s: %v", key, err)
		}
		_, err = c.Decrypt(t.Context(), key, d.Blob, two)
		wantCode(t, err, kms.Internal)
		_, err = c.Decrypt(t.Context(), key, d.Blob, nil)
		wantCode(t, err, kms.Internal)
		other := bytes.Clone(d.Blob)
		other[1] ^= 3
		if _, err = c.Decrypt(t.Context(), key, other, one); err == nil {
			t.Errorf("%s: a blob opens in the other mode", key)
		}
		f := bytes.Clone(d.Blob)
		f[len(f)-10] = map[bool]byte{true: 'A', false: 'B'}[f[len(f)-10] != 'A']
		_, err = c.Decrypt(t.Context(), key, f, one)
		wantCode(t, err, kms.Internal)
		if e, err := c.GenerateDataKey(t.Context(), key, one); err != nil || same(t, e.Key, d.Key) {
			t.Errorf("%s: two data keys are one (%v)", key, err)
		}
	}
	_, err := c.Decrypt(t.Context(), derived, blobs[0][:1], one)
	wantCode(t, err, kms.Internal)
	_, err = c.GenerateDataKey(t.Context(), "nobody", one)
	wantCode(t, err, kms.NotFound)
	_, err = c.Decrypt(t.Context(), "nobody", blobs[0], one)
	wantCode(t, err, kms.NotFound)
	if err := c.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestVaultWrapsDataKeysBoundToTheirContext(t *testing.T) {
	f := newFake(t)
	c := client(t, f.config(t, newClock()))
	conforms(t, c, "derived", "plain")
	one, _ := contexts()
	_, err := c.GenerateDataKey(t.Context(), "rsa", one)
	wantCode(t, err, kms.InvalidUsage)
	for _, name := range []string{"a/b", "..", "", "a?b", "a%2fb", "../sys/seal", kms.KeyDefault} {
		_, err := c.GenerateDataKey(t.Context(), name, one)
		wantCode(t, err, kms.NotFound)
	}
	if f.count("GET transit/keys/derived") != 1 {
		t.Error("a key was looked at for each data key")
	}
	for _, call := range f.calls {
		if strings.HasPrefix(call, "POST transit/encrypt/nobody") || strings.Contains(call, "..") {
			t.Errorf("%s: it could make a key", call)
		}
	}
}

func TestAppRoleLogsInOnceAndAgainWhenItsTokenEnds(t *testing.T) {
	f, clk := newFake(t), newClock()
	cfg := f.config(t, clk)
	cfg.Token, cfg.RoleID, cfg.SecretIDFile = secret.Text{}, "role", filepath.Join(t.TempDir(), "id")
	write(t, cfg.SecretIDFile, "s-canary\n")
	c := client(t, cfg)
	one, _ := contexts()
	use := func() {
		t.Helper()
		if _, err := c.GenerateDataKey(t.Context(), "derived", one); err != nil {
			t.Fatal(err)
		}
	}
	logins := func(want int) {
		t.Helper()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.logins != want {
			t.Fatalf("%d logins, want %d", f.logins, want)
		}
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { _, _ = c.GenerateDataKey(t.Context(), "derived", one) })
	}
	wait.Wait()
	logins(1)
	clk.pass(55 * time.Minute) // nine tenths of an hour
	use()
	logins(2)
	clk.pass(time.Minute)
	f.set(func() { f.tokens = map[string]bool{} }) // revoked
	use()
	logins(3)
	// What the policy forbids makes no login each time.
	for range 20 {
		_, err := c.GenerateDataKey(t.Context(), "forbidden", one)
		wantCode(t, err, kms.AccessDenied)
	}
	logins(3)
	write(t, cfg.SecretIDFile, "wrong")
	clk.pass(time.Hour)
	_, err := c.GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.AccessDenied)
	if err := os.Chmod(cfg.SecretIDFile, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = c.GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.Unavailable)
}

func TestTokenFileIsReadAgainWhenItsTokenIsRefused(t *testing.T) {
	f, clk := newFake(t), newClock()
	cfg := f.config(t, clk)
	cfg.Token, cfg.TokenFile = secret.Text{}, filepath.Join(t.TempDir(), "token")
	write(t, cfg.TokenFile, "t-root-canary\n")
	c := client(t, cfg)
	one, _ := contexts()
	if _, err := c.GenerateDataKey(t.Context(), "derived", one); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.tokens = map[string]bool{"t-second-canary": true} })
	clk.pass(time.Minute)
	write(t, cfg.TokenFile, "t-second-canary")
	if _, err := c.GenerateDataKey(t.Context(), "derived", one); err != nil {
		t.Fatal(err)
	}
	clk.pass(time.Minute)
	f.set(func() { f.tokens = nil })
	_, err := c.GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.AccessDenied)
}

func TestFaultsAreTriedAgainAFewTimes(t *testing.T) {
	f := newFake(t)
	c := client(t, f.config(t, newClock()))
	one, _ := contexts()
	if _, err := c.GenerateDataKey(t.Context(), "derived", one); err != nil {
		t.Fatal(err)
	}
	fails := func(times, status int) {
		f.set(func() {
			f.calls = nil
			f.trap = func(w http.ResponseWriter, _ *http.Request) bool {
				times--
				if times >= 0 {
					refuse(w, status, "later")
				}
				return times >= 0
			}
		})
	}
	const call = "POST transit/datakey/plaintext/derived"
	for _, status := range []int{429, 500, 502, 503} {
		fails(2, status)
		if _, err := c.GenerateDataKey(t.Context(), "derived", one); err != nil || f.count(call) != 3 {
			t.Errorf("%d: %d calls, %v", status, f.count(call), err)
		}
	}
	fails(100, 503)
	_, err := c.GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.Unavailable)
	if n := f.count(call); n != 3 {
		t.Errorf("%d calls", n)
	}
	fails(100, 400) // the Vault has understood, and will not
	_, err = c.GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.InvalidUsage)
	if n := f.count(call); n != 1 {
		t.Errorf("%d calls", n)
	}
	fails(0, 0)
	f.set(func() { f.sealed = true })
	wantCode(t, c.Health(t.Context()), kms.Unavailable)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.GenerateDataKey(gone, "derived", one)
	wantCode(t, err, kms.Unavailable)
	f.Close()
	_, err = c.GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.Unavailable)
	wantCode(t, c.Health(t.Context()), kms.Unavailable)
}

func TestAnswersThatAreNotTheAPIsAreRefused(t *testing.T) {
	f := newFake(t)
	cfg := f.config(t, newClock())
	cfg.Tries = 1
	c := client(t, cfg)
	one, _ := contexts()
	d, err := c.GenerateDataKey(t.Context(), "plain", one)
	if err != nil {
		t.Fatal(err)
	}
	key := `"Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTAxMjM="` // base64 of "canary-…"
	for what, body := range map[string]string{
		"no JSON":        "canary <html>",
		"no data":        `{}`,
		"no plaintext":   `{"data":{"ciphertext":"vault:v1:AAAA"}}`,
		"short key":      `{"data":{"plaintext":"Y2FuYXJ5","ciphertext":"vault:v1:AAAA"}}`,
		"no base64":      `{"data":{"plaintext":"canary!","ciphertext":"vault:v1:AAAA"}}`,
		"huge":           `{"data":{"plaintext":` + key + `,"ciphertext":"vault:v1:AAAA","x":"` + strings.Repeat("x", 1<<20) + `"}}`,
		"bad ciphertext": `{"data":{"ciphertext":"canary"}}`,
		"no version":     `{"data":{"ciphertext":"vault:v:AAAA"}}`,
		"long":           `{"data":{"ciphertext":"vault:v1:` + strings.Repeat("A", 1020) + `"}}`,
	} {
		f.set(func() {
			f.trap = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/keys/") {
					return false
				}
				_, _ = io.WriteString(w, body)
				return true
			}
		})
		for _, key := range []string{"derived", "plain"} {
			if key == "plain" && (what == "no plaintext" || what == "short key" || what == "no base64") {
				continue // encrypt answers without a plaintext
			}
			_, err := c.GenerateDataKey(t.Context(), key, one)
			if kms.CodeOf(err) != kms.Unavailable || strings.Contains(err.Error(), "anary") {
				t.Errorf("%s, %s: %v", what, key, err)
			}
		}
		if _, err := c.Decrypt(t.Context(), "plain", d.Blob, one); what != "bad ciphertext" && kms.CodeOf(err) != kms.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	f.set(func() {
		f.trap = func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/v1/elsewhere", http.StatusTemporaryRedirect)
			return true
		}
		f.calls = nil
	})
	_, err = c.Decrypt(t.Context(), "plain", d.Blob, one)
	wantCode(t, err, kms.Unavailable)
	if f.count("POST elsewhere") != 0 {
		t.Error("the token was carried elsewhere")
	}
	f.set(func() {
		f.trap = func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, 400, strings.Repeat("x\x00\n", 1000))
			return true
		}
	})
	if _, err = c.Decrypt(t.Context(), "plain", d.Blob, one); len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\x00\n") {
		t.Errorf("%d bytes of error", len(err.Error()))
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	f := newFake(t)
	cfg := f.config(t, newClock())
	cfg.Tries = 1
	sent := make(chan int, 1)
	f.set(func() {
		f.trap = func(w http.ResponseWriter, _ *http.Request) bool {
			n, block := 0, bytes.Repeat([]byte(" "), 1<<16)
			for n < 256<<20 {
				m, err := w.Write(block)
				if n += m; err != nil {
					break
				}
			}
			sent <- n
			return true
		}
	})
	one, _ := contexts()
	_, err := client(t, cfg).GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.Unavailable)
	if n := <-sent; n > 64<<20 { // what the sockets hold, and no more
		t.Errorf("%d bytes were taken", n)
	}
}

func TestASilentVaultIsGivenUp(t *testing.T) {
	f := newFake(t)
	cfg := f.config(t, newClock())
	cfg.Tries, cfg.Timeout = 2, 50*time.Millisecond
	stop := make(chan struct{})
	defer close(stop)
	f.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop })
	one, _ := contexts()
	_, err := client(t, cfg).GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.Unavailable)
}

func TestCertificateAndConfigurationAreChecked(t *testing.T) {
	f := newFake(t)
	good := f.config(t, newClock())
	one, _ := contexts()
	stranger := good
	stranger.CAFile, stranger.Tries = "", 1
	_, err := client(t, stranger).GenerateDataKey(t.Context(), "derived", one)
	wantCode(t, err, kms.Unavailable)
	if len(f.calls) > 0 {
		t.Error("a token was sent to a Vault with a certificate that nobody vouches for")
	}
	for what, edit := range map[string]func(*vault.Config){
		"no address":     func(c *vault.Config) { c.Address = "" },
		"plain HTTP":     func(c *vault.Config) { c.Address = "http://vault.example:8200" },
		"path":           func(c *vault.Config) { c.Address += "/v1/x" },
		"user":           func(c *vault.Config) { c.Address = "https://u:canary@h" },
		"no way in":      func(c *vault.Config) { c.Token = secret.Text{} },
		"two ways in":    func(c *vault.Config) { c.TokenFile = "x" },
		"half a role":    func(c *vault.Config) { c.Token, c.RoleID = secret.Text{}, "r" },
		"mount":          func(c *vault.Config) { c.Mount = "../sys" },
		"namespace":      func(c *vault.Config) { c.Namespace = "a\r\nX: y" },
		"no CA":          func(c *vault.Config) { c.CAFile = "/nowhere" },
		"no certificate": func(c *vault.Config) { c.CAFile = os.Args[0] },
		"no rand":        func(c *vault.Config) { c.Rand = nil },
		"no clock":       func(c *vault.Config) { c.Now = nil },
	} {
		cfg := good
		edit(&cfg)
		if _, err := vault.New(cfg); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", what, err)
		}
	}
	c := client(t, good)
	shown := fmt.Sprintf("%v %+v %#v %v %+v %#v", c, c, c, good, good, good)
	if strings.Contains(shown, "canary") {
		t.Errorf("the token shows in %s", shown)
	}
}

// FuzzAnswer: whatever a Vault or what stands before it says, it is an error or a data key.
func FuzzAnswer(f *testing.F) {
	v := newFake(f)
	cfg := v.config(f, newClock())
	cfg.Tries = 1
	c := client(f, cfg)
	f.Add(200, []byte(`{"data":{"plaintext":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","ciphertext":"vault:v1:AAAA","type":"aes256-gcm96","derived":true}}`))
	f.Add(400, []byte(`{"errors":["encryption key not found"]}`))
	f.Add(403, []byte(`[]`))
	one, _ := contexts()
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		v.set(func() {
			v.calls = nil
			v.trap = func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(status)
				_, _ = w.Write(body)
				return true
			}
		})
		d, err := c.GenerateDataKey(t.Context(), "derived", one)
		if (err == nil) != (d.Key != nil) || err == nil && (len(d.Blob) < 12 || len(d.Blob) > seal.MaxKMSBlob) || err != nil && kms.CodeOf(err) == "" {
			t.Fatalf("%+v, %v", d, err)
		}
	})
}
