package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// PayloadKind says how a body is framed and authenticated.
type PayloadKind uint8

// The kinds of x-amz-content-sha256.
const (
	// Unsigned: plain bytes; TLS alone vouches for them.
	Unsigned PayloadKind = iota
	// SignedSHA256: plain bytes, whose SHA-256 was signed.
	SignedSHA256
	// StreamingSigned: aws-chunked, each chunk signed.
	StreamingSigned
	// StreamingSignedTrailer: the same with signed trailers.
	StreamingSignedTrailer
	// StreamingUnsignedTrailer: aws-chunked with trailers, without signatures.
	StreamingUnsignedTrailer
)

// The values of x-amz-content-sha256 besides a hash.
const (
	UnsignedPayload      = "UNSIGNED-PAYLOAD"
	StreamingPayload     = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingTrailer     = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsigned    = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	EmptySHA256          = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	streamingECDSA       = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
	checksumPrefix       = "x-amz-checksum-"
	trailerSignatureName = "x-amz-trailer-signature"
)

// Chunked reports whether the body is aws-chunked.
func (k PayloadKind) Chunked() bool { return k >= StreamingSigned }

// HasTrailers reports whether trailers may follow the body.
func (k PayloadKind) HasTrailers() bool { return k >= StreamingSignedTrailer }

// Payload is what a request says of its body.
type Payload struct {
	Kind          PayloadKind
	SHA256        string   // hex, for SignedSHA256
	Trailers      []string // lower-case names that x-amz-trailer declares; all are x-amz-checksum-*
	DecodedLength int64    // bytes of the plain body; -1 when the request does not say

	hash string // what enters the canonical request
}

// parsePayload reads x-amz-content-sha256 (for a presigned request from the query as well),
// x-amz-decoded-content-length and x-amz-trailer. a is nil for an anonymous request.
func parsePayload(r *http.Request, a *auth, query []param) (Payload, *Error) {
	p := Payload{DecodedLength: r.ContentLength, hash: r.Header.Get("X-Amz-Content-Sha256")}
	if a != nil && a.form == formQuery {
		if err := p.presigned(query); err != nil {
			return p, err
		}
	}
	switch {
	case p.hash == UnsignedPayload, p.hash == "" && a == nil:
		p.Kind = Unsigned
	case p.hash == "":
		return p, invalidRequest(msgNoSHA256)
	case p.hash == StreamingPayload:
		p.Kind = StreamingSigned
	case p.hash == StreamingTrailer:
		p.Kind = StreamingSignedTrailer
	case p.hash == StreamingUnsigned:
		p.Kind = StreamingUnsignedTrailer
	case strings.HasPrefix(p.hash, streamingECDSA):
		return p, notBuilt("Signature Version 4A is not implemented.")
	default:
		if raw, err := hex.DecodeString(p.hash); err != nil || len(raw) != 32 {
			return p, invalidArgument(msgBadSHA256, "x-amz-content-sha256")
		}
		p.Kind, p.SHA256 = SignedSHA256, p.hash
	}
	if p.Kind == StreamingSigned || p.Kind == StreamingSignedTrailer {
		if a == nil || a.form == formQuery {
			return p, invalidRequest("A body with signed chunks needs a signature in the Authorization header.")
		}
	}
	if err := p.trailers(r); err != nil {
		return p, err
	}
	return p, p.decodedLength(r)
}

// presigned takes the hash from the query when it is there; UNSIGNED-PAYLOAD is the default.
func (p *Payload) presigned(query []param) *Error {
	header, found := p.hash, false
	for i := range query {
		if !strings.EqualFold(query[i].name, argSHA256) {
			continue
		}
		if found || header != "" && header != query[i].value {
			return queryMalformed("X-Amz-Content-Sha256 is there twice", argSHA256)
		}
		found = true
		p.hash = query[i].value
	}
	if p.hash == "" {
		p.hash = UnsignedPayload
	}
	return nil
}

// trailers reads the declared names. A declaration that nothing would check is refused.
func (p *Payload) trailers(r *http.Request) *Error {
	declared := r.Header["X-Amz-Trailer"]
	if len(declared) == 0 {
		return nil
	}
	if !p.Kind.HasTrailers() {
		e := invalidRequest("x-amz-trailer needs an x-amz-content-sha256 header that announces trailers.")
		e.Header = "x-amz-trailer"
		return e
	}
	for _, line := range declared {
		for more := true; more; {
			var name string
			name, line, more = strings.Cut(line, ",")
			name = strings.ToLower(strings.Trim(name, " \t"))
			if !strings.HasPrefix(name, checksumPrefix) || !headerToken(name) ||
				slices.Contains(p.Trailers, name) || len(p.Trailers) == maxTrailers {
				e := invalidRequest("The value specified in the x-amz-trailer header is not supported")
				e.Header = "x-amz-trailer"
				return e
			}
			p.Trailers = append(p.Trailers, name)
		}
	}
	return nil
}

func (p *Payload) decodedLength(r *http.Request) *Error {
	if !p.Kind.Chunked() {
		return nil
	}
	v := r.Header.Get("X-Amz-Decoded-Content-Length")
	if v == "" {
		return missingLength()
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || !digits(v) {
		return invalidArgument("x-amz-decoded-content-length must be a number of bytes.", "x-amz-decoded-content-length")
	}
	if r.ContentLength >= 0 && r.ContentLength < n {
		return incomplete(msgWrongLength, nil)
	}
	p.DecodedLength = n
	return nil
}
