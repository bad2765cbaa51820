package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// VerifyForm authenticates a request of a service other than S3, whose body is at hand: there its
// SHA-256 is signed whether or not a header says so. Like Verify it lets a request without any
// authentication through as Anonymous. The path must be "/": other services would normalise it.
func (v *Verifier) VerifyForm(r *http.Request, body []byte) (Identity, error) {
	s := scratchPool.Get().(*scratch)
	defer s.release()
	var err *Error
	if s.query, err = parseQuery(s.query[:0], r.URL.RawQuery); err != nil {
		return Identity{}, err
	}
	a, err := findAuth(r, s.query)
	switch {
	case err != nil:
		return Identity{}, err
	case a.form == formNone:
		return Identity{Anonymous: true}, nil
	case r.URL.Path != "/":
		return Identity{}, invalidURI()
	}
	if err := v.checkScope(&a); err != nil {
		return Identity{}, err
	}
	if err := v.checkTime(&a); err != nil {
		return Identity{}, err
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if said, there := r.Header["X-Amz-Content-Sha256"]; there && said[0] != hash {
		return Identity{}, invalidArgument(msgSHA256, "x-amz-content-sha256")
	}
	if name := unsignedHeader(r.Header, a.signed); name != "" {
		e := accessDenied(msgNotSigned)
		e.Header = name
		return Identity{}, e
	}
	return v.authenticate(r, &a, s, hash)
}

// ClaimedService is the service that the request's Authorization header says it is signed for; "" if there
// is none, or it is malformed. It is a claim: a Verifier of that service has to hold it against the
// signature, and one of another service refuses the request.
func ClaimedService(r *http.Request) string {
	header := r.Header["Authorization"]
	if len(header) != 1 {
		return ""
	}
	_, rest, _ := strings.Cut(header[0], "Credential=")
	credential, _, _ := strings.Cut(rest, ",")
	var a auth
	if !a.parseCredential(strings.TrimSpace(credential)) {
		return ""
	}
	return a.service
}
