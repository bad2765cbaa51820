package operate

import (
	"errors"
	"fmt"

	"holdfast/internal/kind"
)

// The codes of refusals. Programs depend on them: they do not change.
const (
	// CodeUnknownDrive and CodeUnknownNode: there is no such, or more than one of that name.
	CodeUnknownDrive = "UnknownDrive"
	CodeUnknownNode  = "UnknownNode"
	CodeAmbiguous    = "AmbiguousName"
	// CodeInvalid: an argument is none.
	CodeInvalid = "InvalidArgument"
	// CodeTooFewDrives: fewer drives would be left than a piece of data, or a group, has places.
	CodeTooFewDrives = "TooFewDrives"
	// CodeWouldLoseData and CodeWouldLoseMajority: too much is missing already to go without this.
	CodeWouldLoseData     = "WouldLoseData"
	CodeWouldLoseMajority = "WouldLoseMajority"
	// CodeNotEmpty: it still holds shards or metadata replicas.
	CodeNotEmpty = "NotEmpty"
	// CodeGone: it was given up or removed, which is not undone.
	CodeGone = "Gone"
	// CodeStillRunning: the process is to be stopped first.
	CodeStillRunning = "StillRunning"
	// CodeConflict: another changed the same.
	CodeConflict = "Conflict"
	// CodeUnsupported: this node, or this version, cannot do it.
	CodeUnsupported = "Unsupported"
)

// Refused says why something was not done, and what to do instead.
type Refused struct {
	Code string
	Why  string
}

func (r *Refused) Error() string { return r.Why }

func refuse(code, format string, args ...any) error {
	return &Refused{Code: code, Why: fmt.Sprintf(format, args...)}
}

// asRefused finds the refusal in an error that may have come from another node, where kinds travel.
func asRefused(err error) error {
	var r *Refused
	if err == nil || errors.As(err, &r) {
		return err
	}
	switch kind.Of(err) {
	case kind.Conflict:
		return refuse(CodeConflict, "another change came in between; look at the status and say it again (%v)", err)
	case kind.InvalidArgument:
		return refuse(CodeInvalid, "%v", err)
	case kind.Unbuilt:
		return refuse(CodeUnsupported, "%v", err)
	}
	return err
}

// overWire gives a refusal the kind by which the other side tells it from a fault.
func overWire(err error) error {
	var r *Refused
	if !errors.As(err, &r) || kind.Of(err) != kind.Unknown {
		return err
	}
	k := kind.InvalidArgument
	switch r.Code {
	case CodeConflict:
		k = kind.Conflict
	case CodeUnsupported:
		k = kind.Unbuilt
	}
	return kind.New(k, "%s", r.Why)
}
