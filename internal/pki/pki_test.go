package pki_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/pki"
)

const day = 24 * time.Hour

func start() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func config(dir string, secret byte, c *clock, hosts ...string) pki.Config {
	return pki.Config{Dir: dir, Secret: bytes.Repeat([]byte{secret}, 32), Hosts: hosts, Now: c.Now, Rand: rand.Reader}
}

func open(t *testing.T, cfg pki.Config) *pki.Server {
	t.Helper()
	s, err := pki.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func leaf(t *testing.T, s *pki.Server) *x509.Certificate {
	t.Helper()
	c, err := s.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

// pool trusts what is in a ca.pem, as a client does.
func pool(t *testing.T, path string) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		t.Fatal("no certificate in ca.pem")
	}
	return p
}

// handshake connects a client that trusts roots and asks for name, over loopback: a net.Pipe has no
// buffer, and both sides may want to write at once.
func handshake(s *pki.Server, roots *x509.CertPool, name string, now func() time.Time) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	go func() {
		a, err := l.Accept()
		if err != nil {
			return
		}
		_ = tls.Server(a, &tls.Config{GetCertificate: s.GetCertificate, MinVersion: tls.VersionTLS12, Time: now}).Handshake()
		_ = a.Close()
	}()
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	return tls.Client(b, &tls.Config{RootCAs: roots, ServerName: name, Time: now}).Handshake()
}

func TestClientsThatTrustTheCAReachTheServerByEveryName(t *testing.T) {
	c := &clock{now: start()}
	s := open(t, config(filepath.Join(t.TempDir(), "certs"), 1, c, "s3.example.com", "*.s3.example.com", "192.0.2.7", "2001:db8::1", "S3.Example.COM."))
	roots := pool(t, s.CAPath())
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "s3.example.com", "bucket.s3.example.com", "192.0.2.7", "2001:db8::1"} {
		if err := handshake(s, roots, name, c.Now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"example.com", "192.0.2.8", "a.b.s3.example.com"} {
		if err := handshake(s, roots, name, c.Now); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	if err := handshake(s, x509.NewCertPool(), "localhost", c.Now); err == nil {
		t.Error("a client that trusts nobody connected")
	}
	if err := handshake(s, s.Pool(), "localhost", c.Now); err != nil || !s.Own() {
		t.Errorf("Pool: %v", err)
	}
}

func TestFilesHaveTheirModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	open(t, config(dir, 1, &clock{now: start()}))
	for name, mode := range map[string]fs.FileMode{"ca.pem": 0o644, "public.crt": 0o644, "private.key": 0o600, ".": fs.ModeDir | 0o700} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("files: %v", entries)
	}
}

func TestSecondStartFindsTheSameCertificates(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start()}
	first := leaf(t, open(t, config(dir, 1, c, "a.example")))
	before := files(t, dir)
	c.add(300 * day)
	again := leaf(t, open(t, config(dir, 1, c)))
	if !first.Equal(again) || files(t, dir) != before {
		t.Error("certificates were made anew")
	}
}

func files(t *testing.T, dir string) (all [3]string) {
	t.Helper()
	for n, name := range []string{"ca.pem", "public.crt", "private.key"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[n] = string(b)
	}
	return all
}

func TestCertificateIsRenewedThirtyDaysBeforeItsEnd(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start()}
	s := open(t, config(dir, 1, c))
	first := leaf(t, s)
	roots := pool(t, s.CAPath())
	c.add(pki.Lifetime - pki.RenewBefore)
	if !leaf(t, open(t, config(dir, 1, c))).Equal(first) {
		t.Error("renewed at a start with thirty days left")
	}
	c.add(time.Minute)
	started := open(t, config(dir, 1, c))
	if leaf(t, started).Equal(first) || started.Expires() != c.Now().Add(pki.Lifetime).Truncate(time.Second) {
		t.Error("not renewed at a start with fewer than thirty days left")
	}
	if err := handshake(started, roots, "localhost", c.Now); err != nil {
		t.Errorf("a client of the old days: %v", err)
	}
}

func TestRunningServerRenewsItsCertificate(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start()}
	s := open(t, config(dir, 1, c))
	roots, first := pool(t, s.CAPath()), leaf(t, s)
	c.add(pki.Lifetime - pki.RenewBefore + 2*time.Hour)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if err := handshake(s, roots, "localhost", c.Now); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	second := leaf(t, s)
	if second.Equal(first) {
		t.Fatal("not renewed")
	}
	if !leaf(t, open(t, config(dir, 1, c))).Equal(second) {
		t.Error("the renewed certificate is not the one on disk")
	}
	c.add(10 * day)
	if !leaf(t, s).Equal(second) {
		t.Error("renewed again without need")
	}
}

func TestFailedRenewalServesTheOldCertificate(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "certs"), &clock{now: start()}
	var log bytes.Buffer
	cfg := config(dir, 1, c)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := open(t, cfg)
	first := leaf(t, s)
	if err := os.RemoveAll(dir); err != nil { // now nothing can be written there
		t.Fatal(err)
	}
	c.add(pki.Lifetime - 10*day)
	if !leaf(t, s).Equal(first) || !strings.Contains(log.String(), "not renewed") {
		t.Errorf("log: %s", log.String())
	}
	tries := strings.Count(log.String(), "not renewed")
	leaf(t, s)
	if strings.Count(log.String(), "not renewed") != tries {
		t.Error("tried at every handshake")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.add(2 * time.Hour)
	if leaf(t, s).Equal(first) {
		t.Error("not renewed when it was possible again")
	}
	if strings.Contains(log.String(), "PRIVATE") {
		t.Error("the log has a key")
	}
}

func TestNewHostNameMakesANewCertificate(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start()}
	first := leaf(t, open(t, config(dir, 1, c, "a.example")))
	s := open(t, config(dir, 1, c, "a.example", "10.1.2.3"))
	if leaf(t, s).Equal(first) {
		t.Fatal("the certificate lacks the new address")
	}
	if err := handshake(s, pool(t, s.CAPath()), "10.1.2.3", c.Now); err != nil {
		t.Error(err)
	}
}

// Two nodes that share the secret, each with files of its own: a client needs one ca.pem for both.
func TestNodesOfOneClusterAreUnderOneAuthority(t *testing.T) {
	c := &clock{now: start()}
	a, b := open(t, config(t.TempDir(), 1, c)), open(t, config(t.TempDir(), 1, c))
	other := open(t, config(t.TempDir(), 2, c))
	if err := handshake(b, pool(t, a.CAPath()), "localhost", c.Now); err != nil {
		t.Errorf("the other node: %v", err)
	}
	if err := handshake(other, pool(t, a.CAPath()), "localhost", c.Now); err == nil {
		t.Error("a node with another secret verified")
	}
}

func TestFilesOfAnotherSecretAreRefusedAndKept(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start()}
	open(t, config(dir, 1, c))
	before := files(t, dir)
	if _, err := pki.Open(config(dir, 2, c)); !errors.Is(err, pki.ErrForeignCA) {
		t.Errorf("another secret: %v", err)
	}
	if files(t, dir) != before {
		t.Error("files were changed")
	}
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.Open(config(dir, 2, c)); !errors.Is(err, pki.ErrForeignCA) {
		t.Errorf("a server certificate of another secret: %v", err)
	}
}

// What a crash between the two writes leaves is mended by the next start.
func TestTornPairOfOurOwnIsMadeAnew(t *testing.T) {
	c := &clock{now: start()}
	for name, damage := range map[string]func(dir string) error{
		"no key": func(dir string) error { return os.Remove(filepath.Join(dir, "private.key")) },
		"old key": func(dir string) error {
			other := t.TempDir()
			if _, err := pki.Open(config(other, 1, c)); err != nil {
				return err
			}
			return os.Rename(filepath.Join(other, "private.key"), filepath.Join(dir, "private.key"))
		},
	} {
		dir := t.TempDir()
		open(t, config(dir, 1, c))
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		s := open(t, config(dir, 1, c))
		if err := handshake(s, pool(t, s.CAPath()), "localhost", c.Now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// foreign puts a certificate of somebody else's authority into dir.
func foreign(t *testing.T, dir string, c *clock) (roots *x509.CertPool) {
	t.Helper()
	other := t.TempDir()
	s := open(t, config(other, 9, c, "their.example"))
	// Their authority must not look like one of ours, so issue a self-signed certificate.
	pair, err := tls.LoadX509KeyPair(filepath.Join(other, "public.crt"), filepath.Join(other, "private.key"))
	if err != nil {
		t.Fatal(err)
	}
	template := *leaf(t, s)
	template.Subject.Organization = []string{"Somebody Else"}
	template.Issuer = template.Subject
	template.AuthorityKeyId = nil
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, template.PublicKey, pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "public.crt"), cert, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other, "private.key"), filepath.Join(dir, "private.key")); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return roots
}

func TestCertificateOfSomebodyElseIsServedAndNeverReplaced(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: start()}
	roots := foreign(t, dir, c)
	s := open(t, config(dir, 1, c, "not.in.it"))
	before := files(t, dir)
	if err := handshake(s, roots, "their.example", c.Now); err != nil || s.Own() {
		t.Fatalf("own %v, %v", s.Own(), err)
	}
	c.add(pki.Lifetime + day)
	leaf(t, s)
	open(t, config(dir, 1, c))
	if files(t, dir) != before {
		t.Error("files were replaced")
	}
}

func TestBrokenFilesAreClearErrors(t *testing.T) {
	c := &clock{now: start()}
	for name, damage := range map[string]func(dir string) error{
		"key without certificate": func(dir string) error { return os.Remove(filepath.Join(dir, "public.crt")) },
		"rubbish certificate":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "public.crt"), []byte("x"), 0o644) },
		"rubbish authority":       func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("x"), 0o644) },
		"key that others may read": func(dir string) error {
			return os.Chmod(filepath.Join(dir, "private.key"), 0o644)
		},
	} {
		dir := t.TempDir()
		open(t, config(dir, 1, c))
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := pki.Open(config(dir, 1, c)); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, host := range []string{"", "a b", "a/b", "-a.example", "*", "*.*.example", "a..b", "http://a", "a:9000", strings.Repeat("a.", 130) + "b", "été.example"} {
		if _, err := pki.Open(config(t.TempDir(), 1, c, host)); err == nil {
			t.Errorf("host %q was taken", host)
		}
	}
	if _, err := pki.Open(config(t.TempDir(), 1, c, make([]string, 0)...)); err != nil {
		t.Error(err)
	}
	short := config(t.TempDir(), 1, c)
	short.Secret = short.Secret[:31]
	if _, err := pki.Open(short); err == nil {
		t.Error("a secret of 31 bytes was taken")
	}
}

func TestSecretOrAuthorityKeyIsInNoFile(t *testing.T) {
	dir := t.TempDir()
	open(t, config(dir, 1, &clock{now: start()}))
	for _, b := range files(t, dir) {
		if strings.Contains(b, string(bytes.Repeat([]byte{1}, 8))) {
			t.Error("the secret is in a file")
		}
	}
	if _, rest := pem.Decode([]byte(files(t, dir)[2])); len(bytes.TrimSpace(rest)) > 0 {
		t.Error("private.key holds more than one key")
	}
}
