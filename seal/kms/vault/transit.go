package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"holdfast/seal"
	"holdfast/seal/kms"
)

// The ways to bind a data key to its context; the second byte of a blob.
const (
	modeDerived    = 1
	modeAssociated = 2
)

// modeAge is how long a key's mode is believed; a key's type never changes, but it may be deleted
// and made anew. maxModes bounds the names remembered.
const (
	modeAge  = 5 * time.Minute
	maxModes = 1024

	domainContext = "holdfast/vault-context/v1"
)

type keyMode struct {
	mode  byte
	until time.Time
}

// GenerateDataKey implements kms.KMS.
func (c *Client) GenerateDataKey(ctx context.Context, keyID string, ec seal.Context) (kms.DataKey, error) {
	if !validSegment(keyID) {
		return kms.DataKey{}, &kms.Error{Code: kms.NotFound, Message: fmt.Sprintf("Invalid keyId '%s'", keyID)}
	}
	mode, err := c.mode(ctx, keyID)
	if err != nil {
		return kms.DataKey{}, err
	}
	if mode == modeDerived {
		return c.datakey(ctx, keyID, ec)
	}
	return c.encrypt(ctx, keyID, ec)
}

// datakey has the Vault draw a data key; a derived key binds it to the context.
func (c *Client) datakey(ctx context.Context, keyID string, ec seal.Context) (kms.DataKey, error) {
	in := struct {
		Bits    int    `json:"bits"`
		Context []byte `json:"context"`
	}{8 * seal.KeySize, bound(ec)}
	var out struct {
		Data struct {
			Plaintext  []byte `json:"plaintext"`
			Ciphertext string `json:"ciphertext"`
		} `json:"data"`
	}
	if err := c.call(ctx, http.MethodPost, c.cfg.Mount+"/datakey/plaintext/"+keyID, in, &out); err != nil {
		return kms.DataKey{}, translate(err, keyID, false)
	}
	return dataKey(out.Data.Plaintext, modeDerived, out.Data.Ciphertext)
}

// encrypt wraps a data key that was drawn here; the context is associated data.
func (c *Client) encrypt(ctx context.Context, keyID string, ec seal.Context) (kms.DataKey, error) {
	key := make([]byte, seal.KeySize)
	defer clear(key)
	if _, err := io.ReadFull(c.cfg.Rand, key); err != nil {
		return kms.DataKey{}, fmt.Errorf("vault: read random bytes: %w", err)
	}
	in := struct {
		Plaintext []byte `json:"plaintext"`
		AAD       []byte `json:"associated_data"`
	}{key, bound(ec)}
	var out struct {
		Data struct {
			Ciphertext string `json:"ciphertext"`
		} `json:"data"`
	}
	if err := c.call(ctx, http.MethodPost, c.cfg.Mount+"/encrypt/"+keyID, in, &out); err != nil {
		return kms.DataKey{}, translate(err, keyID, false)
	}
	return dataKey(key, modeAssociated, out.Data.Ciphertext)
}

// dataKey takes the bytes of key and zeroes key.
func dataKey(key []byte, mode byte, ciphertext string) (kms.DataKey, error) {
	defer clear(key)
	if !validCiphertext(ciphertext) || len(key) != seal.KeySize {
		return kms.DataKey{}, unavailable(errors.New("vault: an answer without a data key"))
	}
	k, err := seal.NewKMSKey(key)
	if err != nil {
		return kms.DataKey{}, err
	}
	return kms.DataKey{Key: k, Blob: append([]byte{kms.FormatVault, mode}, ciphertext...)}, nil
}

// Decrypt implements kms.KMS.
func (c *Client) Decrypt(ctx context.Context, keyID string, blob []byte, ec seal.Context) (*seal.KMSKey, error) {
	if !validSegment(keyID) || len(blob) < 2 || len(blob) > seal.MaxKMSBlob || blob[0] != kms.FormatVault || !validCiphertext(string(blob[2:])) {
		return nil, damaged(errors.New("vault: it is no blob of a Vault"))
	}
	in := struct {
		Ciphertext string `json:"ciphertext"`
		Context    []byte `json:"context,omitempty"`
		AAD        []byte `json:"associated_data,omitempty"`
	}{Ciphertext: string(blob[2:])}
	switch blob[1] {
	case modeDerived:
		in.Context = bound(ec)
	case modeAssociated:
		in.AAD = bound(ec)
	default:
		return nil, damaged(fmt.Errorf("vault: blob of mode %d", blob[1]))
	}
	var out struct {
		Data struct {
			Plaintext []byte `json:"plaintext"`
		} `json:"data"`
	}
	if err := c.call(ctx, http.MethodPost, c.cfg.Mount+"/decrypt/"+keyID, in, &out); err != nil {
		return nil, translate(err, keyID, true)
	}
	if len(out.Data.Plaintext) != seal.KeySize {
		clear(out.Data.Plaintext)
		return nil, unavailable(errors.New("vault: an answer without a data key"))
	}
	return seal.NewKMSKey(out.Data.Plaintext)
}

// mode looks at a key: how can it bind a context?
func (c *Client) mode(ctx context.Context, keyID string) (byte, error) {
	c.mu.Lock()
	known := c.modes[keyID]
	c.mu.Unlock()
	if c.cfg.Now().Before(known.until) {
		return known.mode, nil
	}
	var out struct {
		Data struct {
			Type    string `json:"type"`
			Derived bool   `json:"derived"`
			Deleted bool   `json:"soft_deleted"` // OpenBao
		} `json:"data"`
	}
	if err := c.call(ctx, http.MethodGet, c.cfg.Mount+"/keys/"+keyID, nil, &out); err != nil {
		return 0, translate(err, keyID, false)
	}
	m := keyMode{until: c.cfg.Now().Add(modeAge)}
	switch {
	case out.Data.Deleted:
		return 0, &kms.Error{Code: kms.InvalidState, Message: fmt.Sprintf("%s is pending deletion.", keyID)}
	case !aead(out.Data.Type):
		return 0, &kms.Error{Code: kms.InvalidUsage, Message: fmt.Sprintf("%s cannot wrap data keys with an encryption context.", keyID),
			Err: fmt.Errorf("vault: the key's type is %.40q; make one of aes256-gcm96", out.Data.Type)}
	case out.Data.Derived:
		m.mode = modeDerived
	default:
		m.mode = modeAssociated
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.modes) >= maxModes {
		clear(c.modes)
	}
	c.modes[keyID] = m
	return m.mode, nil
}

func aead(keyType string) bool {
	switch keyType {
	case "aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305":
		return true
	}
	return false
}

// validCiphertext: "vault:v", the version of the key, ":", base64.
func validCiphertext(s string) bool {
	rest, ok := strings.CutPrefix(s, "vault:v")
	version, text, colon := strings.Cut(rest, ":")
	return ok && colon && version != "" && text != "" && len(s) <= seal.MaxKMSBlob-2 &&
		strings.Trim(version, "0123456789") == "" &&
		strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == ""
}

// bound is the context as the Vault gets it.
func bound(ec seal.Context) []byte {
	sum := sha256.Sum256(append([]byte(domainContext), ec.Canonical()...))
	return sum[:]
}

// translate gives an answer of the Vault the code that S3 has for it. Vault has a status and
// English sentences, no codes: where a status has several reasons, its sentence decides.
func translate(err error, keyID string, opening bool) error {
	var s *statusError
	if !errors.As(err, &s) || kms.CodeOf(err) != "" {
		return err
	}
	says := func(part string) bool { return strings.Contains(s.text, part) }
	switch {
	case s.status == http.StatusForbidden || s.status == http.StatusUnauthorized:
		return &kms.Error{Code: kms.AccessDenied, Message: "Access Denied", Err: err}
	case s.status == http.StatusNotFound, says("encryption key not found"), says("key not found"):
		return &kms.Error{Code: kms.NotFound, Message: fmt.Sprintf("Key '%s' does not exist", keyID), Err: err}
	case s.status == http.StatusBadRequest && (says("disallowed by policy") || says("soft deleted") || says("soft-deleted")):
		return &kms.Error{Code: kms.InvalidState, Message: fmt.Sprintf("%s is not in a state for this request.", keyID), Err: err}
	case s.status == http.StatusBadRequest && opening:
		return damaged(err)
	case s.status == http.StatusBadRequest:
		return &kms.Error{Code: kms.InvalidUsage, Message: fmt.Sprintf("%s cannot be used for this request.", keyID), Err: err}
	}
	return unavailable(err)
}

func damaged(err error) error {
	return &kms.Error{Code: kms.Internal, Message: "We encountered an internal error. Please try again.", Err: err}
}
