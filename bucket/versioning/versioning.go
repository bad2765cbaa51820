// Package versioning is a bucket's VersioningConfiguration.
package versioning

import (
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// MaxBytes is the longest document.
const MaxBytes = 4 << 10

// State says what becomes of the versions of a bucket's keys.
type State string

// The states. A bucket begins Unset and never returns to it.
const (
	Unset     State = ""
	Enabled   State = "Enabled"
	Suspended State = "Suspended"
)

// Parse reads the document. MFA delete can be said to be off, and not be turned on.
func Parse(doc string) (State, error) {
	root, err := xmlio.Decode(doc, "VersioningConfiguration", MaxBytes)
	if err != nil {
		return Unset, err
	}
	f, err := root.Fields("Status?", "MfaDelete?")
	if err != nil {
		return Unset, err
	}
	switch f.Word("MfaDelete") {
	case "Enabled":
		return Unset, kind.New(kind.Unbuilt, "MFA delete is not implemented")
	case "Disabled", "":
	default:
		return Unset, xmlio.Malformed()
	}
	if !f.Has("Status") {
		return Unset, kind.New(kind.IllegalVersioning, "The Versioning element must be specified")
	}
	s := State(f.Word("Status"))
	if s != Enabled && s != Suspended {
		return Unset, xmlio.Malformed()
	}
	return s, nil
}

// CheckLocked refuses what a bucket with object lock must not become.
func (s State) CheckLocked() error {
	if s != Enabled {
		return kind.New(kind.InvalidBucketState, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	}
	return nil
}

// WriteXML prints the document, which is empty while versioning is Unset.
func (s State) WriteXML(x *xmlio.Writer) {
	x.Root("VersioningConfiguration")
	x.Some("Status", string(s))
	x.Close("VersioningConfiguration")
}
