package lifecycle

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"holdfast/bucket/filter"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// Parse reads the document. A rule without an ID gets one that follows from what it says, so that
// the printed document is always the same.
func Parse(doc string) (*Config, error) {
	root, err := xmlio.Decode(doc, "LifecycleConfiguration", MaxBytes)
	if err != nil {
		return nil, err
	}
	f, err := root.Fields("Rule/+")
	if err != nil {
		return nil, err
	}
	if len(f["Rule"]) > MaxRules {
		return nil, xmlio.Malformed()
	}
	c := &Config{}
	seen := make(map[string]bool)
	moves := false
	for _, e := range f["Rule"] {
		r, transitions, err := parseRule(e)
		if err != nil {
			return nil, err
		}
		moves = moves || transitions
		if r.ID != "" && seen[r.ID] {
			return nil, badArgument("Rule ID must be unique. Found same ID for more than one rule")
		}
		seen[r.ID] = true
		c.Rules = append(c.Rules, r)
	}
	if moves { // told last: what is wrong with the document comes first
		return nil, kind.New(kind.Unbuilt, "Lifecycle transitions to other storage classes (Transition, NoncurrentVersionTransition) are not implemented")
	}
	for i := range c.Rules {
		if r := &c.Rules[i]; r.ID == "" {
			r.ID = filter.RuleID(r, seen)
		}
	}
	return c, nil
}

func parseRule(e xmlio.Element) (r Rule, transitions bool, err error) {
	f, err := e.Fields("ID?", "Status", "Prefix?", "Filter/?", "Expiration/?", "NoncurrentVersionExpiration/?",
		"AbortIncompleteMultipartUpload/?", "Transition/*", "NoncurrentVersionTransition/*")
	if err != nil {
		return r, false, err
	}
	r.ID = f.Text("ID")
	if utf8.RuneCountInString(r.ID) > maxID {
		return r, false, badArgument("ID length should not exceed allowed limit of %d", maxID)
	}
	switch f.Word("Status") {
	case "Enabled":
		r.Enabled = true
	case "Disabled":
	default:
		return r, false, xmlio.Malformed()
	}
	if err := r.parseFilter(f); err != nil {
		return r, false, err
	}
	for _, part := range []struct {
		name string
		read func(xmlio.Element) error
	}{
		{"Expiration", r.parseExpiration}, {"NoncurrentVersionExpiration", r.parseNoncurrent}, {"AbortIncompleteMultipartUpload", r.parseAbort},
		{"Transition", checkTransition}, {"NoncurrentVersionTransition", checkNoncurrentTransition},
	} {
		for _, e := range f[part.name] {
			if err := part.read(e); err != nil {
				return r, false, err
			}
		}
	}
	transitions = f.Has("Transition") || f.Has("NoncurrentVersionTransition")
	return r, transitions, r.validate(transitions)
}

// parseFilter reads either a Filter, or the Prefix of the older form.
func (r *Rule) parseFilter(f xmlio.Fields) (err error) {
	r.Legacy = f.Has("Prefix")
	switch {
	case r.Legacy == f.Has("Filter"):
		return xmlio.Malformed()
	case r.Legacy:
		r.Filter, err = filter.OfPrefix(f.Text("Prefix"))
	default:
		r.Filter, err = filter.Parse(f["Filter"][0], true)
	}
	return err
}

func (r *Rule) validate(transitions bool) error {
	if r.ExpireDays == 0 && r.ExpireDate.IsZero() && r.Markers == MarkersUnsaid && r.NoncurrentDays == 0 && r.AbortDays == 0 && !transitions {
		return kind.New(kind.InvalidRequest, "At least one action needs to be specified in a rule.")
	}
	for _, action := range []struct {
		name  string
		there bool
	}{{"AbortIncompleteMultipartUpload", r.AbortDays > 0}, {"ExpiredObjectDeleteMarker", r.Markers != MarkersUnsaid}} {
		switch {
		case action.there && len(r.Filter.Tags) > 0:
			return kind.New(kind.InvalidRequest, "%s cannot be specified with Tags.", action.name)
		case action.there && r.Filter.BySize():
			return kind.New(kind.InvalidRequest, "%s cannot be specified with Object Size.", action.name)
		}
	}
	return nil
}

func (r *Rule) parseExpiration(e xmlio.Element) error {
	f, err := e.Fields("Days?", "Date?", "ExpiredObjectDeleteMarker?")
	if err != nil {
		return err
	}
	if len(f) != 1 {
		return xmlio.Malformed()
	}
	gone, err := f.Bool("ExpiredObjectDeleteMarker")
	switch {
	case err != nil:
		return err
	case gone:
		r.Markers = MarkersGo
	case f.Has("ExpiredObjectDeleteMarker"):
		r.Markers = MarkersStay
	case f.Has("Date"):
		r.ExpireDate, err = parseDate(f.Word("Date"))
	default:
		r.ExpireDays, err = days(f, "Days", "'Days' for Expiration action must be a positive integer")
	}
	return err
}

func (r *Rule) parseNoncurrent(e xmlio.Element) error {
	f, err := e.Fields("NoncurrentDays", "NewerNoncurrentVersions?")
	if err != nil {
		return err
	}
	if r.NoncurrentDays, err = days(f, "NoncurrentDays", "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer"); err != nil {
		return err
	}
	if !f.Has("NewerNoncurrentVersions") {
		return nil
	}
	const newer = "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer up to 100"
	if r.NewerNoncurrent, err = days(f, "NewerNoncurrentVersions", newer); err == nil && r.NewerNoncurrent > maxNewer {
		return badArgument("%s", newer)
	}
	return err
}

func (r *Rule) parseAbort(e xmlio.Element) error {
	f, err := e.Fields("DaysAfterInitiation")
	if err != nil {
		return err
	}
	r.AbortDays, err = days(f, "DaysAfterInitiation", "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
	return err
}

// days reads a positive number.
func days(f xmlio.Fields, name, refusal string) (int64, error) {
	n, err := f.Int(name)
	if err == nil && (n < 1 || n > math.MaxInt32) {
		err = badArgument("%s", refusal)
	}
	return n, err
}

func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		t = t.UTC()
		switch {
		case t.Year() < 1 || t.Year() > 9999 || t.IsZero():
			return time.Time{}, xmlio.Malformed()
		case !t.Equal(t.Truncate(Day)):
			return time.Time{}, badArgument("'Date' must be at midnight GMT")
		}
		return t, nil
	}
	return time.Time{}, xmlio.Malformed()
}

// checkTransition validates what is refused all the same, so that the older mistake is told first.
func checkTransition(e xmlio.Element) error {
	f, err := e.Fields("Days?", "Date?", "StorageClass")
	if err != nil {
		return err
	}
	if f.Has("Days") == f.Has("Date") || !storageClass(f.Word("StorageClass")) {
		return xmlio.Malformed()
	}
	if f.Has("Date") {
		_, err = parseDate(f.Word("Date"))
		return err
	}
	n, err := f.Int("Days")
	if err == nil && n < 0 {
		err = badArgument("'Days' in Transition action must be nonnegative")
	}
	return err
}

func checkNoncurrentTransition(e xmlio.Element) error {
	f, err := e.Fields("NoncurrentDays?", "NewerNoncurrentVersions?", "StorageClass")
	if err != nil {
		return err
	}
	if !storageClass(f.Word("StorageClass")) {
		return xmlio.Malformed()
	}
	n, err := f.Int("NoncurrentDays")
	if err == nil && n < 0 {
		err = badArgument("'NoncurrentDays' for NoncurrentVersionTransition action must be nonnegative")
	}
	return err
}

func storageClass(s string) bool {
	return slices.Contains([]string{"GLACIER", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR"}, s)
}

func badArgument(format string, args ...any) error {
	return kind.New(kind.InvalidArgument, format, args...)
}
