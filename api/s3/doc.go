// Package s3 is the front of the S3 API: it turns HTTP requests into calls of the engine and the
// engine's errors into S3's codes. It is the only package that knows an HTTP status or XML.
//
// Nouns:
//
//   - Server: the http.Handler for everything but /-/.
//   - route: one S3 operation by name, with the shape of its requests and its handler. routes.go
//     lists every operation of S3; one without a handler answers 501 by name.
//   - target: the bucket and the key that a request names, taken from host and path once.
//   - call: one request on its way through: target, query, identity, keys, answer.
//   - row: what an error kind is in S3: code, status and sentence. error.go has the only table.
//
// The way of a request (server.go): request ID, target, route, authentication, authorisation,
// then the handler. Nothing of the engine is asked before authorisation.
//
// Invariants:
//
//   - The path is unescaped once, by net/http, and split once. The same decoded path is what
//     sigv4 signs. A key is never cleaned: "..", "//" and a backslash are bytes like others.
//     So this handler must not stand behind http.ServeMux, which cleans paths by redirect.
//   - A query argument that is given twice is refused: the signature does not cover its order.
//   - A customer's key arrives over TLS only, lives in a seal.CustomerKey and is zeroed when the
//     handler returns. Its header is dropped from the request as soon as it is parsed.
//   - A response is complete, or an error, or a broken connection; never short and well-formed.
//   - Header values from clients that come back in answers hold no control characters.
//   - Every body is bounded: XML by maxXML and maxLongXML, objects by object.MaxPutSize.
//   - Reads and writes of bodies have idle deadlines which move as data flows.
package s3
