package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	isoBasic   = "20060102T150405Z"

	argAlgorithm  = "X-Amz-Algorithm"
	argCredential = "X-Amz-Credential"
	argDate       = "X-Amz-Date"
	argExpires    = "X-Amz-Expires"
	argHeaders    = "X-Amz-SignedHeaders"
	argSignature  = "X-Amz-Signature"
	argToken      = "X-Amz-Security-Token"
	argSHA256     = "X-Amz-Content-Sha256"
)

type form uint8

const (
	formNone form = iota
	formHeader
	formQuery
)

// auth is the authentication of a request, parsed but not yet verified.
type auth struct {
	form      form
	accessKey string
	day       string // yyyymmdd of the scope
	region    string
	service   string
	scope     string // day/region/service/aws4_request
	signed    []string
	signature [64]byte // hex
	date      time.Time
	dateText  string // date as it enters the string to sign
	expires   time.Duration
	token     string
}

// once are the headers of which a second one would leave open which of the two was meant.
var once = [...]string{
	"Authorization", "X-Amz-Date", "Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token",
	"X-Amz-Decoded-Content-Length", "Content-Length", "Content-Md5",
}

// findAuth parses whichever authentication the request has. Parts of one are an error and never
// "none": a request must not become anonymous by a slip.
func findAuth(r *http.Request, query []param) (auth, *Error) {
	for _, name := range once {
		if len(r.Header[name]) > 1 {
			e := invalidRequest("The request has more than one " + name + " header.")
			e.Header = name
			return auth{}, e
		}
	}
	args, inQuery, err := authArgs(query)
	if err != nil {
		return auth{}, err
	}
	header, inHeader := r.Header["Authorization"]
	switch {
	case inHeader && inQuery:
		return auth{}, invalidArgument(msgTwoMechanisms, "Authorization")
	case inHeader:
		return headerAuth(r, header[0])
	case inQuery:
		return queryAuth(&args)
	}
	return auth{}, nil
}

// arguments are those of query authentication.
type arguments struct{ algorithm, credential, date, expires, headers, signature, token *string }

// authArgs collects them, each at most once and in its exact spelling.
func authArgs(query []param) (a arguments, found bool, _ *Error) {
	for i := range query {
		p := &query[i]
		var at **string
		switch {
		case p.name == "AWSAccessKeyId" || p.name == "Signature":
			return a, true, invalidRequest(msgSignatureV2)
		case len(p.name) < len(argDate) || !strings.EqualFold(p.name[:6], "X-Amz-"):
			continue
		case strings.EqualFold(p.name, argAlgorithm):
			at = &a.algorithm
		case strings.EqualFold(p.name, argCredential):
			at = &a.credential
		case strings.EqualFold(p.name, argDate):
			at = &a.date
		case strings.EqualFold(p.name, argExpires):
			at = &a.expires
		case strings.EqualFold(p.name, argHeaders):
			at = &a.headers
		case strings.EqualFold(p.name, argSignature):
			at = &a.signature
		case strings.EqualFold(p.name, argToken):
			at = &a.token
		default:
			continue
		}
		found = true
		if *at != nil || !exactArg(p.name) {
			return a, true, queryMalformed("The query has an authentication parameter twice, or not in its documented spelling.", p.name)
		}
		*at = &p.value
	}
	return a, found, nil
}

func exactArg(name string) bool {
	switch name {
	case argAlgorithm, argCredential, argDate, argExpires, argHeaders, argSignature, argToken:
		return true
	}
	return false
}

// headerAuth parses "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…" and the date.
func headerAuth(r *http.Request, value string) (auth, *Error) {
	a := auth{form: formHeader}
	kind, rest, _ := strings.Cut(value, " ")
	switch {
	case kind == algorithm:
	case kind == "AWS":
		return a, invalidRequest(msgSignatureV2)
	case strings.HasPrefix(kind, "AWS4-ECDSA-P256-SHA256"):
		return a, notBuilt("Signature Version 4A is not implemented.")
	default:
		return a, invalidArgument(msgUnsupported, "Authorization")
	}
	var credential, headers, signature string
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		name, val, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		at := &credential
		switch name {
		case "Credential":
		case "SignedHeaders":
			at = &headers
		case "Signature":
			at = &signature
		default:
			ok = false
		}
		if !ok || *at != "" || val == "" {
			return a, headerMalformed("it must have Credential, SignedHeaders and Signature, each once, separated by commas.")
		}
		*at = val
	}
	if credential == "" || headers == "" || signature == "" {
		return a, headerMalformed("it must have Credential, SignedHeaders and Signature, each once, separated by commas.")
	}
	if !a.parseCredential(credential) {
		return a, headerMalformed(msgCredential)
	}
	if !a.parseSigned(headers) {
		return a, headerMalformed("the SignedHeaders are mal-formed; expecting lower-case names in order, separated by semicolons, with host among them.")
	}
	if !a.parseSignature(signature) {
		return a, headerMalformed("the Signature is mal-formed; expecting 64 hexadecimal digits.")
	}
	a.token = r.Header.Get("X-Amz-Security-Token")
	if len(a.token) > maxTokenLen {
		return a, invalidToken()
	}
	return a, a.headerDate(r)
}

// headerDate takes x-amz-date, or Date where there is none.
func (a *auth) headerDate(r *http.Request) *Error {
	if v, ok := r.Header["X-Amz-Date"]; ok {
		if !a.parseDate(v[0]) {
			return accessDenied(msgNoDate)
		}
		return nil
	}
	v := r.Header.Get("Date")
	if a.parseDate(v) {
		return nil
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return accessDenied(msgNoDate)
	}
	a.date = t.UTC()
	a.dateText = a.date.Format(isoBasic)
	return nil
}

// queryAuth parses the arguments of a presigned request.
func queryAuth(q *arguments) (auth, *Error) {
	a := auth{form: formQuery}
	if q.algorithm == nil || q.credential == nil || q.signature == nil || q.date == nil || q.headers == nil || q.expires == nil {
		return a, queryMalformed(msgMissingQuery, "")
	}
	switch *q.algorithm {
	case algorithm:
	case "AWS4-ECDSA-P256-SHA256":
		return a, notBuilt("Signature Version 4A is not implemented.")
	default:
		return a, queryMalformed(msgQueryAlgo, argAlgorithm)
	}
	if !a.parseCredential(*q.credential) {
		return a, queryMalformed("Error parsing the X-Amz-Credential parameter; "+msgCredential, argCredential)
	}
	if !a.parseDate(*q.date) {
		return a, queryMalformed(msgQueryDate, argDate)
	}
	seconds, err := strconv.ParseInt(*q.expires, 10, 64)
	switch {
	case err != nil || (*q.expires)[0] == '+':
		return a, queryMalformed(msgExpiresNumber, argExpires)
	case seconds < 1:
		return a, queryMalformed(msgExpiresSign, argExpires)
	case seconds > maxExpires:
		return a, queryMalformed(msgExpiresWeek, argExpires)
	}
	a.expires = time.Duration(seconds) * time.Second
	if !a.parseSigned(*q.headers) {
		return a, queryMalformed("X-Amz-SignedHeaders must be lower-case names in order, separated by semicolons, with host among them", argHeaders)
	}
	if !a.parseSignature(*q.signature) {
		return a, queryMalformed("X-Amz-Signature must be 64 hexadecimal digits", argSignature)
	}
	if q.token != nil {
		if a.token = *q.token; len(a.token) > maxTokenLen {
			return a, invalidToken()
		}
	}
	return a, nil
}

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
