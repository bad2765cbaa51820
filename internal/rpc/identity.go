package rpc

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"

	"holdfast/internal/id"
	"holdfast/internal/pki"
)

// Identity is who this process is: its certificate, its role, its cluster. Server and Pool share it.
// Safe for concurrent use.
type Identity struct {
	cfg      Config
	peer     *pki.Peer
	role     atomic.Uint32
	changes  atomic.Uint64 // of the role: connections of before still say the old one
	refusals refusals
}

// NewIdentity derives the peers' authority from the secret and makes this node's certificate.
func NewIdentity(cfg Config) (*Identity, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	key, err := cfg.Secret.Derive("peer-ca", 32)
	if err != nil {
		return nil, fmt.Errorf("rpc: %w", err)
	}
	defer clear(key)
	peer, err := pki.NewPeer(pki.PeerConfig{Secret: key, Node: cfg.Node, Role: cfg.Role.String(), Now: cfg.Now, Rand: cfg.Rand})
	if err != nil {
		return nil, fmt.Errorf("rpc: %w", err)
	}
	i := &Identity{cfg: cfg, peer: peer}
	i.role.Store(uint32(cfg.Role))
	i.refusals.logger, i.refusals.now = cfg.Logger, cfg.Now
	return i, nil
}

// Node is this node's ID.
func (i *Identity) Node() id.Node { return i.cfg.Node }

// Role is what this node is now.
func (i *Identity) Role() Role { return Role(i.role.Load()) }

// SetRole says that this node is something else now, as when its cluster was formed. Calls that begin
// after it carry the new role; those under way end with the old one.
func (i *Identity) SetRole(r Role) error {
	if !r.single() {
		return errors.New("rpc: SetRole needs one role")
	}
	if i.Role() == r {
		return nil
	}
	i.peer.SetRole(r.String())
	i.role.Store(uint32(r))
	i.changes.Add(1)
	return nil
}

// tlsConfig is TLS 1.3 with a certificate on both sides. Who the other side is, pki.Peer.Verify says:
// host names prove nothing here, and every handshake is a full one, so that a role is never a stale one.
func (i *Identity) tlsConfig(verified func(pki.PeerName)) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"h2"},
		Time:                   i.cfg.Now,
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // VerifyConnection takes its place
		SessionTicketsDisabled: true,
		// Connections between nodes live long and carry shards: no small records to begin with.
		DynamicRecordSizingDisabled: true,
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.peer.Certificate() },
		GetClientCertificate:        func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.peer.Certificate() },
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != "h2" {
				return errors.New("rpc: the peer does not speak HTTP/2")
			}
			name, err := i.peer.Verify(s.PeerCertificates)
			if err == nil {
				verified(name)
			}
			return err
		},
	}
}
