package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"holdfast/internal/id"
)

// Certificates between nodes live in memory alone and briefly: a node makes itself a new one at half
// of the lifetime, and whoever has the cluster secret can make one at all.
const (
	PeerLifetime = 24 * time.Hour

	peerScheme   = "holdfast"
	peerRenew    = PeerLifetime / 2
	peerAuthName = "Holdfast peers"
)

// The reasons for which a peer's certificate is refused.
var (
	// ErrOtherSecret: it was not made with this cluster's secret.
	ErrOtherSecret = errors.New("pki: another cluster secret")
	// ErrPeerTime: it is not valid now by this node's clock.
	ErrPeerTime = errors.New("pki: the certificate is not valid at this time; do the clocks differ by an hour?")
	// ErrNotPeer: it names no node.
	ErrNotPeer = errors.New("pki: not a node's certificate")
)

// PeerConfig says who this node is among its peers.
type PeerConfig struct {
	Secret []byte // 32 bytes, derived from the cluster secret for peers alone
	Node   id.Node
	Role   string // one word of lower-case letters
	Now    func() time.Time
	Rand   io.Reader // crypto/rand.Reader, outside tests
}

// Peer is the authority of the certificates that nodes show each other, and this node's own one. Its
// key is not that of the authority which S3 clients trust. Safe for concurrent use.
type Peer struct {
	cfg   PeerConfig
	ca    *authority
	roots *x509.CertPool

	mu   sync.Mutex
	role string
	own  *tls.Certificate // nil: to be made
}

// PeerName is what a peer's certificate says.
type PeerName struct {
	Node id.Node
	Role string
}

// NewPeer derives the authority and makes the first certificate.
func NewPeer(cfg PeerConfig) (*Peer, error) {
	switch {
	case len(cfg.Secret) != 32:
		return nil, fmt.Errorf("pki: a secret of %d bytes, want 32", len(cfg.Secret))
	case cfg.Node == id.Node{}:
		return nil, errors.New("pki: a peer without a node ID")
	case cfg.Now == nil || cfg.Rand == nil:
		return nil, errors.New("pki: no clock or no random source")
	}
	key, err := authorityKey(cfg.Secret)
	if err != nil {
		return nil, err
	}
	p := &Peer{cfg: cfg, ca: &authority{key: key}, roots: x509.NewCertPool(), role: cfg.Role}
	p.cfg.Secret = nil
	// Begun long ago: this copy lives as long as the process and must outlive steps of the clock.
	if err := p.ca.make(peerAuthName, cfg.Now().Add(-caLifetime/2), cfg.Rand); err != nil {
		return nil, err
	}
	p.roots.AddCert(p.ca.cert)
	if _, err := p.Certificate(); err != nil {
		return nil, err
	}
	return p, nil
}

// SetRole makes the next certificate say another role.
func (p *Peer) SetRole(role string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.role, p.own = role, nil
}

// Certificate is this node's own, made anew when half of its life is over.
func (p *Peer) Certificate() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	if p.own != nil && p.own.Leaf.NotAfter.Sub(now) > peerRenew && !now.Before(p.own.Leaf.NotBefore) {
		return p.own, nil
	}
	fresh, err := p.issue(now)
	if err != nil {
		return nil, err
	}
	p.own = fresh
	return fresh, nil
}

func (p *Peer) issue(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), p.cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("pki: make key: %w", err)
	}
	serial, err := newSerial(p.cfg.Rand)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{organization}},
		NotBefore:    now.Add(-clockSlack),
		NotAfter:     now.Add(PeerLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{{Scheme: peerScheme, Host: p.cfg.Node.String(), Path: "/" + p.role}},

		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(p.cfg.Rand, template, p.ca.cert, &key.PublicKey, p.ca.key)
	if err != nil {
		return nil, fmt.Errorf("pki: issue peer certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: issue peer certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// Verify checks the certificate of the other side of a handshake.
func (p *Peer) Verify(chain []*x509.Certificate) (PeerName, error) {
	if len(chain) == 0 {
		return PeerName{}, ErrNotPeer
	}
	leaf := chain[0]
	if !p.ca.issued(leaf) {
		return PeerName{}, ErrOtherSecret
	}
	now := p.cfg.Now()
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return PeerName{}, ErrPeerTime
	}
	opts := x509.VerifyOptions{Roots: p.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := leaf.Verify(opts); err != nil {
		return PeerName{}, fmt.Errorf("%w: %w", ErrNotPeer, err)
	}
	return peerName(leaf)
}

func peerName(leaf *x509.Certificate) (PeerName, error) {
	if len(leaf.URIs) != 1 || leaf.URIs[0].Scheme != peerScheme {
		return PeerName{}, ErrNotPeer
	}
	node, err := id.Parse[id.Node](leaf.URIs[0].Host)
	if err != nil {
		return PeerName{}, fmt.Errorf("%w: %w", ErrNotPeer, err)
	}
	return PeerName{Node: node, Role: strings.TrimPrefix(leaf.URIs[0].Path, "/")}, nil
}
