package lifecycle

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`

func document(rules ...string) string {
	return "<LifecycleConfiguration><Rule>" + strings.Join(rules, "</Rule><Rule>") + "</Rule></LifecycleConfiguration>"
}

const (
	on       = "<Status>Enabled</Status>"
	all      = "<Filter/>"
	oneDay   = "<Expiration><Days>1</Days></Expiration>"
	markers  = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
	abort    = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
	tagged   = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>"
	sized    = "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>"
	badXML   = "300 The XML you provided was not well-formed or did not validate against our published schema"
	midnight = "109 'Date' must be at midnight GMT"
	unbuilt  = "3 Lifecycle transitions to other storage classes (Transition, NoncurrentVersionTransition) are not implemented"
)

func date(s string) string { return "<Expiration><Date>" + s + "</Date></Expiration>" }

func id(s string) string { return "<ID>" + s + "</ID>" }

func old(inside string) string {
	return "<NoncurrentVersionExpiration>" + inside + "</NoncurrentVersionExpiration>"
}

func transition(inside string) string { return "<Transition>" + inside + "</Transition>" }

// failure is an error as "kind message"; "" for none.
func failure(err error) string {
	if e := (*kind.Error)(nil); errors.As(err, &e) {
		return fmt.Sprint(e.Kind, " ", e.Message)
	}
	return ""
}

func TestRules(t *testing.T) {
	for _, row := range []struct{ in, out string }{
		{id("r") + oneDay + "<Prefix>test1/</Prefix>" + on, id("r") + "<Prefix>test1/</Prefix>" + on + oneDay},
		{id("r") + "<Prefix/><Status>Disabled</Status>" + oneDay, id("r") + "<Prefix></Prefix><Status>Disabled</Status>" + oneDay},
		{id("r") + all + on + markers, id("r") + "<Filter></Filter>" + on + markers},
		{id("r") + all + on + strings.Replace(markers, "true", "false", 1), id("r") + "<Filter></Filter>" + on + strings.Replace(markers, "true", "false", 1)},
		{id("r") + all + on + date("2017-09-27"), id("r") + "<Filter></Filter>" + on + date("2017-09-27T00:00:00.000Z")},
		{id("r") + all + on + date("2017-09-27T02:00:00+02:00"), id("r") + "<Filter></Filter>" + on + date("2017-09-27T00:00:00.000Z")},
		{id("r") + tagged + on + oneDay, id("r") + tagged + on + oneDay},
		{id("r") + all + on + old("<NoncurrentDays>2</NoncurrentDays>"), id("r") + "<Filter></Filter>" + on + old("<NoncurrentDays>2</NoncurrentDays>")},
		{id("r") + all + on + old("<NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions>") + markers + abort,
			id("r") + "<Filter></Filter>" + on + markers + old("<NewerNoncurrentVersions>100</NewerNoncurrentVersions><NoncurrentDays>2</NoncurrentDays>") + abort},
		{id(strings.Repeat("é", 255)) + all + on + abort, id(strings.Repeat("é", 255)) + "<Filter></Filter>" + on + abort},
		{id("r") + all + on + "<Expiration><Days> 2147483647 </Days></Expiration>", id("r") + "<Filter></Filter>" + on + "<Expiration><Days>2147483647</Days></Expiration>"},
	} {
		c, err := Parse(document(row.in))
		if err != nil {
			t.Errorf("%s: %v", row.in, err)
			continue
		}
		if got := xmlio.Document(c); got != head+"<Rule>"+row.out+"</Rule></LifecycleConfiguration>" {
			t.Errorf("%s became %s", row.in, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = id(fmt.Sprint(i)) + all + on + abort
	}
	for _, row := range []struct{ name, in, failure string }{
		{"thousand rules", document(many[:1000]...), ""},
		{"too many rules", document(many...), badXML},
		{"no rule", "<LifecycleConfiguration/>", badXML},
		{"long ID", document(id(strings.Repeat("i", 256)) + all + on + oneDay), "109 ID length should not exceed allowed limit of 255"},
		{"same ID", document(id("r")+all+on+oneDay, id("r")+all+on+abort), "109 Rule ID must be unique. Found same ID for more than one rule"},
		{"quiet status", document(all + "<Status>enabled</Status>" + oneDay), badXML},
		{"no status", document(all + oneDay), badXML},
		{"no filter", document(on + oneDay), badXML},
		{"prefix and filter", document("<Prefix/>" + all + on + oneDay), badXML},
		{"no action", document(all + on), "110 At least one action needs to be specified in a rule."},
		{"days 0", document(all + on + "<Expiration><Days>0</Days></Expiration>"), "109 'Days' for Expiration action must be a positive integer"},
		{"days -1", document(all + on + "<Expiration><Days>-1</Days></Expiration>"), "109 'Days' for Expiration action must be a positive integer"},
		{"days too many", document(all + on + "<Expiration><Days>2147483648</Days></Expiration>"), "109 'Days' for Expiration action must be a positive integer"},
		{"days no number", document(all + on + "<Expiration><Days>1.5</Days></Expiration>"), badXML},
		{"days and date", document(all + on + "<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>"), badXML},
		{"days and markers", document(all + on + "<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), badXML},
		{"empty expiration", document(all + on + "<Expiration/>"), badXML},
		{"markers maybe", document(all + on + "<Expiration><ExpiredObjectDeleteMarker>maybe</ExpiredObjectDeleteMarker></Expiration>"), badXML},
		{"by the hour", document(all + on + date("2020-01-01T01:00:00Z")), midnight},
		{"midnight elsewhere", document(all + on + date("2020-01-01T00:00:00+01:00")), midnight},
		{"a second late", document(all + on + date("2020-01-01T00:00:00.001Z")), midnight},
		{"no date", document(all + on + date("20200101")), badXML},
		{"year 0", document(all + on + date("0000-01-01")), badXML},
		{"year 1", document(all + on + date("0001-01-01")), badXML},
		{"beyond the years", document(all + on + date("9999-12-31T23:00:00-01:00")), badXML},
		{"markers by tag", document(tagged + on + markers), "110 ExpiredObjectDeleteMarker cannot be specified with Tags."},
		{"markers by size", document(sized + on + markers), "110 ExpiredObjectDeleteMarker cannot be specified with Object Size."},
		{"abort by tag", document(tagged + on + abort), "110 AbortIncompleteMultipartUpload cannot be specified with Tags."},
		{"abort by size", document(sized + on + abort), "110 AbortIncompleteMultipartUpload cannot be specified with Object Size."},
		{"abort 0", document(all + on + strings.Replace(abort, "2", "0", 1)), "109 'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer"},
		{"old 0", document(all + on + old("<NoncurrentDays>0</NoncurrentDays>")), "109 'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer"},
		{"newer alone", document(all + on + old("<NewerNoncurrentVersions>1</NewerNoncurrentVersions>")), badXML},
		{"newer 0", document(all + on + old("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>0</NewerNoncurrentVersions>")), "109 'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer up to 100"},
		{"newer 101", document(all + on + old("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions>")), "109 'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer up to 100"},
		{"transition", document(all + on + transition("<Days>0</Days><StorageClass>GLACIER</StorageClass>")), unbuilt},
		{"old transition", document(all + on + "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>"), unbuilt},
		{"transition at noon", document(all + on + oneDay + transition("<Date>2022-09-27T12:00:00Z</Date><StorageClass>GLACIER</StorageClass>")), midnight},
		{"transition to nothing", document(all + on + transition("<Days>1</Days>")), badXML},
		{"transition to elsewhere", document(all + on + transition("<Days>1</Days><StorageClass>TAPE</StorageClass>")), badXML},
		{"transition never", document(all + on + transition("<StorageClass>GLACIER</StorageClass>")), badXML},
		{"transition, then a mistake", document(all+on+transition("<Days>1</Days><StorageClass>GLACIER</StorageClass>"), all+on), "110 At least one action needs to be specified in a rule."},
		{"unknown", document(all + on + oneDay + "<Delete/>"), badXML},
		{"long", document(all+on+oneDay) + strings.Repeat(" ", MaxBytes), badXML},
	} {
		if _, err := Parse(row.in); failure(err) != row.failure {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestRulesWithoutIDsGetTheirOwn(t *testing.T) {
	c, err := Parse(document(all+on+oneDay, all+on+oneDay, id("")+all+on+abort, id("mine")+all+on+oneDay))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range c.Rules {
		if r.ID == "" || seen[r.ID] {
			t.Errorf("ID %q", r.ID)
		}
		seen[r.ID] = true
	}
	if again, err := Parse(document(all+on+oneDay, all+on+oneDay, all+on+abort, id("mine")+all+on+oneDay)); err != nil || xmlio.Document(again) != xmlio.Document(c) {
		t.Errorf("the same document got other IDs: %v", err)
	}
	taken, err := Parse(document(id(c.Rules[0].ID)+all+on+abort, all+on+oneDay))
	if err != nil || taken.Rules[0].ID == taken.Rules[1].ID {
		t.Errorf("an ID that was there is given again: %v", err)
	}
}

func FuzzLifecycle(f *testing.F) {
	for _, s := range []string{document(id("r") + all + on + oneDay), document(tagged+on+date("2020-01-01"), "<Prefix>a</Prefix>"+on+abort+old("<NoncurrentDays>1</NoncurrentDays>")), document(sized + on + markers)} {
		f.Add(s, "a", int64(7), int64(1))
	}
	f.Fuzz(func(t *testing.T, in, key string, size, day int64) {
		c, err := Parse(in)
		if err != nil {
			return
		}
		text := xmlio.Document(c)
		again, err := Parse(text)
		if err != nil || xmlio.Document(again) != text {
			t.Fatalf("%q became %v, %v", text, again, err)
		}
		for i := range 8 {
			v := &Version{Key: key, Size: size, Modified: start, NoncurrentSince: start, Current: i&1 > 0, Sole: i&2 > 0, DeleteMarker: i&4 > 0}
			c.Evaluate(v, dayOf(day))
			if h := c.ExpirationHeader(v); strings.ContainsAny(h, "\r\n\x00") {
				t.Fatalf("header %q", h)
			}
		}
	})
}
