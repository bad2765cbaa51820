package lock

import (
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const (
	// MaxBytes is the longest document.
	MaxBytes = 4 << 10

	maxDays  = 36500
	maxYears = 100

	msgPeriod    = "Default retention period must be a positive integer value."
	msgTooLong   = "Default retention period is too large."
	msgProtected = "Access Denied because object protected by object lock."
)

// Mode says who can take a retention away before its time.
type Mode string

// The modes. Any other text is kept for good: nobody can.
const (
	NoMode     Mode = ""
	Governance Mode = "GOVERNANCE" // who may bypass it
	Compliance Mode = "COMPLIANCE" // nobody
)

func (m Mode) known() bool { return m == Governance || m == Compliance }

// Config is the document of a bucket with object lock.
type Config struct {
	Default Default // of new versions; zero: none
}

// Default is the retention of new versions that come without one.
type Default struct {
	Mode        Mode
	Days, Years int64 // one of them is positive
}

// Parse reads the bucket's document.
func Parse(doc string) (*Config, error) {
	root, err := xmlio.Decode(doc, "ObjectLockConfiguration", MaxBytes)
	if err != nil {
		return nil, err
	}
	f, err := root.Fields("ObjectLockEnabled", "Rule/?")
	if err != nil {
		return nil, err
	}
	if f.Word("ObjectLockEnabled") != "Enabled" {
		return nil, xmlio.Malformed()
	}
	c := &Config{}
	for _, rule := range f["Rule"] {
		if c.Default, err = parseDefault(rule); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func parseDefault(rule xmlio.Element) (d Default, err error) {
	f, err := rule.Fields("DefaultRetention/")
	if err != nil {
		return d, err
	}
	if f, err = f["DefaultRetention"][0].Fields("Mode", "Days?", "Years?"); err != nil {
		return d, err
	}
	d.Mode = Mode(f.Word("Mode"))
	if !d.Mode.known() || f.Has("Days") == f.Has("Years") {
		return d, xmlio.Malformed()
	}
	if d.Days, err = f.Int("Days"); err != nil {
		return d, err
	}
	if d.Years, err = f.Int("Years"); err != nil {
		return d, err
	}
	switch {
	case d.Days+d.Years < 1:
		return d, kind.New(kind.InvalidRetentionPeriod, msgPeriod)
	case d.Days > maxDays || d.Years > maxYears:
		return d, kind.New(kind.InvalidArgument, msgTooLong)
	}
	return d, nil
}

// WriteXML prints the document.
func (c *Config) WriteXML(x *xmlio.Writer) {
	x.Root("ObjectLockConfiguration")
	x.Elem("ObjectLockEnabled", "Enabled")
	if c.Default.Mode != NoMode {
		x.Open("Rule")
		x.Open("DefaultRetention")
		x.Elem("Mode", string(c.Default.Mode))
		if c.Default.Days > 0 {
			x.Number("Days", c.Default.Days)
		} else {
			x.Number("Years", c.Default.Years)
		}
		x.Close("DefaultRetention")
		x.Close("Rule")
	}
	x.Close("ObjectLockConfiguration")
}

// Retention is what a new version gets: from now, or from the latest time that was ever seen if
// that is later. Without a default there is none.
func (d Default) Retention(now, latest time.Time) Retention {
	if d.Mode == NoMode {
		return Retention{}
	}
	if latest.After(now) {
		now = latest
	}
	until := now.UTC().AddDate(int(min(d.Years, maxYears)), 0, int(min(d.Days, maxDays)))
	return Retention{Mode: d.Mode, Until: ceil(until)}
}
