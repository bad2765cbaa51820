// Package secret keeps the two secrets that a cluster starts with, each in a file of mode 0600:
//
//	cluster secret     32 random bytes, as base64 on one line; every key between nodes derives from it
//	root credentials   the first user's name and password, as lines that a shell can source
//
// Both print as REDACTED, by every verb and also inside another struct. Files that others than
// their owner may read are refused: a start with a leaked secret is worse than none.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Redacted stands where a secret would print.
const Redacted = "REDACTED"

// hidden holds bytes behind two pointers: where fmt cannot call methods (unexported fields) it
// follows one pointer for a verb that does not fit, but never two.
type hidden struct{ p **[]byte }

func hide(b []byte) hidden {
	p := &b
	return hidden{&p}
}

func (h hidden) bytes() []byte {
	if h.p == nil {
		return nil
	}
	return **h.p
}

func (hidden) String() string   { return Redacted }
func (hidden) GoString() string { return Redacted }

// Format implements fmt.Formatter for every verb and flag.
func (hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Redacted) }

// MarshalJSON and MarshalText serve encoders of any kind.
func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }
func (hidden) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue implements slog.LogValuer.
func (hidden) LogValue() slog.Value { return slog.StringValue(Redacted) }
