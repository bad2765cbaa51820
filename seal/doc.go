// Package seal turns plaintext into ciphertext, and back: under a key that the client sends with each
// request and that is never stored (SSE-C), or under a data key of a KMS (SSE-S3, SSE-KMS; package
// kms). It sees no disk and no network; randomness is an argument.
//
// # Nouns
//
//	customer key   32 bytes from the client; lives as long as the request       CustomerKey
//	envelope       the object key wrapped under a customer key, for one place   Envelope
//	object key     32 random bytes, one an object version                      ObjectKey
//	data key       32 random bytes, one an attempt to write a part              DataKey
//	stream         the sealed chunks of one part, under one data key            NewSealReader, Opener
//	stream ID      16 bytes which name a stream and are never used again
//	place          bucket ID, object key's name, version ID                     Binding
//	KMS key        32 bytes out of a KMS, which wrap object keys                KMSKey
//	managed        the object key wrapped under a KMS key, for one place        Managed
//
// # Keys
//
//	customer key, or data key of a KMS
//	   │ HKDF-SHA256(salt; info = domain, place[, what the KMS needs]) ─► wrapping key | commitment
//	   ▼ AES-256-GCM
//	object key ──HKDF-Expand──► key that wraps data keys; one key for each label of SealSmall
//	   ▼ AES-256-GCM (part number, stream ID)
//	data key ────HKDF-Expand──► key of the chunks; one key for each label of SealSmall
//	   ▼ AES-256-GCM (counter, final; stream ID)
//	chunks
//
// A rotation (rewrap) makes a new envelope around the same object key: no data is read or written.
//
// # Format
//
// Integers are big-endian. LP(x) is the length of x in 4 bytes, then x. The info string of a
// derivation is LP(domain) followed by LP of each field, so no two lists of fields collide.
//
// Envelope, version 1. Its four fields are stored apart (see meta.proto):
//
//	version     1
//	salt        32 bytes
//	wrapped key ┌────────────┬──────────────────┬─────────┐
//	            │ nonce 12   │ ciphertext 32    │ tag 16  │  60 bytes
//	            └────────────┴──────────────────┴─────────┘
//	commitment  32 bytes
//
//	okm        = HKDF-SHA256(secret = customer key, salt = salt, length = 64,
//	               info = LP("holdfast/sse-c/v1") LP(bucket ID) LP(key) LP(version ID))
//	okm[0:32]  = the AES-256-GCM key that wraps; additional data = "holdfast/sse-c/v1"
//	okm[32:64] = the commitment. It is compared in constant time before anything is decrypted: a
//	             wrong key or place shows here, also for objects of zero bytes. Both halves come
//	             from one derivation, so to find a second key that fits an envelope is to find a
//	             collision of SHA-256, although AES-GCM by itself commits to no key.
//
// Managed envelope, version 2: the same three fields, and what it takes to ask the KMS again.
//
//	method      1 = SSE-S3, 2 = SSE-KMS
//	key ID      name of the master key, 1 to 256 bytes
//	blob        the data key, wrapped by the KMS, 1 to 1024 bytes
//	context     the pairs that the client sent, canonical, at most 2048 bytes: number of pairs (4
//	            bytes), then LP(name) LP(value) by the order of the names' bytes. The KMS gets the
//	            pair aws:s3:arn besides: the ARN of the object, or of the bucket with a bucket key
//	bucket key  1 if the data key is the bucket's, else 0
//
//	domain     = "holdfast/sse-s3/v1" or "holdfast/sse-kms/v1"
//	okm        = HKDF-SHA256(secret = data key, salt = salt, length = 64,
//	               info = LP(domain) LP(bucket ID) LP(key) LP(version ID)
//	                      LP(key ID) LP(blob) LP(context) LP(bucket key, 1 byte))
//	okm[0:32]  = the AES-256-GCM key that wraps; additional data = domain
//	okm[32:64] = the commitment, compared first
//
// So an envelope opens at its own place only, whatever the KMS binds, and no field of it can be altered
// or taken from another envelope of the same data key.
//
// Wrapped data key:
//
//	┌───────────┬──────────┬───────────────┬────────┐
//	│ version 1 │ nonce 12 │ ciphertext 32 │ tag 16 │  61 bytes
//	└───────────┴──────────┴───────────────┴────────┘
//
//	key             = HKDF-Expand(object key, LP("holdfast/data-key-wrap/v1"), 32)
//	additional data = version (1 byte) | part number (4) | stream ID (16)
//
// Stream of n plaintext bytes (STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015):
//
//	┌───────────────┬────────┬───────────────┬────────┬───┬───────────────┬────────┐
//	│ chunk 0 65536 │ tag 16 │ chunk 1 65536 │ tag 16 │ … │ final 1…65536 │ tag 16 │
//	└───────────────┴────────┴───────────────┴────────┴───┴───────────────┴────────┘
//
//	key             = HKDF-Expand(data key, LP("holdfast/stream/v1") LP(stream ID), 32)
//	nonce           = chunk number (11 bytes) | 1 if the chunk is final, else 0 (1 byte)
//	additional data = version 1 (1 byte) | stream ID (16)
//
// The final chunk has 1 to 65536 bytes of plaintext; only an empty stream has an empty one. There is
// no header: the version is that of the wrapped data key. The plaintext length is known from the
// metadata, hence the number of the final chunk too, so a stream cut at a chunk edge does not open.
//
// Small values (checksums of plaintext), sealed under an object key or a data key K and a label:
//
//	┌───────────┬──────────┬──────────────┬────────┐
//	│ version 1 │ nonce 12 │ ciphertext n │ tag 16 │
//	└───────────┴──────────┴──────────────┴────────┘
//
//	okm = HKDF-Expand(K, LP("holdfast/small/v1") LP(label), 64)
//	key = okm[0:32]; additional data = version (1 byte)
//	okm[32:64] keys the nonces of the writer (below); a reader has no use for it.
//
// # Random numbers
//
// A reader takes salts, nonces and keys as they are stored. This writer makes them so that a random
// source which repeats does the least harm:
//
//   - The salt and nonce of an envelope are HKDF(object key, draw, place): two object keys never
//     share a salt, so never a wrapping key.
//   - A data key and its nonce are HKDF(object key, draw, part number, stream ID): parts, and
//     attempts with streams of their own, never share a data key even if every draw is the same.
//   - The nonce of a small value is an HMAC of draw and plaintext.
//   - A data key from NewDataKey seals once, one from OpenDataKey never (ErrSpent).
//
// What would still repeat: two object keys drawn by NewObjectKey from a source that repeats are
// equal, and if part number, stream ID and the draw for the data key repeat as well, two streams have
// one key. Guard makes such a source an error.
//
// # Invariants
//
//   - A key prints as REDACTED by every verb and encoder, also inside another struct.
//   - No (key, nonce) pair seals two plaintexts.
//   - No plaintext leaves an Opener before its whole chunk was authenticated at its place.
//   - A reader whose source fails, ends early or goes on too long never yields the final chunk.
//
// Not bound by a seal: which parts make an object. A part is bound to its object key, number and
// stream, so parts cannot be swapped, changed or taken from elsewhere; but whoever can write the
// metadata could leave a whole part out. An upload is completed without the customer key, so nothing
// could be sealed over its list of parts.
//
// What Go cannot promise: key schedules inside crypto/aes and copies made by the runtime (a stack that
// grew) are not zeroed. Zero clears what this package holds.
package seal
