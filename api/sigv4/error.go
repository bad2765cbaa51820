package sigv4

import (
	"holdfast/internal/kind"
)

// Error says why a request was not authenticated, or its body not accepted. It never holds a
// secret, a signature that was computed here, or a value of a request header other than the
// parts of the credential scope.
type Error struct {
	Code    string    // S3 error code, as in the XML answer
	Kind    kind.Kind // the same, as a number
	Message string    // for the client; AWS's words where AWS documents them
	Region  string    // the region to sign for, when Code is about a wrong region
	Header  string    // the header or query argument it is about, where there is one

	err error // what the body's reader said
}

func (e *Error) Error() string {
	if e.err != nil {
		return "sigv4: " + e.Message + ": " + e.err.Error()
	}
	return "sigv4: " + e.Message
}

// Unwrap makes kind.Of see the kind, and errors.Is the cause.
func (e *Error) Unwrap() []error {
	k := &kind.Error{Kind: e.Kind, Message: e.Message}
	if e.err == nil {
		return []error{k}
	}
	return []error{k, e.err}
}

// The messages that AWS documents or that its servers send.
const (
	msgSignature     = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	msgAccessKey     = "The AWS Access Key Id you provided does not exist in our records."
	msgSkewed        = "The difference between the request time and the current time is too large."
	msgNoDate        = "AWS authentication requires a valid Date or x-amz-date header"
	msgNotSigned     = "There were headers present in the request which were not signed"
	msgExpired       = "Request has expired"
	msgNotYet        = "Request is not yet valid"
	msgTwoMechanisms = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
	msgSignatureV2   = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
	msgUnsupported   = "Unsupported Authorization Type"
	msgToken         = "The provided token is malformed or otherwise invalid."
	msgTokenExpired  = "The provided token has expired."
	msgMissingQuery  = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
	msgQueryAlgo     = "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\""
	msgQueryDate     = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
	msgExpiresNumber = "X-Amz-Expires should be a number"
	msgExpiresSign   = "X-Amz-Expires must be non-negative"
	msgExpiresWeek   = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"
	msgCredential    = "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."
	msgNoSHA256      = "Missing required header for this request: x-amz-content-sha256"
	msgBadSHA256     = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or a valid sha256 value."
	msgSHA256        = "The provided 'x-amz-content-sha256' header does not match what was computed."
	msgLength        = "You must provide the Content-Length HTTP header."
	msgIncomplete    = "The request body terminated unexpectedly"
	msgWrongLength   = "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header"
	msgTrailer       = "The request contained trailing data that was not well-formed or did not conform to our published schema."
	msgTimeout       = "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."
	msgURI           = "Couldn't parse the specified URI."
)

func accessDenied(msg string) *Error {
	return &Error{Code: "AccessDenied", Kind: kind.AccessDenied, Message: msg}
}

func signatureMismatch() *Error {
	return &Error{Code: "SignatureDoesNotMatch", Kind: kind.SignatureMismatch, Message: msgSignature}
}

func unknownKey() *Error {
	return &Error{Code: "InvalidAccessKeyId", Kind: kind.InvalidAccessKeyID, Message: msgAccessKey}
}

func skewed() *Error {
	return &Error{Code: "RequestTimeTooSkewed", Kind: kind.TimeTooSkewed, Message: msgSkewed}
}

func headerMalformed(detail string) *Error {
	return &Error{
		Code: "AuthorizationHeaderMalformed", Kind: kind.AuthHeaderMalformed,
		Message: "The authorization header is malformed; " + detail, Header: "Authorization",
	}
}

func queryMalformed(msg, arg string) *Error {
	return &Error{Code: "AuthorizationQueryParametersError", Kind: kind.AuthQueryMalformed, Message: msg, Header: arg}
}

func invalidRequest(msg string) *Error {
	return &Error{Code: "InvalidRequest", Kind: kind.InvalidRequest, Message: msg}
}

func invalidArgument(msg, header string) *Error {
	return &Error{Code: "InvalidArgument", Kind: kind.InvalidArgument, Message: msg, Header: header}
}

func invalidURI() *Error {
	return &Error{Code: "InvalidURI", Kind: kind.InvalidURI, Message: msgURI}
}

func missingLength() *Error {
	return &Error{Code: "MissingContentLength", Kind: kind.MissingContentLength, Message: msgLength}
}

func malformedTrailer() *Error {
	return &Error{Code: "MalformedTrailerError", Kind: kind.MalformedTrailer, Message: msgTrailer}
}

func incomplete(msg string, err error) *Error {
	return &Error{Code: "IncompleteBody", Kind: kind.IncompleteBody, Message: msg, err: err}
}

func invalidToken() *Error {
	return &Error{Code: "InvalidToken", Kind: kind.InvalidToken, Message: msgToken}
}

func expiredToken() *Error {
	return &Error{Code: "ExpiredToken", Kind: kind.ExpiredToken, Message: msgTokenExpired}
}

// InvalidToken is the Error for a Lookup whose session token is not one of ours, or not of this key.
func InvalidToken() error { return invalidToken() }

// ExpiredToken is the Error for one that was.
func ExpiredToken() error { return expiredToken() }

func notBuilt(msg string) *Error {
	return &Error{Code: "NotImplemented", Kind: kind.SignatureNotImplemented, Message: msg}
}
