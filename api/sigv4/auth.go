package sigv4

import (
	"net/http"
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
