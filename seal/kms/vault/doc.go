// Package vault is a KMS (package kms) whose master keys are in the Transit engine of HashiCorp Vault or
// OpenBao. It speaks their HTTP API: https://developer.hashicorp.com/vault/api-docs/secret/transit.
//
// A data key is bound to its encryption context in the way that its master key allows:
//
//	mode 1, derived keys (derived=true)   datakey/plaintext with context; decrypt with context
//	mode 2, other AEAD keys               encrypt and decrypt with associated_data; the data key is drawn
//	                                      here, because datakey takes no associated data
//
// Keys that can do neither (RSA and the like) are refused: their data keys would open anywhere.
// encrypt makes a key that is not there if the policy allows create; so a key is looked at first.
//
// A blob is the byte 2, the mode (1 byte), and Vault's ciphertext ("vault:v1:…").
// The context is sent as SHA-256 of its canonical form (seal.Context.Canonical) behind the
// domain "holdfast/vault-context/v1": Vault limits neither, but proxies limit both.
//
// The policy that is needed, for each master key NAME:
//
//	path "transit/keys/NAME"              { capabilities = ["read"] }
//	path "transit/datakey/plaintext/NAME" { capabilities = ["update"] }
//	path "transit/encrypt/NAME"           { capabilities = ["update"] }
//	path "transit/decrypt/NAME"           { capabilities = ["update"] }
//
// A token is not renewed here: AppRole logs in again before its token ends, a token file is read again
// when its token is refused. Neither tokens nor data keys appear in errors; Vault's own sentences do,
// cut to a length.
package vault
