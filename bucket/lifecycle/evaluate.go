package lifecycle

import (
	"math"
	"net/url"
	"time"

	"holdfast/bucket/tagging"
)

// Day is how long a day is, but for tests: with any other length nothing is rounded to midnight.
const Day = 24 * time.Hour

// Version is one version of a key, as far as rules ask for it.
type Version struct {
	Key          string
	Size         int64 // bytes
	Tags         tagging.Set
	DeleteMarker bool
	Modified     time.Time

	Current bool
	Sole    bool // there is no other version of the key

	NoncurrentSince time.Time // when the next newer version was made; of what is not Current
	NewerNoncurrent int64     // how many noncurrent versions of the key are newer; of what is not Current
}

// Action is what a rule does.
type Action uint8

// The actions.
const (
	Nothing      Action = iota
	Expire              // as a Delete without a version: of a current version
	RemoveMarker        // remove a delete marker that hides nothing, by its version
	RemoveOld           // remove a noncurrent version, for good
	AbortUpload
)

// Decision is what becomes of a version or upload first, by which rule. Action is Nothing if no
// rule is for it; else it is to be done once Due is reached.
type Decision struct {
	Action Action
	Due    time.Time // UTC
	RuleID string
}

// Reached says whether it is to be done now.
func (d Decision) Reached(now time.Time) bool { return d.Action != Nothing && !now.Before(d.Due) }

// sooner keeps the earlier of two decisions; of equals the one that was first.
func (d *Decision) sooner(a Action, due time.Time, rule *Rule) {
	if d.Action == Nothing || due.Before(d.Due) {
		*d = Decision{a, due, rule.ID}
	}
}

// Evaluate says what becomes of a version. Deciding costs a look at every rule.
func (c *Config) Evaluate(v *Version, day time.Duration) Decision {
	var d Decision
	for i := range c.Rules {
		r := &c.Rules[i]
		if !r.Enabled || !r.Filter.Matches(v.Key, v.Size, v.Tags) || v.DeleteMarker && r.Filter.BySize() { // a marker has no size
			continue
		}
		switch {
		case !v.Current:
			if r.NoncurrentDays > 0 && v.NewerNoncurrent >= r.NewerNoncurrent {
				d.sooner(RemoveOld, after(v.NoncurrentSince, r.NoncurrentDays, day), r)
			}
		case v.DeleteMarker && v.Sole:
			if r.Markers == MarkersGo {
				d.sooner(RemoveMarker, v.Modified.UTC(), r)
			}
			r.expire(&d, RemoveMarker, v.Modified, day)
		case !v.DeleteMarker:
			r.expire(&d, Expire, v.Modified, day)
		}
	}
	return d
}

func (r *Rule) expire(d *Decision, a Action, modified time.Time, day time.Duration) {
	if r.ExpireDays > 0 {
		d.sooner(a, after(modified, r.ExpireDays, day), r)
	}
	if !r.ExpireDate.IsZero() {
		d.sooner(a, r.ExpireDate, r)
	}
}

// EvaluateUpload says when a multipart upload of a key that began then is aborted.
func (c *Config) EvaluateUpload(key string, initiated time.Time, day time.Duration) Decision {
	var d Decision
	for i := range c.Rules {
		if r := &c.Rules[i]; r.Enabled && r.AbortDays > 0 && r.Filter.MatchesKey(key) {
			d.sooner(AbortUpload, after(initiated, r.AbortDays, day), r)
		}
	}
	return d
}

// Removes says whether any rule can ever act: else no version need be looked at.
func (c *Config) Removes() bool {
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.Enabled && (r.ExpireDays > 0 || !r.ExpireDate.IsZero() || r.Markers == MarkersGo || r.NoncurrentDays > 0 || r.AbortDays > 0) {
			return true
		}
	}
	return false
}

// after is n days after t, at the next midnight UTC.
func after(t time.Time, n int64, day time.Duration) time.Time {
	t = t.UTC()
	if day <= 0 || n > math.MaxInt64/int64(day) { // centuries
		return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	due := t.Add(time.Duration(n) * day)
	if midnight := due.Truncate(Day); day == Day && midnight.Before(due) {
		return midnight.Add(Day)
	}
	return due
}

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// ExpirationHeader is the x-amz-expiration header of a current version; "" without a rule. It is
// told in true days, however long a day is where rules are carried out.
func (c *Config) ExpirationHeader(v *Version) string {
	if v.DeleteMarker || !v.Current {
		return ""
	}
	d := c.Evaluate(v, Day)
	if d.Action == Nothing {
		return ""
	}
	return `expiry-date="` + d.Due.Format(httpDate) + `", rule-id="` + url.QueryEscape(d.RuleID) + `"`
}

// AbortHeaders are the x-amz-abort-date and x-amz-abort-rule-id headers of an upload; "" without a
// rule. They are told in true days too.
func (c *Config) AbortHeaders(key string, initiated time.Time) (date, ruleID string) {
	d := c.EvaluateUpload(key, initiated, Day)
	if d.Action == Nothing {
		return "", ""
	}
	return d.Due.Format(httpDate), url.QueryEscape(d.RuleID)
}
