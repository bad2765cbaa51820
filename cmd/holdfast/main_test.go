package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"holdfast/internal/secret"
)

// command runs the program and returns its exit status and output.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a server that starts after all stops at once
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestKeyNewPrintsAKeyAndItsMD5(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		code, out, _ := command(t, "key", "new")
		m := regexp.MustCompile(`^key  (\S+)\nMD5  (\S+)\n$`).FindStringSubmatch(out)
		if code != 0 || m == nil {
			t.Fatalf("exit %d: %q", code, out)
		}
		raw, err := base64.StdEncoding.DecodeString(m[1])
		sum := md5.Sum(raw)
		if err != nil || len(raw) != 32 || base64.StdEncoding.EncodeToString(sum[:]) != m[2] || seen[m[1]] {
			t.Errorf("key %q, MD5 %q: %v", m[1], m[2], err)
		}
		seen[m[1]] = true
	}
}

func TestSecretNewMakesWhatTheServerTakes(t *testing.T) {
	_, out, _ := command(t, "secret", "new")
	if _, err := secret.Parse(out); err != nil {
		t.Errorf("secret new printed %q: %v", out, err)
	}
	path := filepath.Join(t.TempDir(), "cluster.secret")
	if code, out, errs := command(t, "secret", "new", "--file", path); code != 0 || out != "" {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	before, err := secret.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, "secret", "new", "--file", path); code == 0 || !strings.Contains(errs, "left alone") {
		t.Errorf("a secret was replaced: exit %d, %s", code, errs)
	}
	after, _ := secret.Load(path)
	a, _ := before.Derive("x", 16)
	b, _ := after.Derive("x", 16)
	if !bytes.Equal(a, b) {
		t.Error("the secret changed")
	}
}

// TestSecretRedirectedByTheShellIsPrivate: the server refuses a secret that others may read, so
// the documented line must not make one.
func TestSecretRedirectedByTheShellIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.secret")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := makeSecret(f, ""); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := secret.Load(path); err != nil {
		t.Error(err)
	}
}

func TestServerRefusesToStartWithoutWhatItNeeds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster.secret")
	command(t, "secret", "new", "--file", path)
	data := "--data=" + filepath.Join(dir, "d")
	for _, c := range []struct {
		name           string
		user, password string
		args           []string
		want           []string
	}{
		{"no drives", "admin", "password1", nil, []string{"--data", "holdfast dev"}},
		{"no credentials", "", "", []string{data}, []string{"HOLDFAST_ROOT_USER", "HOLDFAST_ROOT_PASSWORD", "openssl rand"}},
		{"half the credentials", "admin", "", []string{data}, []string{"HOLDFAST_ROOT_PASSWORD"}},
		{"no secret", "admin", "password1", []string{data}, []string{"holdfast secret new", "--cluster-secret-file"}},
		{"half a certificate", "admin", "password1", []string{data, "--cluster-secret-file", path, "--tls-cert", "x"}, []string{"--tls-key"}},
		{"a proxy that is none", "admin", "password1", []string{data, "--cluster-secret-file", path, "--trusted-proxy", "proxy"}, []string{`"proxy"`}},
		{"no such scheme", "admin", "password1", []string{data, "--cluster-secret-file", path, "--scheme", "4-2"}, []string{"--scheme"}},
		{"a drive twice", "admin", "password1", []string{data, data, "--cluster-secret-file", path}, []string{"twice"}},
		{"no such level", "admin", "password1", []string{data, "--cluster-secret-file", path, "--log-level", "loud"}, []string{"loud"}},
		{"no time to drain", "admin", "password1", []string{data, "--cluster-secret-file", path, "--drain-timeout", "0s"}, []string{"--drain-timeout"}},
		{"an argument", "admin", "password1", []string{"x"}, []string{`"x"`}},
	} {
		t.Setenv(secret.EnvUser, c.user)
		t.Setenv(secret.EnvPassword, c.password)
		code, _, errs := command(t, append([]string{"server"}, c.args...)...)
		if code == 0 {
			t.Errorf("%s: it started", c.name)
		}
		for _, w := range c.want {
			if !strings.Contains(errs, w) {
				t.Errorf("%s: %q does not mention %s", c.name, errs, w)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "d*")); len(left) > 0 {
		t.Errorf("a refused start left %v", left)
	}
}

func TestFlagsComeFromTheEnvironment(t *testing.T) {
	var f serverFlags
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.settings.bind(flags)
	flags.StringArrayVar(&f.data, "data", nil, "")
	t.Setenv("HOLDFAST_DATA", "/a, /b")
	t.Setenv("HOLDFAST_LOG_LEVEL", "debug")
	t.Setenv("HOLDFAST_REGION", "eu-north-1")
	if err := flags.Parse([]string{"--region", "here"}); err != nil {
		t.Fatal(err)
	}
	if err := fromEnv(flags); err != nil {
		t.Fatal(err)
	}
	if strings.Join(f.data, "|") != "/a|/b" || f.logLevel != "debug" || f.region != "here" {
		t.Errorf("data %q, level %q, region %q", f.data, f.logLevel, f.region)
	}
	t.Setenv("HOLDFAST_DRAIN_TIMEOUT", "soon")
	if err := fromEnv(flags); err == nil || !strings.Contains(err.Error(), "HOLDFAST_DRAIN_TIMEOUT") {
		t.Errorf("a bad value: %v", err)
	}
}

func TestEveryCommandIsExplained(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no short description or no example", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s is not explained", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

func TestSizesAndNetworksAreRead(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1024": 1024, "64KiB": 64 << 10, "512MiB": 512 << 20, "2 GiB": 2 << 30, "1TiB": 1 << 40} {
		if n, err := byteSize(text); err != nil || n != want {
			t.Errorf("byteSize(%q) = %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "9999999999TiB", "5MB"} {
		if n, err := byteSize(text); err == nil {
			t.Errorf("byteSize(%q) = %d", text, n)
		}
	}
	nets, err := prefixes([]string{"10.1.2.3/8", "192.0.2.7", "2001:db8::/32"})
	if err != nil || len(nets) != 3 || nets[0].String() != "10.0.0.0/8" || nets[1].String() != "192.0.2.7/32" {
		t.Errorf("%v, %v", nets, err)
	}
}

func TestTheGuideHidesAPasswordFromTheEnvironment(t *testing.T) {
	for _, fromEnvironment := range []bool{false, true} {
		g := guide{Endpoint: "https://127.0.0.1:9000", Access: "root", FromEnvironment: fromEnvironment, Key: "a2V5a2V5", CA: "/x/ca.pem", Drives: 6, Scheme: "4+2", Parity: 2}
		if !fromEnvironment {
			g.Secret = "pass-word"
		}
		var b bytes.Buffer
		if err := g.print(&b); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if strings.Contains(text, "pass-word") == fromEnvironment || strings.Contains(text, "$HOLDFAST_ROOT_PASSWORD") != fromEnvironment {
			t.Errorf("from the environment: %v\n%s", fromEnvironment, text)
		}
		for _, want := range []string{"https://127.0.0.1:9000", "/x/ca.pem", "--sse-c", "--enc-c", "SSECustomerKey", "any 2 may be lost"} {
			if !strings.Contains(text, want) {
				t.Errorf("the guide does not mention %s", want)
			}
		}
	}
}

func TestDevRemembersItsDrives(t *testing.T) {
	dir := t.TempDir()
	f := devFlags{dir: dir, drives: 4, settings: settings{logFormat: "text", logLevel: "error", reclaimAfter: 1}}
	if cfg, _, err := f.config(true); err != nil || len(cfg.Data) != 4 {
		t.Fatalf("%d drives, %v", len(cfg.Data), err)
	}
	f.drives = defaultDevDrives
	cfg, _, err := f.config(false)
	if err != nil || len(cfg.Data) != 4 {
		t.Errorf("a later start has %d drives, %v", len(cfg.Data), err)
	}
	f.drives = 6
	if _, _, err := f.config(true); err == nil {
		t.Error("--drives 6 was taken for a directory made with 4")
	}
	if info, err := os.Stat(filepath.Join(dir, "credentials")); err != nil || info.Mode() != 0o600 {
		t.Errorf("credentials: %v, %v", info, err)
	}
}
