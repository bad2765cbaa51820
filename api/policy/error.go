package policy

import (
	"errors"
	"fmt"
)

// Error refuses a document. Code and Message are AWS's.
type Error struct {
	Code    string // one of the Code… constants
	Message string // for the client; names nothing but what the document says
}

func (e *Error) Error() string { return "policy: " + e.Code + ": " + e.Message }

// The codes by which documents are refused; all are a 400 but LimitExceeded, which is a 409.
const (
	CodeMalformedPolicy         = "MalformedPolicy"         // S3
	CodeMalformedPolicyDocument = "MalformedPolicyDocument" // IAM and STS
	CodeLimitExceeded           = "LimitExceeded"           // IAM: too large
	CodePackedPolicyTooLarge    = "PackedPolicyTooLarge"    // STS: too large
)

// AsError finds the Error in err's chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// fault is what can be wrong with a document; each service has its own words for it.
type fault uint8

const (
	faultNotJSON fault = iota // does not begin as a JSON object
	faultJSON                 // is not JSON, or is too deep, or has a key twice
	faultSyntax               // an element of another JSON type than it must have
	faultUnknown              // an element that there is not; %s is its name
	faultVersion
	faultMissing // %s is the element that is not there
	faultEmpty   // %s is the element that is there, and empty
	faultEffect  // %s is the effect
	faultSidTwice
	faultSid
	faultPrincipal // %s is the principal
	faultAction    // %s is the action
	faultResource  // %s is the resource
	faultOperator  // %s is the condition's operator
	faultKey       // %s is the condition's key
	faultAddress   // %s is what should be an address
	faultValue     // %s is a value that its operator cannot compare
	faultActionApplies
	faultKeyApplies
	faultMany // too many statements
)

// bucketWords are S3's.
var bucketWords = [...]string{
	faultNotJSON:       "Policies must be valid JSON and the first byte must be '{'",
	faultJSON:          "This policy contains invalid Json",
	faultSyntax:        "Invalid policy syntax.",
	faultUnknown:       "Unknown field %s",
	faultVersion:       "The policy must contain a valid version string",
	faultMissing:       "Missing required field %s",
	faultEmpty:         "Missing required field %s cannot be empty!",
	faultEffect:        "Invalid effect: %s",
	faultSidTwice:      "Invalid policy syntax.",
	faultSid:           "Invalid policy syntax.",
	faultPrincipal:     "Invalid principal in policy",
	faultAction:        "Policy has invalid action",
	faultResource:      "Policy has invalid resource",
	faultOperator:      "Invalid Condition type : %s",
	faultKey:           "Policy has an invalid condition key",
	faultAddress:       "Invalid IP address in Conditions",
	faultValue:         "Invalid value in Conditions",
	faultActionApplies: "Action does not apply to any resource(s) in statement",
	faultKeyApplies:    "Conditions do not apply to combination of actions and resources in statement",
	faultMany:          "Invalid policy syntax.",
}

// identityWords are IAM's.
var identityWords = [...]string{
	faultNotJSON:       "Syntax errors in policy.",
	faultJSON:          "Syntax errors in policy.",
	faultSyntax:        "Syntax errors in policy.",
	faultUnknown:       "Syntax errors in policy.",
	faultVersion:       "Syntax errors in policy.",
	faultMissing:       "Syntax errors in policy.",
	faultEmpty:         "Syntax errors in policy.",
	faultEffect:        "Syntax errors in policy.",
	faultSidTwice:      "Statement IDs (SID) in a single policy must be unique.",
	faultSid:           "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
	faultPrincipal:     "Invalid principal in policy: %s",
	faultAction:        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
	faultResource:      "Resource %s must be in ARN format or \"*\".",
	faultOperator:      "Syntax errors in policy.",
	faultKey:           "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
	faultAddress:       "Syntax errors in policy.",
	faultValue:         "Syntax errors in policy.",
	faultActionApplies: "Syntax errors in policy.",
	faultKeyApplies:    "Syntax errors in policy.",
	faultMany:          "Syntax errors in policy.",
}

// maxQuoted bounds how much of a document an error repeats, in bytes.
const maxQuoted = 200

// refuse makes the Error of a fault; what is the name or value at fault, for words that quote it.
func (r Rules) refuse(f fault, what string) error {
	if len(what) > maxQuoted {
		what = what[:maxQuoted] + "…"
	}
	code, words := CodeMalformedPolicyDocument, identityWords[f]
	switch {
	case r.Kind == Bucket:
		code, words = CodeMalformedPolicy, bucketWords[f]
	case f == faultMissing || f == faultEmpty:
		words = missingWords(r.Kind, what)
	}
	return &Error{Code: code, Message: quote(words, what)}
}

func missingWords(k Kind, what string) string {
	switch {
	case what == "Action":
		return "Policy statement must contain actions."
	case what == "Resource":
		return "Policy statement must contain resources."
	case what == "Principal" && k == Trust:
		return "Missing required field Principal"
	}
	return "Syntax errors in policy."
}

func quote(words, what string) string {
	for i := 0; i+1 < len(words); i++ {
		if words[i] == '%' && words[i+1] == 's' {
			return words[:i] + what + words[i+2:]
		}
	}
	return words
}

// tooLarge refuses a document by its size in bytes without white space.
func (r Rules) tooLarge(limit int) error {
	switch r.Kind {
	case Bucket:
		return &Error{CodeMalformedPolicy, fmt.Sprintf("Normalized policy document exceeds the maximum allowed size of %d bytes", limit)}
	case Session:
		return &Error{CodePackedPolicyTooLarge, fmt.Sprintf("Packed size of session policy exceeds the limit of %d bytes", limit)}
	}
	return &Error{CodeLimitExceeded, fmt.Sprintf("Cannot exceed quota for PolicySize: %d", limit)}
}
