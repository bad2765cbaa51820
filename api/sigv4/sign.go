package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// neverSigned are headers that proxies and the HTTP library may change on the way.
var neverSigned = [...]string{
	"authorization", "user-agent", "accept-encoding", "connection", "expect", "te", "trailer",
	"transfer-encoding", "upgrade", "x-amzn-trace-id",
}

// Sign signs r in its headers: it sets X-Amz-Date, X-Amz-Content-Sha256, X-Amz-Security-Token and
// Authorization. payloadHash is the hex SHA-256 of the body or one of the constants. What it
// returns begins the chain of signatures of a streaming body (see NewChunkWriter).
//
// Keys with unusual characters need r.URL.Path to be the literal path; net/http encodes it in
// some other way on the wire, which the server undoes.
func Sign(r *http.Request, c Credentials, region, service string, now time.Time, payloadHash string) *Chain {
	date := now.UTC().Format(isoBasic)
	r.Header["X-Amz-Date"] = []string{date}
	r.Header["X-Amz-Content-Sha256"] = []string{payloadHash}
	if c.SessionToken != "" {
		r.Header["X-Amz-Security-Token"] = []string{c.SessionToken}
	}
	a := newAuth(formHeader, c, region, service, date)
	a.signed = signedHeaders(r.Header)
	chain := signWith(r, &a, c.SecretKey, payloadHash)
	r.Header["Authorization"] = []string{algorithm + " Credential=" + a.accessKey + "/" + a.scope +
		", SignedHeaders=" + strings.Join(a.signed, ";") + ", Signature=" + string(chain.prev[:])}
	return chain
}

// Presign returns the URL of r with a signature in the query that holds for the given time, at
// most seven days. Headers that r has must be sent with the URL as they are. r stays unchanged.
func Presign(r *http.Request, c Credentials, region, service string, now time.Time, expires time.Duration) *url.URL {
	date := now.UTC().Format(isoBasic)
	a := newAuth(formQuery, c, region, service, date)
	a.signed = signedHeaders(r.Header)
	u := *r.URL
	q := u.Query()
	q.Set(argAlgorithm, algorithm)
	q.Set(argCredential, a.accessKey+"/"+a.scope)
	q.Set(argDate, date)
	q.Set(argExpires, strconv.FormatInt(int64(expires/time.Second), 10))
	q.Set(argHeaders, strings.Join(a.signed, ";"))
	if c.SessionToken != "" {
		q.Set(argToken, c.SessionToken)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	signed := *r
	signed.URL = &u
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = UnsignedPayload
	}
	chain := signWith(&signed, &a, c.SecretKey, hash)
	u.RawQuery += "&" + argSignature + "=" + string(chain.prev[:])
	return &u
}

func newAuth(f form, c Credentials, region, service, date string) auth {
	if region == "" {
		region = "us-east-1"
	}
	if service == "" {
		service = "s3"
	}
	day := date[:8]
	return auth{
		form: f, accessKey: c.AccessKey, day: day, region: region, service: service, dateText: date,
		scope: day + "/" + region + "/" + service + "/" + terminator,
	}
}

func signWith(r *http.Request, a *auth, secret, payloadHash string) *Chain {
	key := deriveKey(secret, a.day, a.region, a.service)
	chain := &Chain{key: &key, date: a.dateText, scope: a.scope}
	s := scratchPool.Get().(*scratch)
	defer s.release()
	s.query, _ = parseQuery(s.query[:0], r.URL.RawQuery) // a faulty query is the server's to refuse
	if r.Host == "" {
		withHost := *r
		withHost.Host = r.URL.Host
		r = &withHost
	}
	s.buf = appendCanonical(s.buf[:0], r, a, s, payloadHash)
	s.buf = chain.sign(s.buf)
	return chain
}

// signedHeaders are host and all of h but neverSigned, in lower case and order.
func signedHeaders(h http.Header) []string {
	names := append(make([]string, 0, len(h)+1), "host")
	for name := range h {
		if name = strings.ToLower(name); !slices.Contains(neverSigned[:], name) && name != "host" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
