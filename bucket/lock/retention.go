package lock

import (
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// Retention keeps a version until a time. The zero value keeps nothing.
type Retention struct {
	Mode  Mode
	Until time.Time // UTC, whole milliseconds
}

// ParseRetention reads the document of a version. An empty one takes the retention away.
func ParseRetention(doc string, now time.Time) (Retention, error) {
	root, err := xmlio.Decode(doc, "Retention", MaxBytes)
	if err != nil {
		return Retention{}, err
	}
	f, err := root.Fields("Mode?", "RetainUntilDate?")
	if err != nil {
		return Retention{}, err
	}
	if len(f) == 0 {
		return Retention{}, nil
	}
	r := Retention{Mode: Mode(f.Word("Mode"))}
	until, ok := parseTime(f.Word("RetainUntilDate"))
	if !r.Mode.known() || !ok {
		return Retention{}, xmlio.Malformed()
	}
	r.Until = until
	return r, r.inFuture(now)
}

func (r Retention) inFuture(now time.Time) error {
	if !r.Until.After(now) {
		return kind.New(kind.InvalidArgument, "The retain until date must be in the future!")
	}
	return nil
}

// parseTime reads ISO 8601, to the millisecond and never sooner than it says.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, false
	}
	t = ceil(t.UTC())
	return t, t.Year() >= 1970 && t.Year() <= 9999
}

// ceil rounds up to a whole millisecond.
func ceil(t time.Time) time.Time {
	if down := t.Truncate(time.Millisecond); down.Before(t) {
		return down.Add(time.Millisecond)
	}
	return t
}

// Date is Until as documents and headers have it.
func (r Retention) Date() string { return r.Until.UTC().Format(xmlio.TimeLayout) }

// WriteXML prints the document.
func (r Retention) WriteXML(x *xmlio.Writer) {
	x.Root("Retention")
	if r.Mode != NoMode {
		x.Elem("Mode", string(r.Mode))
		x.Elem("RetainUntilDate", r.Date())
	}
	x.Close("Retention")
}

// Hold is a legal hold: on or off.
type Hold bool

// ParseHold reads a LegalHold document.
func ParseHold(doc string) (Hold, error) {
	root, err := xmlio.Decode(doc, "LegalHold", MaxBytes)
	if err != nil {
		return false, err
	}
	f, err := root.Fields("Status")
	if err != nil {
		return false, err
	}
	switch f.Word("Status") {
	case "ON":
		return true, nil
	case "OFF":
		return false, nil
	}
	return false, xmlio.Malformed()
}

// String is the hold as documents and headers have it.
func (h Hold) String() string {
	if h {
		return "ON"
	}
	return "OFF"
}

// WriteXML prints the document.
func (h Hold) WriteXML(x *xmlio.Writer) {
	x.Root("LegalHold")
	x.Elem("Status", h.String())
	x.Close("LegalHold")
}

// Headers are the lock headers of an upload: x-amz-object-lock-mode, -retain-until-date and
// -legal-hold; "" is a header that is not there.
type Headers struct{ Mode, Until, Hold string }

// Any says whether there is one: then the bucket must have object lock (CheckBucket).
func (h Headers) Any() bool { return h != Headers{} }

// Parse reads the headers.
func (h Headers) Parse(now time.Time) (r Retention, hold Hold, err error) {
	switch h.Hold {
	case "ON":
		hold = true
	case "OFF", "":
	default:
		return r, false, kind.New(kind.InvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'")
	}
	switch {
	case h.Mode == "" && h.Until == "":
		return r, hold, nil
	case h.Mode == "" || h.Until == "":
		return r, false, kind.New(kind.InvalidArgument, "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	case !Mode(h.Mode).known():
		return r, false, kind.New(kind.InvalidArgument, "Unknown wormMode directive.")
	}
	until, ok := parseTime(h.Until)
	if !ok {
		return r, false, kind.New(kind.InvalidArgument, "The retain until date must be provided in ISO 8601 format")
	}
	r = Retention{Mode(h.Mode), until}
	if err := r.inFuture(now); err != nil {
		return Retention{}, false, err
	}
	return r, hold, nil
}
