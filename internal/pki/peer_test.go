package pki_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/pki"
)

func newPeer(t *testing.T, secret byte, c *clock) *pki.Peer {
	t.Helper()
	p, err := pki.NewPeer(pki.PeerConfig{Secret: bytes.Repeat([]byte{secret}, 32), Node: id.Node{secret, 7}, Role: "storage", Now: c.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// chain is what the peer shows now.
func chain(t *testing.T, p *pki.Peer) []*x509.Certificate {
	t.Helper()
	c, err := p.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c.Leaf}
}

func TestPeersOfOneSecretKnowEachOther(t *testing.T) {
	c := &clock{now: start()}
	a := newPeer(t, 1, c)
	c.add(3 * 365 * day) // a has run for long when b starts
	b := newPeer(t, 1, c)
	for _, pair := range [][2]*pki.Peer{{a, b}, {b, a}} {
		got, err := pair[0].Verify(chain(t, pair[1]))
		if err != nil || got != (pki.PeerName{Node: id.Node{1, 7}, Role: "storage"}) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	b.SetRole("front")
	if got, err := a.Verify(chain(t, b)); err != nil || got.Role != "front" {
		t.Errorf("after a change of role: %v, %v", got, err)
	}
	if _, err := a.Verify(chain(t, newPeer(t, 2, c))); !errors.Is(err, pki.ErrOtherSecret) {
		t.Errorf("another secret: %v", err)
	}
	if _, err := a.Verify(nil); !errors.Is(err, pki.ErrNotPeer) {
		t.Errorf("no certificate: %v", err)
	}
}

// TestAPeersCertificateIsRenewedInTime: what is shown is good for half a day at least, and the old one no
// longer than a day.
func TestAPeersCertificateIsRenewedInTime(t *testing.T) {
	c := &clock{now: start()}
	a := newPeer(t, 1, c)
	first := chain(t, a)
	for range 20 {
		c.add(5 * time.Hour)
		shown := chain(t, a)
		if left := shown[0].NotAfter.Sub(c.Now()); left < pki.PeerLifetime/2 || left > pki.PeerLifetime {
			t.Errorf("a certificate that ends in %v", left)
		}
		if _, err := a.Verify(shown); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Verify(first); !errors.Is(err, pki.ErrPeerTime) {
		t.Errorf("a certificate of four days ago: %v", err)
	}
	c.add(-20 * 365 * day / 4)
	if _, err := a.Verify(chain(t, a)); err != nil {
		t.Errorf("after a step back of the clock: %v", err)
	}
}

// TestAServersCertificateMakesNoPeer: certificates for S3 clients are from another authority, even if
// somebody derived both from the same bytes.
func TestAServersCertificateMakesNoPeer(t *testing.T) {
	c := &clock{now: start()}
	s := open(t, config(filepath.Join(t.TempDir(), "certs"), 1, c))
	if _, err := newPeer(t, 1, c).Verify([]*x509.Certificate{leaf(t, s)}); !errors.Is(err, pki.ErrNotPeer) && !errors.Is(err, pki.ErrOtherSecret) {
		t.Errorf("got %v", err)
	}
}
