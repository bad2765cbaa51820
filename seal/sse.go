package seal

import (
	"strings"

	"holdfast/internal/kind"
)

// The sentences of AWS S3, word for word: clients match on them.
const (
	msgMethod       = "The encryption method specified is not supported"
	msgNeedsKMS     = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
	msgIncompatible = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
	msgNotHere      = "x-amz-server-side-encryption header is not supported for this operation."
	msgBucketKey    = "The value of x-amz-server-side-encryption-bucket-key-enabled is true or false"
	msgTwice        = "A header of server-side encryption was given more than once."
)

// SSEHeaders are the values of a request's headers of managed encryption (or of the fields of a
// POST form); nil where there is none.
type SSEHeaders struct {
	Method    []string // x-amz-server-side-encryption
	KeyID     []string // x-amz-server-side-encryption-aws-kms-key-id
	Context   []string // x-amz-server-side-encryption-context
	BucketKey []string // x-amz-server-side-encryption-bucket-key-enabled
	Customer  bool     // the request has a header of SSE-C too
}

// SSE is how an object is to be encrypted by keys that the server keeps; the zero SSE is not at all.
type SSE struct {
	Method    Method
	KeyID     string // as the client or the bucket's configuration names it; "": the default key
	Context   Context
	BucketKey bool
}

// SSERequest is what a request says of it.
type SSERequest struct {
	Method    Method // 0: it says nothing, the bucket's default holds
	KeyID     string
	Context   Context
	BucketKey *bool // nil: as the bucket has it
}

func (h SSEHeaders) any() bool {
	return len(h.Method)+len(h.KeyID)+len(h.Context)+len(h.BucketKey) > 0
}

// Parse is for operations that make an object or an upload. Errors are kind.SSECIncompatible,
// kind.InvalidArgument with AWS's sentence, or kind.Unbuilt (aws:kms:dsse).
func (h SSEHeaders) Parse() (SSERequest, error) {
	switch {
	case !h.any():
		return SSERequest{}, nil
	case h.Customer:
		return SSERequest{}, kind.New(kind.SSECIncompatible, msgIncompatible)
	case len(h.Method) > 1 || len(h.KeyID) > 1 || len(h.Context) > 1 || len(h.BucketKey) > 1:
		return SSERequest{}, kind.New(kind.InvalidArgument, msgTwice)
	}
	r := SSERequest{KeyID: only(h.KeyID)}
	if len(h.Method) > 0 {
		var err error
		if r.Method, err = ParseMethod(h.Method[0]); err != nil {
			return SSERequest{}, err
		}
	}
	if r.Method != SSEKMS && (r.KeyID != "" || len(h.Context) > 0) {
		return SSERequest{}, kind.New(kind.InvalidArgument, msgNeedsKMS)
	}
	if len(h.Context) > 0 {
		var err error
		if r.Context, err = ParseContext(h.Context[0]); err != nil {
			return SSERequest{}, err
		}
	}
	if len(h.BucketKey) > 0 {
		on := strings.EqualFold(h.BucketKey[0], "true")
		if !on && !strings.EqualFold(h.BucketKey[0], "false") {
			return SSERequest{}, kind.New(kind.InvalidArgument, msgBucketKey)
		}
		r.BucketKey = &on
	}
	return r, nil
}

// Refuse is for operations that find the encryption of what is there, and take no headers of it:
// Get, Head, UploadPart, CompleteMultipartUpload (kind.InvalidArgument, kind.SSECIncompatible).
func (h SSEHeaders) Refuse() error {
	switch {
	case !h.any():
		return nil
	case h.Customer:
		return kind.New(kind.SSECIncompatible, msgIncompatible)
	}
	return kind.New(kind.InvalidArgument, msgNotHere)
}

// ParseMethod reads x-amz-server-side-encryption, or SSEAlgorithm of a bucket's configuration.
// Double encryption is kind.Unbuilt, all else that is not known kind.InvalidArgument.
func ParseMethod(text string) (Method, error) {
	switch text {
	case SSES3.Header():
		return SSES3, nil
	case SSEKMS.Header():
		return SSEKMS, nil
	case "aws:kms:dsse":
		return 0, kind.New(kind.Unbuilt, "Dual-layer server-side encryption (aws:kms:dsse) is not implemented")
	}
	return 0, kind.New(kind.InvalidArgument, msgMethod)
}

// Resolve joins a request with the default encryption of its bucket, by AWS's rules: what the
// request says wins; aws:kms without a key means the default key and not the bucket's; whether a
// bucket key is used is the bucket's word unless the request has one. It is not for requests with
// SSE-C, which wins over every default.
func (r SSERequest) Resolve(bucket SSE) SSE {
	out := SSE{Method: r.Method, KeyID: r.KeyID, Context: r.Context, BucketKey: bucket.BucketKey}
	if r.Method == 0 {
		out.Method, out.KeyID = bucket.Method, bucket.KeyID
	}
	if r.BucketKey != nil {
		out.BucketKey = *r.BucketKey
	}
	if out.Method != SSEKMS { // bucket keys spare calls of a KMS; AWS ignores them elsewhere
		out.BucketKey, out.KeyID = false, ""
	}
	return out
}

func only(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
