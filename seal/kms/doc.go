// Package kms keeps the keys of managed encryption (SSE-S3 and SSE-KMS). It sees no network and no
// disk: time, randomness and the store are given to it. Package vault reaches a KMS elsewhere.
//
// # Nouns
//
//	master key   never leaves its KMS; has a name, versions, and is enabled or disabled
//	data key     32 bytes that a KMS makes under a master key; wraps object keys   DataKey
//	blob         a data key, wrapped by its KMS; stored with each object
//	context      pairs that are authenticated with a data key                      seal.Context
//	bucket key   a data key that wraps many objects of a bucket for a while        BucketKeys
//
// # Keys
//
//	cluster secret
//	   │ HKDF (purpose "kms/master-keys/v1")
//	   ▼
//	wrapping key ──wrap (name, version)──► master key, one a version     built-in KMS
//	                                          │ wrap (name, version; context)
//	                                          ▼
//	                                       data key ──► object key       package seal
//
// Rotation adds a version: new data keys are wrapped under it, old blobs still open. To move an
// object to the newest version is Envelopes.Rewrap: its envelope is made anew, its data stays.
//
// # Format
//
// Integers are big-endian. LP(x) is the length of x in 4 bytes, then x.
//
// A wrapped key, under a parent of 32 bytes:
//
//	┌─────────┬──────────────────┬─────────┐
//	│ salt 32 │ ciphertext 32    │ tag 16  │  80 bytes, AES-256-GCM
//	└─────────┴──────────────────┴─────────┘
//
//	okm = HKDF-SHA256(secret = parent, salt = salt, length = 44,
//	        info = LP(domain) LP(name) LP(version, 4 bytes))
//	key = okm[0:32]; nonce = okm[32:44]
//	              master key                      data key
//	parent        the wrapping key (see below)    that version of the master key
//	domain        "holdfast/kms-master-key/v1"    "holdfast/kms-data-key/v1"
//	additional    none                            the context, canonical (see package seal)
//
// The wrapping key is HKDF-SHA256(secret = cluster secret, no salt, length = 32,
// info = "holdfast/cluster/v1/kms/master-keys/v1").
//
// The blob of a data key:
//
//	┌──────────┬──────────────────────────┬────────────────┐
//	│ format 1 │ version of master key 4  │ wrapped key 80 │  85 bytes; format 1: built-in
//	└──────────┴──────────────────────────┴────────────────┘
//	┌──────────┬────────┬───────────────────────┐
//	│ format 2 │ mode 1 │ Vault's ciphertext …  │  see package vault
//	└──────────┴────────┴───────────────────────┘
//
// The record of a master key, in the caller's store:
//
//	┌──────────┬─────────┬──────────────────┬────────┬───────────────┬─────────┐
//	│ format 1 │ state 1 │ length of name 1 │ name … │ created, ms 8 │ count 2 │  state: 1 enabled, 2 disabled
//	└──────────┴─────────┴──────────────────┴────────┴───────────────┴─────────┘
//	then for each version, ascending:
//	┌──────────┬───────────────┬────────────────┐
//	│ number 4 │ created, ms 8 │ wrapped key 80 │
//	└──────────┴───────────────┴────────────────┘
//
// # Invariants
//
//   - No key prints: master keys and data keys are seal.KMSKey.
//   - A record that does not open makes its own key unusable, and no other.
//   - A key that was disabled opens and makes nothing, at the latest Config.MaxAge after it was
//     disabled on another node; bucket keys made before live for BucketConfig.MaxAge more.
//   - Records that cannot be read anew serve for Config.MaxStale, then nothing opens.
//
// Not authenticated: the state of a record and which versions it has. Whoever can write the metadata
// can enable a key, or take away its newest version; never read or replace a key.
package kms
