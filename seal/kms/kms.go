package kms

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/kind"
	"holdfast/seal"
)

// KMS makes data keys under master keys that it never gives away, and opens them again. Errors are
// *Error. Implementations are safe for concurrent use.
type KMS interface {
	// GenerateDataKey makes a data key under a master key. The blob opens with the same context only.
	GenerateDataKey(ctx context.Context, keyID string, c seal.Context) (DataKey, error)
	// Decrypt opens the blob of a data key. The caller zeroes what it gets.
	Decrypt(ctx context.Context, keyID string, blob []byte, c seal.Context) (*seal.KMSKey, error)
}

// DataKey is a fresh data key, and the same wrapped. The caller zeroes the key.
type DataKey struct {
	Key  *seal.KMSKey
	Blob []byte // at most seal.MaxKMSBlob bytes; the first one says which KMS made it
}

// The first byte of a blob.
const (
	FormatBuiltin = 1
	FormatVault   = 2
)

// Code is the error code that S3 shows to a client.
type Code string

// The codes. All are 400 on S3, but for AccessDenied (403), Unavailable (503) and Internal (500).
const (
	NotFound     Code = "KMS.NotFoundException"
	Disabled     Code = "KMS.DisabledException"
	InvalidState Code = "KMS.KMSInvalidStateException"
	InvalidUsage Code = "KMS.InvalidKeyUsageException"
	AccessDenied Code = "AccessDenied"
	Unavailable  Code = "ServiceUnavailable"
	Internal     Code = "InternalError" // a stored blob that does not open, or not with this context
)

// Error is a refusal of a KMS. Message is for the client, in the words of AWS; Err is for the log.
// Its kind (internal/kind) is one that fits the status.
type Error struct {
	Code    Code
	Message string
	Err     error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return "kms: " + string(e.Code) + ": " + e.Message
	}
	return "kms: " + string(e.Code) + ": " + e.Message + ": " + e.Err.Error()
}

// Unwrap gives what is behind the error, with a kind in front.
func (e *Error) Unwrap() error {
	k := kind.InvalidRequest
	switch e.Code {
	case AccessDenied:
		k = kind.AccessDenied
	case Unavailable:
		k = kind.Unavailable
	case Internal:
		k = kind.Damaged
	}
	return &kind.Error{Kind: k, Message: e.Message, Err: e.Err}
}

// CodeOf is the code of an error's *Error, "" if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func notFound(keyID string) error {
	return &Error{Code: NotFound, Message: fmt.Sprintf("Key '%s' does not exist", keyID)}
}

// undecryptable is a blob that does not open: altered, of another context, or of another key.
func undecryptable(keyID, why string) error {
	return &Error{Code: Internal, Message: "We encountered an internal error. Please try again.",
		Err: fmt.Errorf("a data key under master key %q does not open: %s", keyID, why)}
}

// Mux joins several KMS: one makes new data keys, and each opens those it made. So a cluster that
// went over from one to another still reads what the first one wrapped.
type Mux struct {
	New  KMS
	Open map[byte]KMS // by the first byte of the blob
}

// GenerateDataKey implements KMS.
func (m Mux) GenerateDataKey(ctx context.Context, keyID string, c seal.Context) (DataKey, error) {
	if m.New == nil {
		return DataKey{}, &Error{Code: Unavailable, Message: "No key management service is configured."}
	}
	return m.New.GenerateDataKey(ctx, keyID, c)
}

// Decrypt implements KMS.
func (m Mux) Decrypt(ctx context.Context, keyID string, blob []byte, c seal.Context) (*seal.KMSKey, error) {
	if len(blob) == 0 {
		return nil, undecryptable(keyID, "it is empty")
	}
	k := m.Open[blob[0]]
	if k == nil {
		return nil, &Error{Code: Unavailable, Message: "The key management service of this object is not configured.",
			Err: fmt.Errorf("blob format %d", blob[0])}
	}
	return k.Decrypt(ctx, keyID, blob, c)
}
