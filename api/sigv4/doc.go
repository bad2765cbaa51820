// Package sigv4 authenticates S3 requests by AWS Signature Version 4, and signs them.
//
// Nouns:
//
//   - Verifier: checks the signature of a request, in headers or in the query (presigned).
//   - Identity: who signed the request, and when; or nobody (Anonymous).
//   - Payload: how the body is framed and what authenticates it.
//   - Body: a reader of the plain object bytes, which undoes the aws-chunked framing.
//   - Chain: the signatures of the chunks of a body, each signed over the one before.
//
// Invariants:
//
//   - The package is pure: it reads no clock, no environment and no network but the request's body.
//   - What is signed is what is used. The path is signed as it was decoded (r.URL.Path), never
//     normalised: `..`, `//` and `%2F` mean the same bytes to the signature and to the caller.
//     The query is parsed once by the rules of net/url, and a query that net/url would read in
//     part only is refused.
//   - Every x-amz-* header of a signed request is among its signed headers; a second Authorization,
//     x-amz-date, x-amz-content-sha256 … header or authentication argument is refused, and so are
//     two ways of authentication in one request.
//   - An unknown access key costs the same work as a bad signature, and both are a 403. The codes
//     differ as on AWS (InvalidAccessKeyId, SignatureDoesNotMatch): access key IDs are no secret,
//     and clients tell their users by the code which of the two to correct.
//   - The Read that would deliver the last byte of a body delivers it only after everything was
//     checked: the SHA-256, the last chunk's signature, the trailers and that nothing follows. So
//     a caller who reads exactly DecodedLength bytes and never looks for io.EOF is safe too. An
//     empty body is checked by Verifier.Body itself.
//   - A body never yields more than DecodedLength bytes, and memory does not grow with it.
//
// # The chunked body
//
// A body of one of the STREAMING- kinds is framed so (signed kinds have the extension):
//
//	chunk    = hex-size [";chunk-signature=" 64 hex] CRLF data CRLF
//	last     = "0"      [";chunk-signature=" 64 hex] CRLF
//	trailer  = name ":" value (CRLF / LF)
//	body     = *chunk last CRLF                                        without trailers
//	body     = *chunk last *trailer CRLF [CRLF]                        unsigned trailers
//	body     = *chunk last *trailer [CRLF] "x-amz-trailer-signature:" 64 hex CRLF CRLF
//
// The lone LF and the second CRLF are how the example of the S3 documentation and the MinIO
// clients write a trailer; the AWS SDKs write CRLF once.
//
// Data of a signed chunk of up to maxStaged bytes is verified before any of it is handed on:
// in place when the caller's buffer takes the whole chunk, else in a pooled buffer. A larger
// chunk is handed on while it is hashed, but for its last piece, which waits for the signature;
// so the caller sees the error before the end of the chunk and hence before the end of the body.
//
// AWS refuses chunks below 8 KiB (but the last); this package takes them.
//
// Sources: "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API Reference,
// with its pages on header, query and chunked uploads with and without trailers.
package sigv4
