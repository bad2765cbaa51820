package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"time"

	"holdfast/internal/keyfile"
)

const (
	organization = "Holdfast"
	caInfo       = "holdfast/ca/v1"
	caLifetime   = 20 * 365 * 24 * time.Hour
	clockSlack   = time.Hour // certificates begin in the past: client clocks run slow
)

// ErrForeignCA is returned when the files were made with another cluster secret.
var ErrForeignCA = errors.New("pki: the certificates belong to another cluster secret; restore that secret, or remove ca.pem, public.crt and private.key to make new ones")

// authority is the cluster's certificate authority.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// authorityKey derives the authority's key from the cluster secret. A scalar beyond the curve's order
// (once in 2^32) is passed over for the next.
func authorityKey(secret []byte) (*ecdsa.PrivateKey, error) {
	for n := range 16 {
		scalar, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("%s/%d", caInfo, n), 32)
		if err != nil {
			return nil, fmt.Errorf("pki: derive: %w", err)
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		clear(scalar)
		if err == nil {
			return key, nil
		}
	}
	return nil, errors.New("pki: no key can be derived from this secret")
}

// openAuthority reads ca.pem, or makes it.
func openAuthority(path string, secret []byte, now time.Time, rand io.Reader) (*authority, error) {
	key, err := authorityKey(secret)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key}
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		return a, a.read(path, b, now)
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("pki: read authority: %w", err)
	}
	return a, a.create(path, now, rand)
}

func (a *authority) read(path string, b []byte, now time.Time) (err error) {
	if a.cert, err = parseCert(b); err != nil {
		return fmt.Errorf("pki: %s: %w", path, err)
	}
	if !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return fmt.Errorf("%w (%s)", ErrForeignCA, path)
	}
	if now.After(a.cert.NotAfter) {
		return fmt.Errorf("pki: %s has expired on %s; remove it to make a new one", path, a.cert.NotAfter.Format(time.DateOnly))
	}
	return nil
}

func (a *authority) create(path string, now time.Time, rand io.Reader) error {
	if err := a.make("Holdfast cluster CA", now, rand); err != nil {
		return err
	}
	if err := keyfile.Replace(path, certPEM(a.cert.Raw), keyfile.Public); err != nil {
		return fmt.Errorf("pki: write authority: %w", err)
	}
	return nil
}

// make signs a certificate for the authority itself.
func (a *authority) make(name string, now time.Time, rand io.Reader) error {
	serial, err := newSerial(rand)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		return fmt.Errorf("pki: make authority: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("pki: make authority: %w", err)
	}
	return nil
}

// issued reports whether the authority signed the certificate.
func (a *authority) issued(c *x509.Certificate) bool { return c.CheckSignatureFrom(a.cert) == nil }

func newSerial(rand io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return nil, fmt.Errorf("pki: read random bytes: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive and of full length
	return new(big.Int).SetBytes(b[:]), nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// parseCert takes the first certificate of a PEM file.
func parseCert(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}
