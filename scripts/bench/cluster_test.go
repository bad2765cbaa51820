package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPlaceholdersAreThoseOfTheNode(t *testing.T) {
	hosts := make([]string, 12)
	for i := range hosts {
		hosts[i] = "10.0.0." + string(rune('a'+i))
	}
	got := expandNode("run {address} {dir} {certs} {host1} {host2} {host12} {other} d{1...2}", hosts, 1, "/data", "/certs")
	if want := "run 10.0.0.b:9000 /data /certs 10.0.0.a 10.0.0.b 10.0.0.l {other} d{1...2}"; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	if got := expandNode("{addresses}", hosts[:3], 0, "", ""); got != "10.0.0.a:9000 10.0.0.b:9000 10.0.0.c:9000" {
		t.Fatal(got)
	}
}

func TestConnectionsGoToAllNodesInTurn(t *testing.T) {
	var endpoints []string
	for range 3 {
		_, args := newFake(t)
		endpoints = append(endpoints, args[1])
	}
	_, args := newFake(t)
	args[1] = strings.Join(endpoints, ",") // all have the certificate of the same test server
	o, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.a.open(); err != nil {
		t.Fatal(err)
	}
	if err := o.a.trust(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 6 {
		c, err := o.a.dial()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, "https://"+c.wire.RemoteAddr().String())
		if "https://"+c.req.Host != got[len(got)-1] {
			t.Fatalf("a connection to %s says Host: %s", got[len(got)-1], c.req.Host)
		}
		c.close()
	}
	if !slices.Equal(got, slices.Concat(endpoints, endpoints)) {
		t.Fatalf("%v of %v", got, endpoints)
	}
}

func TestAllEndpointsMustBeReady(t *testing.T) {
	_, args := newFake(t)
	nobody, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for last, want := range map[string]string{"": "", ",https://" + nobody: "ended"} {
		o, err := parse(slices.Concat(args, []string{"--endpoint", args[1] + last}))
		if err != nil {
			t.Fatal(err)
		}
		if err := o.a.open(); err != nil {
			t.Fatal(err)
		}
		p := &process{cmd: &exec.Cmd{}, done: make(chan struct{})}
		close(p.done)
		if err := o.a.await(t.Context(), []*process{p}); (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Fatalf("%q: %v", last, err)
		}
	}
}

func TestCertificateIsGoodForAllNodes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if err := makeCerts(dir, "10.1.2.3", "10.1.2.4"); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "CAs", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "public.crt"), filepath.Join(dir, "private.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{"127.0.0.1", "10.1.2.3", "10.1.2.4"} {
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: ip, Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
				t.Errorf("%s: %v", ip, err)
			}
		}
	}
}

func TestClusterFlagsMustFit(t *testing.T) {
	for _, args := range [][]string{
		{"--start", "a", "--drives", "2"}, {"--start", "a", "--scheme", "4+2"}, {"--start", "a", "--nodes", "1"}, {"--start", "a", "--nodes", "51"},
		{"--endpoint", "https://a", "--nodes", "4"}, {"--start", "a", "--nodes", "4", "--other-endpoint", "https://b"},
		{"--start", "a", "--nodes", "4", "--drives", "-1"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
	o, err := parse([]string{"--start", "a", "--nodes", "4", "--drives", "2", "--scheme", "5+3"})
	if err != nil || strings.Contains(o.args, "scheme") || o.shape() != "4 nodes, drives each: 2, scheme 5+3" {
		t.Fatal(err, o)
	}
	if o, err = parse([]string{"--start", "a", "--nodes", "4", "--start-args", "--log-level info"}); err != nil || o.args != "--log-level info" {
		t.Fatal(err, o)
	}
}
