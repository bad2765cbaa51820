package s3

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"holdfast/api/sigv4"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/seal/kms"
)

// row is what an error kind is in S3. With own set, the sentence of the error itself is shown
// and message stands in when there is none.
type row struct {
	code    string
	status  int
	message string
	own     bool
}

// statusGone is logged, never sent: the client went away before its answer.
const statusGone = 499

const (
	msgInternal    = "We encountered an internal error. Please try again."
	msgUnavailable = "Please reduce your request rate."
	msgPartSSEC    = "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."
)

// table is the one place where an error gets its HTTP face. The sentences are AWS's.
var table = map[kind.Kind]row{
	kind.Unknown:     {code: "InternalError", status: 500, message: msgInternal},
	kind.Unavailable: {code: "SlowDown", status: 503, message: msgUnavailable},
	kind.NotLeader:   {code: "SlowDown", status: 503, message: msgUnavailable},
	kind.Unbuilt:     {code: "NotImplemented", status: 501, message: "A header you provided implies functionality that is not implemented.", own: true},
	kind.Timeout:     {code: "ServiceUnavailable", status: 503, message: "The request did not finish in time; it may or may not have taken effect."},
	kind.Full:        {code: "InsufficientStorage", status: 507, message: "There is not enough free space for this request."},
	kind.Damaged:     {code: "InternalError", status: 500, message: msgInternal},
	kind.NotFound:    {code: "InternalError", status: 500, message: msgInternal},
	kind.Conflict:    {code: "OperationAborted", status: 409, message: "A conflicting conditional operation is currently in progress against this resource. Please try again."},
	kind.Exists:      {code: "EntityAlreadyExists", status: 409, message: "What was to be made exists already."},
	kind.Canceled:    {code: "ClientClosedRequest", status: statusGone, message: "The client went away."},

	kind.NoSuchBucket:        {code: "NoSuchBucket", status: 404, message: "The specified bucket does not exist"},
	kind.BucketExists:        {code: "BucketAlreadyExists", status: 409, message: "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	kind.BucketOwnedByYou:    {code: "BucketAlreadyOwnedByYou", status: 409, message: "Your previous request to create the named bucket succeeded and you already own it."},
	kind.BucketNotEmpty:      {code: "BucketNotEmpty", status: 409, message: "The bucket you tried to delete is not empty"},
	kind.InvalidBucketName:   {code: "InvalidBucketName", status: 400, message: "The specified bucket is not valid."},
	kind.NoSuchKey:           {code: "NoSuchKey", status: 404, message: "The specified key does not exist."},
	kind.NoSuchVersion:       {code: "NoSuchVersion", status: 404, message: "The specified version does not exist."},
	kind.NoSuchUpload:        {code: "NoSuchUpload", status: 404, message: "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	kind.KeyTooLong:          {code: "KeyTooLongError", status: 400, message: "Your key is too long"},
	kind.InvalidArgument:     {code: "InvalidArgument", status: 400, message: "Invalid Argument", own: true},
	kind.InvalidRequest:      {code: "InvalidRequest", status: 400, message: "Invalid Request", own: true},
	kind.PreconditionFailed:  {code: "PreconditionFailed", status: 412, message: "At least one of the pre-conditions you specified did not hold"},
	kind.NotModified:         {code: "NotModified", status: 304},
	kind.InvalidRange:        {code: "InvalidRange", status: 416, message: "The requested range is not satisfiable"},
	kind.InvalidPart:         {code: "InvalidPart", status: 400, message: "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.", own: true},
	kind.InvalidPartOrder:    {code: "InvalidPartOrder", status: 400, message: "The list of parts was not in ascending order. Parts must be ordered by part number."},
	kind.EntityTooSmall:      {code: "EntityTooSmall", status: 400, message: "Your proposed upload is smaller than the minimum allowed size"},
	kind.EntityTooLarge:      {code: "EntityTooLarge", status: 400, message: "Your proposed upload exceeds the maximum allowed size"},
	kind.IncompleteBody:      {code: "IncompleteBody", status: 400, message: "You did not provide the number of bytes specified by the Content-Length HTTP header.", own: true},
	kind.BadDigest:           {code: "BadDigest", status: 400, message: "The Content-MD5 or checksum value that you specified did not match what the server received.", own: true},
	kind.InvalidDigest:       {code: "InvalidDigest", status: 400, message: "The Content-MD5 you specified was invalid."},
	kind.ContentSHA256:       {code: "XAmzContentSHA256Mismatch", status: 400, message: "The provided 'x-amz-content-sha256' header does not match what was computed."},
	kind.SignatureMismatch:   {code: "SignatureDoesNotMatch", status: 403, message: msgSignature},
	kind.AccessDenied:        {code: "AccessDenied", status: 403, message: "Access Denied", own: true},
	kind.MetadataTooLarge:    {code: "MetadataTooLarge", status: 400, message: "Your metadata headers exceed the maximum allowed metadata size"},
	kind.ConditionalConflict: {code: "ConditionalRequestConflict", status: 409, message: "The conditional request cannot succeed due to a conflicting operation against this resource."},
	kind.InvalidPartNumber:   {code: "InvalidPartNumber", status: 416, message: "The requested partnumber is not satisfiable"},
	kind.MalformedTrailer:    {code: "MalformedTrailerError", status: 400, message: "The request contained trailing data that was not well-formed or did not conform to our published schema.", own: true},
	kind.TooManyBuckets:      {code: "TooManyBuckets", status: 400, message: "You have attempted to create more buckets than allowed"},
	kind.MethodNotAllowed:    {code: "MethodNotAllowed", status: 405, message: "The specified method is not allowed against this resource."},
	kind.NoSuchKeyCondition:  {code: "NoSuchKey", status: 404, message: "The specified key does not exist."},

	// An unknown access key and a bad signature get one answer: to tell them apart would tell which
	// keys exist. The log has the difference.
	kind.InvalidAccessKeyID:      {code: "SignatureDoesNotMatch", status: 403, message: msgSignature},
	kind.TimeTooSkewed:           {code: "RequestTimeTooSkewed", status: 403, message: "The difference between the request time and the current time is too large."},
	kind.AuthHeaderMalformed:     {code: "AuthorizationHeaderMalformed", status: 400, message: "The authorization header that you provided is not valid.", own: true},
	kind.AuthQueryMalformed:      {code: "AuthorizationQueryParametersError", status: 400, message: "The authorization query parameters that you provided are not valid.", own: true},
	kind.InvalidToken:            {code: "InvalidToken", status: 400, message: "The provided token is malformed or otherwise invalid."},
	kind.ExpiredToken:            {code: "ExpiredToken", status: 400, message: "The provided token has expired."},
	kind.SignatureNotImplemented: {code: "NotImplemented", status: 501, message: "This form of signature is not implemented.", own: true},

	kind.SSECAlgorithm:         {code: "InvalidEncryptionAlgorithmError", status: 400, message: "The Encryption request you specified is not valid. Supported value: AES256."},
	kind.SSECAlgorithmMissing:  {code: "InvalidArgument", status: 400, message: "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."},
	kind.SSECKeyMissing:        {code: "InvalidArgument", status: 400, message: "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."},
	kind.SSECMD5Missing:        {code: "InvalidArgument", status: 400, message: "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key."},
	kind.SSECKeyInvalid:        {code: "InvalidArgument", status: 400, message: "The secret key was invalid for the specified algorithm."},
	kind.SSECMD5Mismatch:       {code: "InvalidArgument", status: 400, message: "The calculated MD5 hash of the key did not match the hash that was provided."},
	kind.SSECWrongKey:          {code: "AccessDenied", status: 403, message: "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."},
	kind.SSECRequired:          {code: "InvalidRequest", status: 400, message: "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."},
	kind.SSECNotApplicable:     {code: "InvalidRequest", status: 400, message: "The encryption parameters are not applicable to this object."},
	kind.SSECIncompatible:      {code: "InvalidArgument", status: 400, message: "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"},
	kind.SSECPartRequired:      {code: "InvalidRequest", status: 400, message: msgPartSSEC},
	kind.SSECPartMismatch:      {code: "InvalidRequest", status: 400, message: "The provided encryption parameters did not match the ones used originally."},
	kind.SSECInsecure:          {code: "InvalidRequest", status: 400, message: "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."},
	kind.SSECBlocked:           {code: "AccessDenied", status: 403, message: "This bucket blocks uploads with Server Side Encryption with Customer provided keys (SSE-C)."},
	kind.SSECMisspelledHeaders: {code: "InvalidArgument", status: 400, message: "The headers of a copy source's key begin with x-amz-copy-source-server-side-encryption-customer-.", own: true},

	kind.MalformedXML:         {code: "MalformedXML", status: 400, message: "The XML you provided was not well-formed or did not validate against our published schema"},
	kind.InvalidURI:           {code: "InvalidURI", status: 400, message: "Couldn't parse the specified URI."},
	kind.MissingContentLength: {code: "MissingContentLength", status: 411, message: "You must provide the Content-Length HTTP header."},
	kind.InvalidLocation:      {code: "InvalidLocationConstraint", status: 400, message: "The specified location-constraint is not valid"},
	kind.InvalidTag:           {code: "InvalidTag", status: 400, message: "The tag provided was not a valid tag.", own: true},
	kind.ACLNotSupported:      {code: "AccessControlListNotSupported", status: 400, message: "The bucket does not allow ACLs"},
	kind.BucketACLNotAllowed:  {code: "InvalidBucketAclWithObjectOwnership", status: 400, message: "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"},
	kind.RequestTimeout:       {code: "RequestTimeout", status: 400, message: "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."},
	kind.InvalidStorageClass:  {code: "InvalidStorageClass", status: 400, message: "The storage class you specified is not valid"},
	kind.PreflightForbidden:   {code: "AccessForbidden", status: 403, message: "CORSResponse: CORS is not enabled for this bucket.", own: true},
	kind.HeadersTooLarge:      {code: "RequestHeaderSectionTooLarge", status: 400, message: "Your request header and query parameters used to make the request exceed the maximum allowed size."},

	kind.MalformedACL:           {code: "MalformedACLError", status: 400, message: "The XML you provided was not well-formed or did not validate against our published schema"},
	kind.BadRequest:             {code: "BadRequest", status: 400, message: "Bad Request", own: true},
	kind.InvalidRetentionPeriod: {code: "InvalidRetentionPeriod", status: 400, message: "Default retention period must be a positive integer value.", own: true},
	kind.InvalidBucketState:     {code: "InvalidBucketState", status: 409, message: "The request is not valid with the current state of the bucket.", own: true},
	kind.UnresolvableGrant:      {code: "UnresolvableGrantByEmailAddress", status: 400, message: "The email address you provided does not match any account on record."},
	kind.NoCORS:                 {code: "NoSuchCORSConfiguration", status: 404, message: "The CORS configuration does not exist"},
	kind.NoTagSet:               {code: "NoSuchTagSet", status: 404, message: "The TagSet does not exist"},
	kind.NoLifecycle:            {code: "NoSuchLifecycleConfiguration", status: 404, message: "The lifecycle configuration does not exist"},
	kind.NoBucketLock:           {code: "ObjectLockConfigurationNotFoundError", status: 404, message: "Object Lock configuration does not exist for this bucket"},
	kind.NoObjectLock:           {code: "NoSuchObjectLockConfiguration", status: 404, message: "The specified object does not have a ObjectLock configuration"},
	kind.NoOwnershipControls:    {code: "OwnershipControlsNotFoundError", status: 404, message: "The bucket ownership controls were not found"},
	kind.NoPublicAccessBlock:    {code: "NoSuchPublicAccessBlockConfiguration", status: 404, message: "The public access block configuration was not found"},
	kind.NoBucketEncryption:     {code: "ServerSideEncryptionConfigurationNotFoundError", status: 404, message: "The server side encryption configuration was not found"},
	kind.NoReplication:          {code: "ReplicationConfigurationNotFoundError", status: 404, message: "The replication configuration was not found"},
	kind.NoBucketPolicy:         {code: "NoSuchBucketPolicy", status: 404, message: "The bucket policy does not exist"},
	kind.QuotaExceeded:          {code: "QuotaExceeded", status: 403, message: "The bucket's quota does not allow this request."},
	kind.MalformedPolicy:        {code: "MalformedPolicy", status: 400, message: "Policy has invalid resource", own: true},
	kind.IllegalVersioning:      {code: "IllegalVersioningConfigurationException", status: 400, message: "The Versioning element must be specified"},
	kind.UnexpectedContent:      {code: "UnexpectedContent", status: 400, message: "This request does not support content"},
	kind.MissingSecurityHeader:  {code: "MissingSecurityHeader", status: 400, message: "Your request was missing a required header"},
}

const msgSignature = "The request signature we calculated does not match the signature you provided. Check your key and signing method."

// answer finds the row of an error, with its sentence filled in.
func answer(err error) row {
	k := kind.Of(err)
	if k == kind.Unknown {
		switch {
		case errors.Is(err, context.Canceled):
			k = kind.Canceled
		case errors.Is(err, context.DeadlineExceeded):
			k = kind.Timeout
		}
	}
	r, ok := table[k]
	if !ok {
		r = table[kind.Unknown]
	}
	if code := kms.CodeOf(err); code != "" {
		r.code = string(code)
	}
	if e := (*kind.Error)(nil); r.own && errors.As(err, &e) && e.Message != "" {
		r.message = e.Message
	}
	return r
}

// fail answers a request with an error. An answer that has begun cannot be taken back: then the
// connection is broken, so that the client sees a short body.
func (c *call) fail(err error) {
	r := answer(err)
	if c.w.broken != nil || c.ctx.Err() != nil && r.status >= http.StatusInternalServerError {
		// Whatever the engine made of it. A body that stalled cancels the context too, but has
		// its own error, and somebody to read it.
		err = kind.Wrap(kind.Canceled, err, "the client went away")
		r = answer(err)
	}
	c.err = err
	if c.w.begun || r.status == statusGone {
		c.w.status = statusOf(c.w, r)
		panic(http.ErrAbortHandler)
	}
	if r.status == http.StatusNotModified { // with the validators that the handler has set
		c.w.WriteHeader(r.status)
		return
	}
	c.w.dropObjectHeaders()
	for _, o := range c.explain {
		c.w.Header()[o.header] = []string{o.value}
	}
	switch r.status {
	case http.StatusServiceUnavailable:
		c.w.Header()["Retry-After"] = []string{"1"}
	case http.StatusMethodNotAllowed:
		c.w.Header()["Allow"] = []string{c.allow()}
	}
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	c.errorXML(x, r, err)
	c.sendXML(r.status, x)
}

// errorXML writes the document of an error.
func (c *call) errorXML(x *xmlio.Writer, r row, err error) {
	x.Open("Error")
	x.Elem("Code", r.code)
	x.Elem("Message", r.message)
	if e := (*sigv4.Error)(nil); errors.As(err, &e) && e.Region != "" {
		x.Elem("Region", e.Region) // clients sign again for the region named here
	}
	x.Elem("Resource", c.r.URL.Path)
	x.Elem("RequestId", c.id)
	x.Elem("HostId", c.s.cfg.HostID)
	x.Close("Error")
}

// allow is the Allow header of a 405: of a delete marker that was addressed by its version, or of
// a request that is no operation.
func (c *call) allow() string {
	if c.route != c.s.router.none {
		return del
	}
	return c.s.router.allowed(c)
}

// statusOf is what the log says of an answer that was broken off.
func statusOf(w *response, r row) int {
	if w.begun {
		return w.status
	}
	return r.status
}

// unbuilt refuses something documented that is not there yet, by its name.
func unbuilt(what string) error { return kind.New(kind.Unbuilt, "%s is not implemented yet", what) }

func badArgument(format string, args ...any) error {
	return kind.New(kind.InvalidArgument, format, args...)
}

func badRequest(format string, args ...any) error {
	return kind.New(kind.InvalidRequest, format, args...)
}

// plain is an error of a kind whose sentence the table has.
func plain(k kind.Kind) error { return &kind.Error{Kind: k, Message: table[k].message} }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
