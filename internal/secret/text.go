package secret

// Text is a secret that somebody else made up: a token, a password. It prints as REDACTED.
type Text struct{ hidden }

// NewText hides a string. The string itself stays in memory until it is collected.
func NewText(s string) Text { return Text{hide([]byte(s))} }

// Reveal is the string, for whoever sends it to where it belongs.
func (t Text) Reveal() string { return string(t.bytes()) }

// IsZero reports whether there is no text.
func (t Text) IsZero() bool { return len(t.bytes()) == 0 }
