package secret_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/keyfile"
	"holdfast/internal/secret"
)

func TestClusterSecretIsMadeOnceAndFoundAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.secret")
	first, created, err := secret.LoadOrCreate(path, rand.Reader)
	if err != nil || !created || first.IsZero() {
		t.Fatalf("created %v, %v", created, err)
	}
	again, created, err := secret.LoadOrCreate(path, rand.Reader)
	if err != nil || created || !bytes.Equal(derive(t, first, "x"), derive(t, again, "x")) {
		t.Fatalf("again: created %v, %v", created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	b, _ := os.ReadFile(path)
	if parsed, err := secret.Parse(string(b)); err != nil || !bytes.Equal(derive(t, parsed, "x"), derive(t, first, "x")) {
		t.Fatalf("the file's text as an environment variable: %v", err)
	}
}

func TestProcessesThatStartAtOnceShareOneSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.secret")
	var made atomic.Int32
	keys := make([][]byte, 8)
	var wait sync.WaitGroup
	for n := range keys {
		wait.Go(func() {
			c, created, err := secret.LoadOrCreate(path, rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			if created {
				made.Add(1)
			}
			keys[n], _ = c.Derive("x", 32)
		})
	}
	wait.Wait()
	for _, k := range keys {
		if !bytes.Equal(k, keys[0]) || made.Load() != 1 {
			t.Fatalf("%d secrets were made", made.Load())
		}
	}
}

func derive(t *testing.T, c secret.Cluster, purpose string) []byte {
	t.Helper()
	b, err := c.Derive(purpose, 32)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPurposesGiveUnrelatedKeys(t *testing.T) {
	c, err := secret.Parse(base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstuv")))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(derive(t, c, "gossip"), derive(t, c, "ca")) {
		t.Error("two purposes share a key")
	}
	if !bytes.Equal(derive(t, c, "gossip"), derive(t, c, "gossip")) {
		t.Error("one purpose has two keys")
	}
	if _, err := (secret.Cluster{}).Derive("x", 32); err == nil {
		t.Error("a key was derived from nothing")
	}
}

func TestSecretFilesThatOthersMayReadAreRefused(t *testing.T) {
	dir := t.TempDir()
	cluster, root := filepath.Join(dir, "cluster"), filepath.Join(dir, "root")
	if _, _, err := secret.LoadOrCreate(cluster, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, _, err := secret.LoadOrCreateRoot(root, rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604} {
		for path, load := range map[string]func() error{
			cluster: func() error { _, _, err := secret.LoadOrCreate(cluster, rand.Reader); return err },
			root:    func() error { _, _, err := secret.LoadOrCreateRoot(root, rand.Reader); return err },
		} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := load(); !errors.Is(err, keyfile.ErrOpen) || !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("%s, mode %o: %v", path, mode, err)
			}
		}
	}
}

func TestTextThatIsNoClusterSecretIsRefusedWithoutQuotingIt(t *testing.T) {
	dir := t.TempDir()
	for n, text := range []string{
		"", "\n", "hunter2hunter2", strings.Repeat("A", 43) + "=", strings.Repeat("QUFB", 11),
		base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.StdEncoding.EncodeToString(make([]byte, 64)),
		strings.Repeat("!", 44), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("changeme"), 4)) + "x",
		base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("pass"), 8)),
	} {
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := keyfile.Create(path, []byte(text), keyfile.Private); err != nil {
			t.Fatal(err)
		}
		_, err := secret.Load(path)
		_, parseErr := secret.Parse(text)
		for _, err := range []error{err, parseErr} {
			if !errors.Is(err, secret.ErrInvalid) {
				t.Errorf("%q: %v", text, err)
			} else if len(text) > 1 && strings.Contains(err.Error(), strings.TrimSpace(text)) {
				t.Errorf("the error quotes the secret: %v", err)
			}
		}
	}
}

func TestRootCredentialsAreMadeOnceAndFoundAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.env")
	first, created, err := secret.LoadOrCreateRoot(path, rand.Reader)
	if err != nil || !created || first.User != "holdfast-root" || len(first.Password()) != 40 {
		t.Fatalf("%v, created %v, %v", first, created, err)
	}
	again, created, err := secret.LoadOrCreateRoot(path, rand.Reader)
	if err != nil || created || again.User != first.User || again.Password() != first.Password() {
		t.Fatalf("again: created %v, %v", created, err)
	}
	other, _, err := secret.LoadOrCreateRoot(path+"2", rand.Reader)
	if err != nil || other.Password() == first.Password() {
		t.Fatal("two clusters have one password")
	}
	info, _ := os.Stat(path)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := secret.SaveRoot(path, other); !errors.Is(err, fs.ErrExist) {
		t.Errorf("credentials were overwritten: %v", err)
	}
}

func TestGeneratedPasswordsUseTheWholeAlphabetEvenly(t *testing.T) {
	count := map[rune]int{}
	const runs = 500
	for range runs {
		r, err := secret.GenerateRoot(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Password() {
			count[c]++
		}
	}
	const each = runs * 40 / 62 // 322, with a standard deviation of 18
	for c, n := range count {
		if n < each-8*18 || n > each+8*18 {
			t.Errorf("%q was used %d times, want about %d", c, n, each)
		}
	}
	if len(count) != 62 {
		t.Errorf("%d different characters", len(count))
	}
}

type stuck byte

func (s stuck) Read(p []byte) (int, error) {
	for n := range p {
		p[n] = byte(s)
	}
	return len(p), nil
}

func TestAStuckRandomSourceMakesNoSecret(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := secret.LoadOrCreate(filepath.Join(dir, "c"), stuck(7)); !errors.Is(err, secret.ErrInvalid) {
		t.Errorf("cluster: %v", err)
	}
	if _, err := secret.GenerateRoot(stuck(255)); err == nil {
		t.Error("root")
	}
	if _, _, err := secret.LoadOrCreate(filepath.Join(dir, "c"), strings.NewReader("short")); err == nil {
		t.Error("short source")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestChosenRootCredentialsAreChecked(t *testing.T) {
	for _, c := range [][2]string{
		{"", "longenough"}, {"user", ""}, {"us", "longenough"}, {"a/b", "longenough"}, {"a,b", "longenough"}, {"a b", "longenough"},
		{"-ab", "longenough"}, {strings.Repeat("u", 129), "longenough"}, {"user", "short12"}, {"user", strings.Repeat("p", 129)},
		{"user", "has a space"}, {"user", "tab\tinside"}, {"user", "line\nfeed1"}, {"user", "pässword1"}, {"minioadmin", "MinioAdmin"}, {"user\n", "longenough"},
	} {
		r, err := secret.NewRoot(c[0], c[1])
		if err == nil || !r.IsZero() {
			t.Errorf("%q %q was taken", c[0], c[1])
		} else if len(c[1]) > 6 && strings.Contains(err.Error(), c[1]) {
			t.Errorf("the error quotes the password: %v", err)
		}
	}
	for _, c := range [][2]string{{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, {"a.b_c@d+e-f", "12345678"}} {
		if r, err := secret.NewRoot(c[0], c[1]); err != nil || r.User != c[0] || r.Password() != c[1] {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestRootFileIsReadStrictly(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"good":     {"# root\n\n HOLDFAST_ROOT_USER=admin\nHOLDFAST_ROOT_PASSWORD=pass=word=1\n", true},
		"no user":  {"HOLDFAST_ROOT_PASSWORD=password1\n", false},
		"twice":    {"HOLDFAST_ROOT_USER=admin\nHOLDFAST_ROOT_USER=other\nHOLDFAST_ROOT_PASSWORD=password1\n", false},
		"other":    {"HOLDFAST_ROOT_USER=admin\nHOLDFAST_ROOT_PASSWORD=password1\nX=y\n", false},
		"no equal": {"HOLDFAST_ROOT_USER\n", false},
		"empty":    {"", false},
	} {
		path := filepath.Join(dir, name)
		if err := keyfile.Create(path, []byte(c.text), keyfile.Private); err != nil {
			t.Fatal(err)
		}
		r, err := secret.LoadRoot(path)
		if (err == nil) != c.ok || c.ok && (r.User != "admin" || r.Password() != "pass=word=1") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "password1") {
			t.Errorf("%s: the error quotes the password: %v", name, err)
		}
	}
}

func TestSecretsPrintAsRedacted(t *testing.T) {
	raw := []byte("canary-canary-canary-canary-0123")
	c, err := secret.Parse(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	r, err := secret.NewRoot("user", string(raw))
	if err != nil {
		t.Fatal(err)
	}
	type private struct {
		c  secret.Cluster
		r  secret.Root
		cp *secret.Cluster
		s  []secret.Root
	}
	values := []any{c, &c, r, &r, private{c, r, &c, []secret.Root{r}}, &private{c, r, &c, nil}, map[string]any{"r": r, "c": c}}
	var shown strings.Builder
	for _, flags := range []string{"", "+", "#", " "} {
		for _, verb := range "vsqxXdtTobcUepf" {
			for _, v := range values {
				fmt.Fprintf(&shown, "%"+flags+string(verb)+"\n", v)
			}
		}
	}
	for _, v := range values {
		b, _ := json.Marshal(v)
		shown.Write(b)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("start", "v", v)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("start", "v", v)
	}
	for _, format := range []string{"%s", "%x", "%X", "% x", "%v", "%#v", "%o", "%d", "%b"} {
		tell := strings.Trim(fmt.Sprintf(format, raw[8:13]), "[]{}")
		if at := strings.Index(shown.String(), tell); at >= 0 {
			t.Fatalf("a secret shows as %q in …%s", tell, shown.String()[max(0, at-200):at+50])
		}
	}
	if strings.Contains(shown.String(), base64.StdEncoding.EncodeToString(raw)[:12]) {
		t.Error("a secret shows in base64")
	}
}
