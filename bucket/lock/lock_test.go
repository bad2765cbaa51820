package lock

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/bucket/versioning"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

var now = time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)

const (
	head   = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	space  = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
	badXML = "300 The XML you provided was not well-formed or did not validate against our published schema"
	period = "322 Default retention period must be a positive integer value."
	past   = "109 The retain until date must be in the future!"
)

// failure is an error as "kind message"; "" for none.
func failure(err error) string {
	if e := (*kind.Error)(nil); errors.As(err, &e) {
		return fmt.Sprint(e.Kind, " ", e.Message)
	}
	return ""
}

func document(inside string) string {
	return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>" + inside + "</ObjectLockConfiguration>"
}

func rule(inside string) string {
	return "<Rule><DefaultRetention>" + inside + "</DefaultRetention></Rule>"
}

func TestConfigurations(t *testing.T) {
	const gov, comp = "<Mode>GOVERNANCE</Mode>", "<Mode>COMPLIANCE</Mode>"
	for _, row := range []struct{ in, failure string }{
		{document(""), ""},
		{document(rule(gov + "<Days>1</Days>")), ""},
		{document(rule(comp + "<Years>100</Years>")), ""},
		{document(rule(gov + "<Days>36500</Days>")), ""},
		{document(rule(gov + "<Days>1</Days><Years>1</Years>")), badXML},
		{document(rule(gov)), badXML},
		{document(rule("<Days>1</Days>")), badXML},
		{document(rule(gov + "<Days>0</Days>")), period},
		{document(rule(gov + "<Years>-1</Years>")), period},
		{document(rule(gov + "<Days>-9223372036854775808</Days>")), period},
		{document(rule(gov + "<Days>36501</Days>")), "109 Default retention period is too large."},
		{document(rule(gov + "<Years>101</Years>")), "109 Default retention period is too large."},
		{document(rule(gov + "<Days>one</Days>")), badXML},
		{document(rule("<Mode>abc</Mode><Years>1</Years>")), badXML},
		{document(rule("<Mode>governance</Mode><Years>1</Years>")), badXML},
		{document("<Rule/>"), badXML},
		{document(rule(gov+"<Days>1</Days>") + rule(gov+"<Days>1</Days>")), badXML},
		{strings.Replace(document(rule(gov+"<Days>1</Days>")), ">Enabled", ">Disabled", 1), badXML},
		{"<ObjectLockConfiguration/>", badXML},
		{"<ObjectLock/>", badXML},
		{document(strings.Repeat(" ", MaxBytes)), badXML},
	} {
		c, err := Parse(row.in)
		if failure(err) != row.failure {
			t.Errorf("%s: %v", row.in, err)
		}
		if err == nil {
			if got, want := xmlio.Document(c), head+strings.Replace(row.in, "Configuration>", "Configuration"+space+">", 1); got != want {
				t.Errorf("%s became %s", row.in, got)
			}
		}
	}
}

func TestDefaultRetentions(t *testing.T) {
	leap := time.Date(2028, 2, 29, 1, 2, 3, 4_000_001, time.UTC)
	for _, row := range []struct {
		d           Default
		now, latest time.Time
		want        string
	}{
		{Default{}, now, now, "0001-01-01T00:00:00.000Z"},
		{Default{Governance, 1, 0}, now, now, "2026-11-23T10:30:00.000Z"},
		{Default{Compliance, 0, 1}, leap, time.Time{}, "2029-03-01T01:02:03.005Z"},
		{Default{Compliance, 36500, 0}, now, now, "2126-10-29T10:30:00.000Z"},
		{Default{Compliance, 1, 0}, now.AddDate(-1, 0, 0), now, "2026-11-23T10:30:00.000Z"}, // the clock jumped back
		{Default{Compliance, 1, 0}, now.In(time.FixedZone("", 3600)), now, "2026-11-23T10:30:00.000Z"},
	} {
		got := row.d.Retention(row.now, row.latest)
		if got.Date() != row.want || got.Mode != row.d.Mode {
			t.Errorf("%+v: %+v", row, got)
		}
	}
}

func TestRetentionDocuments(t *testing.T) {
	retention := func(inside string) string { return "<Retention>" + inside + "</Retention>" }
	until := func(s string) string { return "<RetainUntilDate>" + s + "</RetainUntilDate>" }
	const gov = "<Mode>GOVERNANCE</Mode>"
	for _, row := range []struct{ in, out, failure string }{
		{retention(""), retention(""), ""},
		{retention(gov + until("2030-01-01T00:00:00Z")), retention(gov + until("2030-01-01T00:00:00.000Z")), ""},
		{retention(until("2140-01-01T00:00:00.0001+01:00") + "<Mode>COMPLIANCE</Mode>"), retention("<Mode>COMPLIANCE</Mode>" + until("2139-12-31T23:00:00.001Z")), ""},
		{retention(gov + until("2026-11-22T10:30:00Z")), "", past},
		{retention(gov + until("2026-11-22T10:30:00.001Z")), retention(gov + until("2026-11-22T10:30:00.001Z")), ""},
		{retention(gov), "", badXML},
		{retention(until("2030-01-01T00:00:00Z")), "", badXML},
		{retention("<Mode>governance</Mode>" + until("2030-01-01T00:00:00Z")), "", badXML},
		{retention("<Mode>abc</Mode>" + until("2030-01-01T00:00:00Z")), "", badXML},
		{retention("<Mode/>" + until("2030-01-01T00:00:00Z")), "", badXML},
		{retention(gov + until("2030-01-01")), "", badXML},
		{retention(gov + until("Tue, 01 Jan 2030 00:00:00 GMT")), "", badXML},
		{retention(gov + until("9999-12-31T23:59:59.9999Z")), "", badXML},
		{retention(gov + until("0000-01-01T00:00:00Z")), "", badXML},
		{retention(gov + gov + until("2030-01-01T00:00:00Z")), "", badXML},
		{"<Lock/>", "", badXML},
	} {
		r, err := ParseRetention(row.in, now)
		if failure(err) != row.failure {
			t.Errorf("%s: %v", row.in, err)
		}
		if err == nil {
			if got, want := xmlio.Document(r), head+strings.Replace(row.out, "<Retention", "<Retention"+space, 1); got != want {
				t.Errorf("%s became %s", row.in, got)
			}
		}
	}
}

func TestHoldDocuments(t *testing.T) {
	for in, want := range map[string]string{
		"<LegalHold><Status>ON</Status></LegalHold>": "ON", "<LegalHold><Status>OFF</Status></LegalHold>": "OFF",
		"<LegalHold><Status>on</Status></LegalHold>": "", "<LegalHold><Status>abc</Status></LegalHold>": "", "<LegalHold/>": "", "<Hold/>": "",
	} {
		h, err := ParseHold(in)
		if err == nil && h.String() != want || (want == "") != kind.Is(err, kind.MalformedXML) {
			t.Errorf("%s: %v, %v", in, h, err)
		}
		if err == nil {
			if got := xmlio.Document(h); got != head+"<LegalHold"+space+"><Status>"+want+"</Status></LegalHold>" {
				t.Error(got)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	const date = "2030-01-01T00:00:00Z"
	for _, row := range []struct {
		h       Headers
		want    string
		failure string
	}{
		{Headers{}, " 0001-01-01T00:00:00.000Z OFF", ""},
		{Headers{Hold: "ON"}, " 0001-01-01T00:00:00.000Z ON", ""},
		{Headers{"GOVERNANCE", date, "OFF"}, "GOVERNANCE 2030-01-01T00:00:00.000Z OFF", ""},
		{Headers{"COMPLIANCE", date, "ON"}, "COMPLIANCE 2030-01-01T00:00:00.000Z ON", ""},
		{Headers{"GOVERNANCE", date, "on"}, "", "109 Legal Hold must be either of 'ON' or 'OFF'"},
		{Headers{"GOVERNANCE", "", ""}, "", "109 x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"},
		{Headers{"", date, ""}, "", "109 x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"},
		{Headers{"governance", date, ""}, "", "109 Unknown wormMode directive."},
		{Headers{"GOVERNANCE", "tomorrow", ""}, "", "109 The retain until date must be provided in ISO 8601 format"},
		{Headers{"GOVERNANCE", "2020-01-01T00:00:00Z", "ON"}, "", past},
	} {
		r, h, err := row.h.Parse(now)
		if got := fmt.Sprint(r.Mode, " ", r.Date(), " ", h); failure(err) != row.failure || err == nil && got != row.want {
			t.Errorf("%+v: %s, %v", row.h, got, err)
		}
		if row.h.Any() != (row.h != Headers{}) {
			t.Errorf("%+v: any", row.h)
		}
	}
}

func TestBuckets(t *testing.T) {
	if CheckBucket(true) != nil || failure(CheckBucket(false)) != "110 Bucket is missing Object Lock Configuration" {
		t.Error("a bucket without object lock")
	}
	for v, ok := range map[versioning.State]bool{versioning.Enabled: true, versioning.Suspended: false, versioning.Unset: false} {
		if err := CheckEnable(v); (err == nil) != ok || !ok && !kind.Is(err, kind.InvalidBucketState) {
			t.Errorf("%q: %v", v, err)
		}
	}
}

func FuzzLock(f *testing.F) {
	for _, s := range []string{document(rule("<Mode>COMPLIANCE</Mode><Years>7</Years>")), "<LegalHold><Status>ON</Status></LegalHold>",
		"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00.0001Z</RetainUntilDate></Retention>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if c, err := Parse(in); err == nil {
			if again, err := Parse(xmlio.Document(c)); err != nil || *again != *c {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
			if got := c.Default.Retention(now, now); c.Default.Mode != NoMode && !got.Until.After(now) {
				t.Fatalf("%+v is %+v", c, got)
			}
		}
		if r, err := ParseRetention(in, now); err == nil {
			if again, err := ParseRetention(xmlio.Document(r), now); err != nil || again.Mode != r.Mode || !again.Until.Equal(r.Until) {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
		if h, err := ParseHold(in); err == nil {
			if again, err := ParseHold(xmlio.Document(h)); err != nil || again != h {
				t.Fatalf("%v became %v, %v", h, again, err)
			}
		}
	})
}
