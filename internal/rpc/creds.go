package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"holdfast/internal/id"
	"holdfast/internal/pki"
)

// Peer is who is at the other end of a call.
type Peer struct {
	Node    id.Node
	Role    Role
	Address string // of its connection; not where it listens
}

// PeerOf says who made the call whose context a handler was given.
func PeerOf(ctx context.Context) (Peer, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Peer{}, false
	}
	info, ok := p.AuthInfo.(authInfo)
	if !ok {
		return Peer{}, false
	}
	return Peer{Node: info.node, Role: info.role, Address: p.Addr.String()}, true
}

// authInfo is what a handshake found out.
type authInfo struct {
	credentials.CommonAuthInfo
	node id.Node
	role Role
}

// AuthType implements credentials.AuthInfo.
func (authInfo) AuthType() string { return "holdfast" }

// creds makes the handshakes. failed is told of those of a client which failed, with nil for one that
// did not.
type creds struct {
	identity *Identity
	failed   func(error)
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *creds) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, info, err := c.handshake(ctx, raw, tls.Client)
	if err != nil {
		err = fmt.Errorf("rpc: peer %s: %w", raw.RemoteAddr(), refusal(err))
		c.note(raw, err)
	}
	if c.failed != nil {
		c.failed(err)
	}
	return conn, info, err
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *creds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	conn, info, err := c.handshake(ctx, raw, tls.Server)
	if err != nil {
		err = fmt.Errorf("rpc: peer %s: %w", raw.RemoteAddr(), refusal(err))
		c.note(raw, err)
	}
	return conn, info, err
}

func (c *creds) note(raw net.Conn, err error) {
	for _, known := range []error{ErrSecret, pki.ErrPeerTime, pki.ErrNotPeer} {
		if errors.Is(err, known) {
			c.identity.refusals.note(raw.RemoteAddr().String(), known.Error())
		}
	}
}

func (c *creds) handshake(ctx context.Context, raw net.Conn, side func(net.Conn, *tls.Config) *tls.Conn) (net.Conn, credentials.AuthInfo, error) {
	var name pki.PeerName
	under := &gather{Conn: raw}
	conn := side(under, c.identity.tlsConfig(func(n pki.PeerName) { name = n }))
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return &gathered{conn, under}, authInfo{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		node:           name.Node, role: parseRole(name.Role),
	}, nil
}

// refusal turns what crypto/tls says of a refused certificate into what it means here. Of its own
// certificate's refusal a node learns by an alert (RFC 8446 section 6.2) and not the reason, which is
// another secret as good as always.
func refusal(err error) error {
	var remote *net.OpError
	switch {
	case errors.Is(err, pki.ErrOtherSecret):
		return fmt.Errorf("%w: its certificate was not made with the secret of this node", ErrSecret)
	case errors.As(err, &remote) && remote.Op == "remote error" && remote.Err != nil && slices.Contains(refusedAlerts(), remote.Err.Error()):
		return fmt.Errorf("%w: it refused this node's certificate", ErrSecret)
	}
	return err
}

// refusedAlerts are bad_certificate and unknown_ca, as crypto/tls puts them.
func refusedAlerts() []string {
	return []string{tls.AlertError(42).Error(), tls.AlertError(48).Error()}
}

// Info implements credentials.TransportCredentials.
func (*creds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (c *creds) Clone() credentials.TransportCredentials { d := *c; return &d }

// OverrideServerName implements credentials.TransportCredentials; names prove nothing here.
func (*creds) OverrideServerName(string) error { return nil }
