package lifecycle

import (
	"strings"
	"testing"
	"time"

	"holdfast/bucket/tagging"
)

var start = time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)

func dayOf(n int64) time.Duration { return time.Duration(n) }

func parsed(t *testing.T, rules ...string) *Config {
	t.Helper()
	c, err := Parse(document(rules...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const short = 10 * time.Second

func current(key string) *Version {
	return &Version{Key: key, Current: true, Sole: true, Modified: start}
}

func noncurrent(newer int64) *Version {
	return &Version{Key: "k", Modified: start.Add(-time.Hour), NoncurrentSince: start, NewerNoncurrent: newer}
}

func marker(sole bool) *Version {
	return &Version{Key: "k", Current: true, Sole: sole, DeleteMarker: true, Modified: start}
}

func TestDecisions(t *testing.T) {
	days := func(n string) string { return "<Expiration><Days>" + n + "</Days></Expiration>" }
	rule := func(name, filter, actions string) string { return id(name) + filter + on + actions }
	prefix := func(p string) string { return "<Prefix>" + p + "</Prefix>" }
	old2 := old("<NoncurrentDays>2</NoncurrentDays>")
	keep5 := old("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>")
	big := "<Filter><ObjectSizeGreaterThan>2000</ObjectSizeGreaterThan></Filter>"
	small := "<Filter><ObjectSizeLessThan>2000</ObjectSizeLessThan></Filter>"
	sizedVersion := func(n int64) *Version { v := current("k"); v.Size = n; return v }
	taggedVersion := func(v *Version, value string) *Version { v.Tags = tagging.Set{{Key: "k", Value: value}}; return v }
	oldMarker := noncurrent(0)
	oldMarker.DeleteMarker = true
	noon := Decision{}
	for _, row := range []struct {
		name   string
		rules  []string
		v      *Version
		action Action
		due    time.Time // at days of 10 s
		rule   string
	}{
		{"by days", []string{rule("a", prefix("expire1/"), days("1")), rule("b", prefix("expire3/"), days("5"))}, current("expire3/x"), Expire, start.Add(50 * time.Second), "b"},
		{"other prefix", []string{rule("a", prefix("expire1/"), days("1"))}, current("keep/x"), Nothing, noon.Due, ""},
		{"disabled", []string{strings.Replace(rule("a", all, days("1")), "Enabled", "Disabled", 1)}, current("x"), Nothing, noon.Due, ""},
		{"past date", []string{rule("a", all, date("2015-01-01"))}, current("x"), Expire, time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), "a"},
		{"future date", []string{rule("a", all, date("2030-01-01"))}, current("x"), Expire, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), "a"},
		{"the soonest", []string{rule("a", all, days("3")), rule("b", all, days("2")), rule("c", all, days("2"))}, current("x"), Expire, start.Add(20 * time.Second), "b"},
		{"larger", []string{rule("a", big, days("1"))}, sizedVersion(2001), Expire, start.Add(short), "a"},
		{"not larger", []string{rule("a", big, days("1"))}, sizedVersion(2000), Nothing, noon.Due, ""},
		{"smaller", []string{rule("a", small, days("1"))}, sizedVersion(1999), Expire, start.Add(short), "a"},
		{"not smaller", []string{rule("a", small, days("1"))}, sizedVersion(2000), Nothing, noon.Due, ""},
		{"tagged", []string{rule("a", tagged, days("1"))}, taggedVersion(current("x"), "v"), Expire, start.Add(short), "a"},
		{"tagged otherwise", []string{rule("a", tagged, days("1"))}, taggedVersion(current("x"), "w"), Nothing, noon.Due, ""},
		{"noncurrent by days of current", []string{rule("a", all, days("1"))}, noncurrent(0), Nothing, noon.Due, ""},
		{"noncurrent by date", []string{rule("a", all, date("2015-01-01"))}, noncurrent(0), Nothing, noon.Due, ""},
		{"noncurrent since", []string{rule("a", all, old2)}, noncurrent(0), RemoveOld, start.Add(20 * time.Second), "a"},
		{"current by noncurrent days", []string{rule("a", all, old2)}, current("k"), Nothing, noon.Due, ""},
		{"five newer", []string{rule("a", all, keep5)}, noncurrent(5), RemoveOld, start.Add(short), "a"},
		{"four newer", []string{rule("a", all, keep5)}, noncurrent(4), Nothing, noon.Due, ""},
		{"four newer, and another rule", []string{rule("a", all, keep5), rule("b", all, old2)}, noncurrent(4), RemoveOld, start.Add(20 * time.Second), "b"},
		{"noncurrent and tagged", []string{rule("a", tagged, old2)}, taggedVersion(noncurrent(0), "v"), RemoveOld, start.Add(20 * time.Second), "a"},
		{"noncurrent and not tagged", []string{rule("a", tagged, old2)}, noncurrent(0), Nothing, noon.Due, ""},
		{"noncurrent marker", []string{rule("a", all, old2)}, oldMarker, RemoveOld, start.Add(20 * time.Second), "a"},
		{"noncurrent marker by size", []string{rule("a", small, old2)}, oldMarker, Nothing, noon.Due, ""},
		{"marker that hides", []string{rule("a", all, days("1")), rule("b", all, markers)}, marker(false), Nothing, noon.Due, ""},
		{"marker alone", []string{rule("b", all, markers)}, marker(true), RemoveMarker, start, "b"},
		{"marker alone stays", []string{rule("b", all, strings.Replace(markers, "true", "false", 1))}, marker(true), Nothing, noon.Due, ""},
		{"marker alone by days", []string{rule("b", all, days("5"))}, marker(true), RemoveMarker, start.Add(50 * time.Second), "b"},
		{"marker alone by size", []string{rule("b", small, days("5"))}, marker(true), Nothing, noon.Due, ""},
		{"marker alone by tag", []string{rule("b", tagged, days("5"))}, marker(true), Nothing, noon.Due, ""},
		{"version by marker rule", []string{rule("b", all, markers)}, current("k"), Nothing, noon.Due, ""},
		{"version by abort rule", []string{rule("b", all, abort)}, current("k"), Nothing, noon.Due, ""},
	} {
		c := parsed(t, row.rules...)
		d := c.Evaluate(row.v, short)
		if d.Action != row.action || !d.Due.Equal(row.due) || d.RuleID != row.rule {
			t.Errorf("%s: %+v", row.name, d)
		}
		if d.Reached(d.Due) != (row.action != Nothing) || d.Reached(d.Due.Add(-1)) {
			t.Errorf("%s is reached at another time", row.name)
		}
	}
}

func TestTrueDaysEndAtMidnight(t *testing.T) {
	for in, want := range map[string]string{
		"2014-01-15T10:30:00Z": "2014-01-19T00:00:00Z", "2014-01-15T00:00:00Z": "2014-01-18T00:00:00Z", "2014-01-15T00:00:00.000000001Z": "2014-01-19T00:00:00Z",
		"2014-01-15T23:59:59Z": "2014-01-19T00:00:00Z", "2014-01-15T23:30:00-01:00": "2014-01-20T00:00:00Z", "2024-02-27T12:00:00Z": "2024-03-02T00:00:00Z",
	} {
		at, err := time.Parse(time.RFC3339, in)
		if err != nil {
			t.Fatal(err)
		}
		if got := after(at, 3, Day).Format(time.RFC3339Nano); got != want {
			t.Errorf("three days after %s are %s", in, got)
		}
	}
	for _, day := range []time.Duration{Day, 1 << 62, 0, -1} {
		if got := after(start, 1<<31-1, day); got.Year() != 9999 {
			t.Errorf("the end of time in days of %v is %v", day, got)
		}
	}
	if got := after(start, 106000, Day); got.Year() != 2317 {
		t.Errorf("290 years later is %v", got)
	}
}

func TestHeaders(t *testing.T) {
	c := parsed(t, id("my rule&#13;&#10;\"x\"")+"<Prefix>days1/</Prefix>"+on+oneDay, id("up")+"<Prefix/>"+on+abort, id("up2")+"<Prefix>days1/</Prefix>"+on+strings.Replace(abort, "2", "1", 1))
	const want = `expiry-date="Tue, 24 Nov 2026 00:00:00 GMT", rule-id="my+rule%0D%0A%22x%22"`
	for key, want := range map[string]string{"days1/foo": want, "foo": ""} {
		if got := c.ExpirationHeader(current(key)); got != want {
			t.Errorf("%s: %s", key, got)
		}
	}
	hidden, m := current("days1/foo"), current("days1/foo")
	hidden.Current, m.DeleteMarker = false, true
	if c.ExpirationHeader(hidden) != "" || c.ExpirationHeader(m) != "" {
		t.Error("what is not current expires")
	}
	for key, want := range map[string]string{"days1/foo": "Tue, 24 Nov 2026 00:00:00 GMT up2", "foo": "Wed, 25 Nov 2026 00:00:00 GMT up"} {
		if date, rule := c.AbortHeaders(key, start); date+" "+rule != want {
			t.Errorf("%s: %s %s", key, date, rule)
		}
	}
	if date, rule := parsed(t, all+on+oneDay).AbortHeaders("k", start); date+rule != "" {
		t.Errorf("aborted by another action: %s %s", date, rule)
	}
}

func TestUploadsAreAborted(t *testing.T) {
	c := parsed(t, id("a")+"<Prefix>test1/</Prefix>"+on+abort, id("b")+"<Prefix/><Status>Disabled</Status>"+abort, id("c")+all+on+oneDay)
	if d := c.EvaluateUpload("test1/a", start, short); d.Action != AbortUpload || !d.Due.Equal(start.Add(20*time.Second)) || d.RuleID != "a" {
		t.Errorf("%+v", d)
	}
	if d := c.EvaluateUpload("test2/a", start, short); d.Action != Nothing {
		t.Errorf("%+v", d)
	}
}

func TestRulesThatNeverRemove(t *testing.T) {
	for rule, want := range map[string]bool{
		all + on + oneDay: true, all + on + abort: true, all + on + markers: true, all + on + date("2030-01-01"): true, all + on + old("<NoncurrentDays>1</NoncurrentDays>"): true,
		all + "<Status>Disabled</Status>" + oneDay: false, all + on + strings.Replace(markers, "true", "false", 1): false,
		all + on + strings.Replace(markers, "true", "false", 1) + abort: true,
	} {
		if parsed(t, rule).Removes() != want {
			t.Errorf("%s: %v", rule, !want)
		}
	}
}
