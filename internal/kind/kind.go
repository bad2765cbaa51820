// Package kind gives errors a number that survives every hop between packages and, later,
// between nodes. The numbers never change and are never used again; package api/s3 alone
// turns them into HTTP.
package kind

import (
	"errors"
	"fmt"
)

// Kind says what went wrong, in the terms of the storage system.
type Kind uint16

// The kinds. Append only; the numbers are wire format.
const (
	// Unknown is an error without a kind: a bug or a fault of the machine.
	Unknown Kind = 0

	// Unavailable: not now (no leader, too few drives, overload); the same call may work later.
	Unavailable Kind = 1
	// NotLeader: ask another replica. Never leaves package meta.
	NotLeader Kind = 2
	// Unbuilt: a documented operation that this version of Holdfast does not have.
	Unbuilt Kind = 3
	// Timeout: a deadline passed; what was asked may or may not have happened.
	Timeout Kind = 4
	// Full: too little free space on too many drives.
	Full Kind = 5
	// Damaged: stored bytes failed their checksum and could not be rebuilt.
	Damaged Kind = 6
	// NotFound: a shard, record or drive is not there (internal; S3 kinds are below).
	NotFound Kind = 7
	// Conflict: a concurrent change got in between; read again and decide anew.
	Conflict Kind = 8
	// Canceled: the caller went away.
	Canceled Kind = 9
	// Exists: what was to be made is there already.
	Exists Kind = 10

	// NoSuchBucket and those below are what a client of the S3 API can cause.
	NoSuchBucket        Kind = 100
	BucketExists        Kind = 101
	BucketOwnedByYou    Kind = 102
	BucketNotEmpty      Kind = 103
	InvalidBucketName   Kind = 104
	NoSuchKey           Kind = 105
	NoSuchVersion       Kind = 106
	NoSuchUpload        Kind = 107
	KeyTooLong          Kind = 108
	InvalidArgument     Kind = 109
	InvalidRequest      Kind = 110
	PreconditionFailed  Kind = 111
	NotModified         Kind = 112
	InvalidRange        Kind = 113
	InvalidPart         Kind = 114
	InvalidPartOrder    Kind = 115
	EntityTooSmall      Kind = 116
	EntityTooLarge      Kind = 117
	IncompleteBody      Kind = 118
	BadDigest           Kind = 119 // Content-MD5 or a flexible checksum differs from the body
	InvalidDigest       Kind = 120
	ContentSHA256       Kind = 121 // x-amz-content-sha256 differs from the body
	SignatureMismatch   Kind = 122
	AccessDenied        Kind = 123
	MetadataTooLarge    Kind = 124
	ConditionalConflict Kind = 125 // 409 ConditionalRequestConflict
	InvalidPartNumber   Kind = 126
	MalformedTrailer    Kind = 127
	TooManyBuckets      Kind = 128
	MethodNotAllowed    Kind = 129 // a delete marker addressed by version
	NoSuchKeyCondition  Kind = 130 // If-Match on a key that does not exist: 404 NoSuchKey

	// InvalidAccessKeyID and those below come from request authentication (api/sigv4).
	InvalidAccessKeyID      Kind = 140
	TimeTooSkewed           Kind = 141
	AuthHeaderMalformed     Kind = 142
	AuthQueryMalformed      Kind = 143 // AuthorizationQueryParametersError
	InvalidToken            Kind = 145 // session token
	SignatureNotImplemented Kind = 148 // a form of SigV4 that is documented but not built (SigV4A)
	ExpiredToken            Kind = 149 // session token

	// SSECAlgorithm and those below are the rows of the SSE-C error table.
	SSECAlgorithm         Kind = 200 // algorithm is not AES256
	SSECAlgorithmMissing  Kind = 201
	SSECKeyMissing        Kind = 202
	SSECMD5Missing        Kind = 203
	SSECKeyInvalid        Kind = 204 // not base64, or not 32 bytes
	SSECMD5Mismatch       Kind = 205
	SSECWrongKey          Kind = 206
	SSECRequired          Kind = 207 // no headers on an SSE-C object
	SSECNotApplicable     Kind = 208 // headers on a plain object
	SSECIncompatible      Kind = 209 // together with SSE-S3 or SSE-KMS
	SSECPartRequired      Kind = 210 // part without headers, upload with; and the reverse
	SSECPartMismatch      Kind = 211 // part with another key than the upload's
	SSECInsecure          Kind = 212 // over plain HTTP
	SSECBlocked           Kind = 213 // blocked by the bucket
	SSECMisspelledHeaders Kind = 214 // the short copy-source header names

	// MalformedXML and those below are raised by api/s3 itself, for requests that never reach
	// the engine.
	MalformedXML         Kind = 300
	InvalidURI           Kind = 301 // the path or the query is not percent-encoded UTF-8
	MissingContentLength Kind = 302
	InvalidLocation      Kind = 303 // a location constraint that is not ours
	InvalidTag           Kind = 304
	ACLNotSupported      Kind = 305
	BucketACLNotAllowed  Kind = 306 // an ACL for a bucket whose owner owns all of it
	RequestTimeout       Kind = 307 // the client stopped sending
	InvalidStorageClass  Kind = 308
	PreflightForbidden   Kind = 309 // CORS is not enabled for the bucket
	HeadersTooLarge      Kind = 310

	// MalformedACL and those below come from the documents of a bucket's settings (bucket/...) and
	// from buckets and objects that have none.
	MalformedACL           Kind = 320
	BadRequest             Kind = 321
	InvalidRetentionPeriod Kind = 322
	InvalidBucketState     Kind = 323 // object lock and versioning that contradict each other
	UnresolvableGrant      Kind = 324 // a grant to an e-mail address that nobody has
	NoCORS                 Kind = 325
	NoTagSet               Kind = 326
	NoLifecycle            Kind = 327
	NoBucketLock           Kind = 328
	NoObjectLock           Kind = 329
	NoOwnershipControls    Kind = 330
	NoPublicAccessBlock    Kind = 331
	NoBucketEncryption     Kind = 332
	NoReplication          Kind = 333
	NoBucketPolicy         Kind = 334
	IllegalVersioning      Kind = 335
	QuotaExceeded          Kind = 338 // the bucket's quota
	UnexpectedContent      Kind = 336 // a body where headers say all
	MissingSecurityHeader  Kind = 337 // neither a body nor headers
	MalformedPolicy        Kind = 339 // the message says what is wrong with it
)

// Error carries a kind, a sentence for people, and what caused it. Neither may name a key.
type Error struct {
	Kind    Kind
	Message string
	Err     error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind.
func New(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives err a kind and a sentence.
func Wrap(k Kind, err error, format string, args ...any) error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...), Err: err}
}

// Of is the kind of the outermost Error in err's chain, or Unknown.
func Of(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unknown
}

// Is reports whether err has kind k.
func Is(err error, k Kind) bool { return err != nil && Of(err) == k }
