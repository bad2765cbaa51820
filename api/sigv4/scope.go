package sigv4

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parseCredential splits key/yyyymmdd/region/service/aws4_request; an access key may hold slashes.
func (a *auth) parseCredential(s string) bool {
	scope := len(s)
	for range 4 {
		if scope = strings.LastIndexByte(s[:scope], '/'); scope < 0 {
			return false
		}
	}
	a.accessKey, a.scope = s[:scope], s[scope+1:]
	rest := a.scope
	a.day, rest, _ = strings.Cut(rest, "/")
	a.region, rest, _ = strings.Cut(rest, "/")
	a.service, rest, _ = strings.Cut(rest, "/")
	return rest == terminator && len(a.day) == 8 && digits(a.day) &&
		a.region != "" && len(a.region) <= maxRegionLen && graphic(a.region) &&
		a.accessKey != "" && len(a.accessKey) <= maxAccessKeyLen && graphic(a.accessKey)
}

// parseSigned splits the list of signed headers and checks its form: lower-case tokens, strictly
// ascending, with host.
func (a *auth) parseSigned(s string) bool {
	n := strings.Count(s, ";") + 1
	if n > maxSigned {
		return false
	}
	a.signed = make([]string, 0, n)
	for more := true; more; {
		var name string
		name, s, more = strings.Cut(s, ";")
		if !headerToken(name) || len(a.signed) > 0 && a.signed[len(a.signed)-1] >= name {
			return false
		}
		a.signed = append(a.signed, name)
	}
	_, host := slices.BinarySearch(a.signed, "host")
	return host
}

func (a *auth) parseSignature(s string) bool {
	var raw [32]byte
	if len(s) != len(a.signature) {
		return false
	}
	if _, err := hex.Decode(raw[:], []byte(s)); err != nil {
		return false
	}
	copy(a.signature[:], s)
	return true
}

// parseDate takes yyyymmddThhmmssZ and nothing else.
func (a *auth) parseDate(s string) bool {
	if len(s) != len(isoBasic) {
		return false
	}
	t, err := time.Parse(isoBasic, s)
	a.date, a.dateText = t, s
	return err == nil
}

// checkScope compares the scope with the request's date and with what the Verifier serves.
func (v *Verifier) checkScope(a *auth) *Error {
	fail := headerMalformed
	if a.form == formQuery {
		fail = func(detail string) *Error {
			return queryMalformed("Error parsing the X-Amz-Credential parameter; "+detail, argCredential)
		}
	}
	if a.service != v.cfg.Service {
		return fail("incorrect service " + strconv.Quote(a.service) + ". This endpoint belongs to " + strconv.Quote(v.cfg.Service) + ".")
	}
	if a.day != a.dateText[:8] {
		return fail("Invalid credential date " + strconv.Quote(a.day) + ". This date is not the same as X-Amz-Date: " + strconv.Quote(a.dateText[:8]) + ".")
	}
	if len(v.cfg.Regions) > 0 && !slices.Contains(v.cfg.Regions, a.region) {
		e := fail("the region '" + a.region + "' is wrong; expecting '" + v.cfg.Regions[0] + "'")
		e.Region = v.cfg.Regions[0]
		return e
	}
	return nil
}

// checkTime refuses what was signed too long ago, or too far ahead.
func (v *Verifier) checkTime(a *auth) *Error {
	age := v.cfg.Now().Sub(a.date)
	if a.form == formHeader {
		if age > v.cfg.MaxSkew || age < -v.cfg.MaxSkew {
			return skewed()
		}
		return nil
	}
	if age < -v.cfg.MaxSkew {
		return accessDenied(msgNotYet)
	}
	if age > a.expires {
		return accessDenied(msgExpired)
	}
	return nil
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// graphic reports whether s is printable ASCII without spaces.
func graphic(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// headerToken reports whether s is a header name (RFC 9110, 5.6.2) in lower case.
func headerToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' || !unreserved(c) && !strings.ContainsRune("!#$%&'*+^`|", rune(c)) {
			return false
		}
	}
	return s != ""
}
