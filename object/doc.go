// Package object is the engine: the only place where data and metadata meet. It knows no HTTP.
//
// # A PUT
//
// The bucket's record comes from a cache. The body is read once, straight into shard blocks
// (seal encrypts it there in place, erasure adds parity, the drives write); a body of at most
// InlineLimit bytes of ciphertext stays in memory instead. MD5 and the checksum that was asked
// for are computed beside it. When k+margin shards are on stable storage, one command in the
// key's group makes the version visible; conditions are evaluated there, in apply. So:
//
//   - nothing is visible before its shards are durable;
//   - a body that ends early, a wrong checksum, a bad signature or a lost client leave no version,
//     and the shards are deleted at once;
//   - when the outcome of the command is not known the shards stay, and the orphan sweep asks the
//     group later: deleting on a guess could destroy an acknowledged object.
//
// # A GET
//
// One linearizable query answers manifest, placement and inlined bytes. The customer's key is
// checked against the envelope before conditions, so that neither ETag nor existence of a match
// leaks without it. Then the ranges of the parts are streamed: fanout fetches ciphertext,
// seal opens each chunk before a byte of it leaves.
//
// # Invariants
//
//   - A data key seals one stream once: every PUT, copy and part attempt draws a new one.
//   - A Manifest is immutable; a rewrap makes a new version that shares the data records.
//   - The engine holds a customer's key only while the request runs and never logs errors of seal
//     with anything but their kind.
package object
