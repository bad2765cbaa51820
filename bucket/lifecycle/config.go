package lifecycle

import (
	"time"

	"holdfast/bucket/filter"
	"holdfast/internal/xmlio"
)

const (
	// MaxRules is S3's limit.
	MaxRules = 1000
	// MaxBytes is the longest document: a thousand rules of a kilobyte.
	MaxBytes = 1 << 20

	maxID      = 255 // characters
	maxNewer   = 100 // noncurrent versions that a rule may keep
	dateLayout = "2006-01-02T15:04:05.000Z"
)

// Config is a bucket's rules, in the order of the document.
type Config struct{ Rules []Rule }

// Rule is what becomes of the objects that its filter is for. Days of 0 are not given.
type Rule struct {
	ID      string // unique, never empty
	Enabled bool
	Legacy  bool // the prefix is given by the rule itself, without a Filter
	Filter  filter.Filter

	ExpireDays int64
	ExpireDate time.Time // midnight UTC; zero: not given
	Markers    Markers

	NoncurrentDays  int64
	NewerNoncurrent int64 // how many noncurrent versions are kept however old; 0: not given
	AbortDays       int64 // of uploads, from their beginning
}

// Markers is what a rule says of delete markers that hide nothing any more.
type Markers uint8

// What ExpiredObjectDeleteMarker may say.
const (
	MarkersUnsaid Markers = iota
	MarkersStay
	MarkersGo
)

// WriteXML prints the document.
func (c *Config) WriteXML(x *xmlio.Writer) {
	x.Root("LifecycleConfiguration")
	for i := range c.Rules {
		c.Rules[i].WriteXML(x)
	}
	x.Close("LifecycleConfiguration")
}

// WriteXML prints a Rule element.
func (r *Rule) WriteXML(x *xmlio.Writer) {
	x.Open("Rule")
	x.Some("ID", r.ID)
	if r.Legacy {
		x.Elem("Prefix", r.Filter.Prefix)
	} else {
		r.Filter.WriteXML(x)
	}
	if r.Enabled {
		x.Elem("Status", "Enabled")
	} else {
		x.Elem("Status", "Disabled")
	}
	r.writeExpiration(x)
	if r.NoncurrentDays > 0 {
		x.Open("NoncurrentVersionExpiration")
		if r.NewerNoncurrent > 0 {
			x.Number("NewerNoncurrentVersions", r.NewerNoncurrent)
		}
		x.Number("NoncurrentDays", r.NoncurrentDays)
		x.Close("NoncurrentVersionExpiration")
	}
	if r.AbortDays > 0 {
		x.Open("AbortIncompleteMultipartUpload")
		x.Number("DaysAfterInitiation", r.AbortDays)
		x.Close("AbortIncompleteMultipartUpload")
	}
	x.Close("Rule")
}

func (r *Rule) writeExpiration(x *xmlio.Writer) {
	if r.ExpireDays == 0 && r.ExpireDate.IsZero() && r.Markers == MarkersUnsaid {
		return
	}
	x.Open("Expiration")
	switch {
	case r.ExpireDays > 0:
		x.Number("Days", r.ExpireDays)
	case !r.ExpireDate.IsZero():
		x.Elem("Date", r.ExpireDate.Format(dateLayout))
	default:
		x.Boolean("ExpiredObjectDeleteMarker", r.Markers == MarkersGo)
	}
	x.Close("Expiration")
}
