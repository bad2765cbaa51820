package main

import (
	"crypto/tls"
	"net"
)

// openPort listens for HTTPS.
func openPort(address string, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (net.Listener, error) {
	return tls.Listen("tcp", address, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate})
}
