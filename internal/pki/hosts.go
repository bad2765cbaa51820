package pki

import (
	"crypto/x509"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// MaxHosts is the largest number of names and addresses in a certificate.
const MaxHosts = 100

const hostPattern = `^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

// hosts are the names and addresses that a server certificate is for.
type hosts struct {
	names []string
	ips   []net.IP
}

// newHosts sorts host names (a leading *. is allowed, for buckets as host names) and addresses, and
// adds those of the machine itself.
func newHosts(extra []string) (hosts, error) {
	h := hosts{}
	pattern := regexp.MustCompile(hostPattern)
	for _, host := range append([]string{"localhost", "127.0.0.1", "::1"}, extra...) {
		host = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(host)), ".")
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
			if !slices.ContainsFunc(h.ips, ip.Equal) {
				h.ips = append(h.ips, ip)
			}
			continue
		}
		if len(host) > 253 || !pattern.MatchString(host) {
			return h, fmt.Errorf("pki: %q is neither a host name nor an address", host)
		}
		if !slices.Contains(h.names, host) {
			h.names = append(h.names, host)
		}
	}
	if len(h.names)+len(h.ips) > MaxHosts {
		return h, fmt.Errorf("pki: %d host names and addresses are too many for a certificate (%d)", len(h.names)+len(h.ips), MaxHosts)
	}
	return h, nil
}

// coveredBy reports whether the certificate has all of the hosts.
func (h hosts) coveredBy(c *x509.Certificate) bool {
	for _, name := range h.names {
		if !slices.Contains(c.DNSNames, name) {
			return false
		}
	}
	for _, ip := range h.ips {
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}
