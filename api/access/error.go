package access

import (
	"errors"
	"fmt"

	"holdfast/api/policy"
)

// Error refuses a change or a question. Code and Message are those of AWS's IAM and STS.
type Error struct {
	Code    string // one of the Code… constants, or one of package policy's
	Message string // for the client; names nothing but what it asked for
}

func (e *Error) Error() string { return "access: " + e.Code + ": " + e.Message }

// The codes of refusals.
const (
	CodeNoSuchEntity         = "NoSuchEntity"           // 404
	CodeAlreadyExists        = "EntityAlreadyExists"    // 409
	CodeDeleteConflict       = "DeleteConflict"         // 409
	CodeLimitExceeded        = "LimitExceeded"          // 409
	CodeInvalidInput         = "InvalidInput"           // 400
	CodeValidation           = "ValidationError"        // 400
	CodeUnmodifiable         = "UnmodifiableEntity"     // 400
	CodeConcurrent           = "ConcurrentModification" // 409
	CodeMalformedPolicy      = policy.CodeMalformedPolicyDocument
	CodePackedPolicyTooLarge = policy.CodePackedPolicyTooLarge
)

// AsError finds the Error in err's chain, or makes one of what package policy refused.
func AsError(err error) (*Error, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e, true
	}
	if p, ok := policy.AsError(err); ok {
		return &Error{p.Code, p.Message}, true
	}
	return nil, false
}

func refuse(code, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

func missing(what, name string) error {
	return refuse(CodeNoSuchEntity, "The %s with name %s cannot be found.", what, name)
}
