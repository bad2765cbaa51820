package kms

import (
	"cmp"
	"fmt"
	"strings"
)

// Names that have a meaning of their own. Both keys are made when they are first needed.
const (
	// KeyS3 wraps the keys of SSE-S3. No client can name it.
	KeyS3 = "sse-s3"
	// KeyDefault is used by aws:kms without a key ID, as on AWS.
	KeyDefault = "aws/s3"
)

// MaxName is the longest name of a master key in bytes.
const MaxName = 128

const maxKeyIDText = 2048 // bytes, as AWS has it

// Names turns what clients call a master key into its name, and back into an ARN. A key has one
// name, which is its ID and its alias.
type Names struct {
	Region  string // of ARNs, such as "us-east-1"
	Account string // of ARNs, twelve digits
	Default string // the key where none is named; "" is KeyDefault, which a Vault cannot have
}

// ID finds the name of a key in what a client sent: NAME, key/NAME, alias/NAME, or
// arn:aws:kms:REGION:ACCOUNT:key/NAME or …:alias/NAME; "" is the default key. Whether there is
// such a key is not looked at. Errors have code NotFound and AWS's sentence.
func (n Names) ID(text string) (string, error) {
	if text == "" {
		return cmp.Or(n.Default, KeyDefault), nil
	}
	if len(text) > maxKeyIDText {
		return "", &Error{Code: NotFound, Message: "Invalid keyId"}
	}
	name := text
	if strings.HasPrefix(text, "arn:") {
		parts := strings.SplitN(text, ":", 6)
		switch {
		case len(parts) != 6 || parts[1] != "aws" || parts[2] != "kms":
			return "", &Error{Code: NotFound, Message: fmt.Sprintf("Invalid arn %s", text)}
		case parts[3] != n.Region:
			return "", &Error{Code: NotFound, Message: fmt.Sprintf("Invalid arn %s", parts[3])}
		case parts[4] != n.Account:
			return "", notFound(text)
		case !strings.HasPrefix(parts[5], "key/") && !strings.HasPrefix(parts[5], "alias/"):
			return "", &Error{Code: NotFound, Message: fmt.Sprintf("Invalid arn %s", text)}
		}
		name = parts[5]
	}
	if rest, ok := strings.CutPrefix(name, "key/"); ok {
		name = rest
	} else if rest, ok := strings.CutPrefix(name, "alias/"); ok {
		name = rest
	}
	if !ValidName(name) {
		return "", &Error{Code: NotFound, Message: fmt.Sprintf("Invalid keyId '%s'", text)}
	}
	if name == KeyS3 {
		return "", notFound(text)
	}
	return name, nil
}

// ARN is what answers show of a key.
func (n Names) ARN(name string) string {
	return "arn:aws:kms:" + n.Region + ":" + n.Account + ":key/" + name
}

// ValidName reports whether a master key may have this name: 1 to 128 letters, digits, '-', '_',
// '.' and '/', the first and the last a letter or digit, no two of the others that are not '-' or
// '_' in a row, and not "key/…" or "alias/…", which would be taken for a prefix.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxName || strings.HasPrefix(name, "key/") || strings.HasPrefix(name, "alias/") {
		return false
	}
	mark := true // no mark may come first, nor behind another one
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			mark = false
		case c == '-' || c == '_':
			if i == 0 || i == len(name)-1 {
				return false
			}
			mark = false
		case (c == '.' || c == '/') && !mark && i < len(name)-1:
			mark = true
		default:
			return false
		}
	}
	return true
}
