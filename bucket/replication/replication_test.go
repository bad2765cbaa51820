package replication

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast/bucket/tagging"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const (
	role    = "<Role>arn:aws:iam::1:role/r</Role>"
	on      = "<Status>Enabled</Status>"
	bucket  = "<Bucket>arn:aws:s3:::copies</Bucket>"
	dest    = "<Destination>" + bucket + "</Destination>"
	markers = "<DeleteMarkerReplication><Status>Disabled</Status></DeleteMarkerReplication>"
	tagged  = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>"
	kms     = "<SourceSelectionCriteria><SseKmsEncryptedObjects>" + on + "</SseKmsEncryptedObjects></SourceSelectionCriteria>"
	keyed   = "<EncryptionConfiguration><ReplicaKmsKeyID>arn:aws:kms:r:1:key/k</ReplicaKmsKeyID></EncryptionConfiguration>"
	badXML  = "300 The XML you provided was not well-formed or did not validate against our published schema"
	version = " for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more information."
)

func document(rules ...string) string {
	return "<ReplicationConfiguration>" + role + "<Rule>" + strings.Join(rules, "</Rule><Rule>") + "</Rule></ReplicationConfiguration>"
}

func id(s string) string { return "<ID>" + s + "</ID>" }

func first(n int) string { return fmt.Sprintf("<Priority>%d</Priority>", n) }

func to(inside string) string { return "<Destination>" + bucket + inside + "</Destination>" }

// rule is one of the newer form.
func rule(name string, priority int, filter, rest string) string {
	return id(name) + first(priority) + filter + on + rest
}

// failure is an error as "kind message"; "" for none.
func failure(err error) string {
	if e := (*kind.Error)(nil); errors.As(err, &e) {
		return fmt.Sprint(e.Kind, " ", e.Message)
	}
	return ""
}

func TestDocumentsArePrinted(t *testing.T) {
	for _, in := range []string{
		rule("a", 1, "<Filter></Filter>", dest+markers),
		rule("a", 0, tagged, kms+"<ExistingObjectReplication>"+on+"</ExistingObjectReplication>"+to("<Account>1</Account><StorageClass>STANDARD</StorageClass>"+
			"<AccessControlTranslation><Owner>Destination</Owner></AccessControlTranslation>"+keyed+"<ReplicationTime>"+on+"<Time><Minutes>15</Minutes></Time></ReplicationTime>"+
			"<Metrics>"+on+"<EventThreshold><Minutes>15</Minutes></EventThreshold></Metrics>")+markers),
		id("a") + "<Prefix>x</Prefix><Status>Disabled</Status>" + dest,
		id("a") + "<Prefix></Prefix>" + on + dest,
		rule("a", 1, "<Filter><Prefix>x</Prefix></Filter>", "<SourceSelectionCriteria><ReplicaModifications>"+on+"</ReplicaModifications></SourceSelectionCriteria>"+to("<Metrics><Status>Disabled</Status></Metrics>")+
			strings.Replace(markers, "Disabled", "Enabled", 1)),
	} {
		c, err := Parse(document(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + strings.Replace(document(in), "Configuration>", `Configuration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`, 1)
		if got := xmlio.Document(c); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	ok := rule("a", 1, "<Filter/>", dest+markers)
	many := make([]string, 1001)
	for i := range many {
		many[i] = rule(fmt.Sprint(i), i, "<Filter/>", dest+markers)
	}
	for _, row := range []struct{ name, in, failure string }{
		{"thousand", document(many[:1000]...), ""},
		{"too many", document(many...), "110 The number of replication rules must not exceed the allowed limit of 1000 rules."},
		{"no rule", "<ReplicationConfiguration>" + role + "</ReplicationConfiguration>", badXML},
		{"no role", strings.Replace(document(ok), role, "", 1), badXML},
		{"bad role", strings.Replace(document(ok), "arn:aws:iam::1:role/r", "me", 1), "109 Invalid Role specified in replication configuration"},
		{"long ID", document(rule(strings.Repeat("i", 256), 1, "<Filter/>", dest+markers)), "109 The maximum value for ID is 255 characters"},
		{"same ID", document(ok, rule("a", 2, "<Filter/>", dest+markers)), "109 Rule Id must be unique. Found same Id for more than one rule"},
		{"same priority", document(ok, rule("b", 1, "<Filter/>", dest+markers)), "110 Found duplicate priority 1 in the replication configuration. Priority must be unique."},
		{"no priority", document("<Filter/>" + on + dest + markers), "110 Priority must be specified" + version},
		{"negative priority", document(rule("a", -1, "<Filter/>", dest+markers)), badXML},
		{"no word on markers", document(rule("a", 1, "<Filter/>", dest)), "110 DeleteMarkerReplication must be specified" + version},
		{"markers by tag", document(rule("a", 1, tagged, dest+strings.Replace(markers, "Disabled", "Enabled", 1))),
			"110 Delete marker replication is not supported if any Tag filter is specified. Please refer to S3 Developer Guide for more information."},
		{"prefix and filter", document(rule("a", 1, "<Prefix/><Filter/>", dest+markers)), badXML},
		{"size", document(rule("a", 1, "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>", dest+markers)), badXML},
		{"old with priority", document(rule("a", 1, "<Prefix/>", dest)), "110 Priority and DeleteMarkerReplication cannot be specified" + version},
		{"old and new", document(ok, "<Prefix/>"+on+dest), "110 All rules in the replication configuration must be of one version: with Filter and Priority, or with Prefix alone."},
		{"old, overlapping", document("<Prefix>ab</Prefix>"+on+dest, "<Prefix>c</Prefix>"+on+dest, "<Prefix>a</Prefix>"+on+dest), "110 Found overlapping prefixes 'a' and 'ab'"},
		{"old, elsewhere", document("<Prefix>a</Prefix>"+on+dest, "<Prefix>b</Prefix>"+on+strings.Replace(dest, "copies", "others", 1)), "110 The destination bucket must be same for all rules"},
		{"bad status", document(strings.Replace(ok, "Enabled", "enabled", 1)), badXML},
		{"no status", document("<Prefix/>" + dest), badXML},
		{"no destination", document(rule("a", 1, "<Filter/>", markers)), badXML},
		{"no ARN", document(strings.Replace(ok, "arn:aws:s3:::copies", "copies", 1)), "109 Invalid bucket ARN"},
		{"no bucket", document(strings.Replace(ok, "arn:aws:s3:::copies", "arn:aws:s3:::", 1)), "109 Invalid bucket ARN"},
		{"bucket and key", document(strings.Replace(ok, "copies", "copies/x", 1)), "109 Invalid bucket ARN"},
		{"class", document(rule("a", 1, "<Filter/>", to("<StorageClass>TAPE</StorageClass>")+markers)), badXML},
		{"owner alone", document(rule("a", 1, "<Filter/>", to("<AccessControlTranslation><Owner>Destination</Owner></AccessControlTranslation>")+markers)), "110 Account must be specified if AccessControlTranslation is present"},
		{"other owner", document(rule("a", 1, "<Filter/>", to("<Account>1</Account><AccessControlTranslation><Owner>Me</Owner></AccessControlTranslation>")+markers)), badXML},
		{"KMS without key", document(rule("a", 1, "<Filter/>", kms+dest+markers)), "110 EncryptionConfiguration must be specified if SseKmsEncryptedObjects tag is enabled"},
		{"key without KMS", document(rule("a", 1, "<Filter/>", to(keyed)+markers)), "110 SseKmsEncryptedObjects must be enabled if EncryptionConfiguration is present"},
		{"other time", document(rule("a", 1, "<Filter/>", to("<ReplicationTime>"+on+"<Time><Minutes>5</Minutes></Time></ReplicationTime>")+markers)), "109 Time must be 15 minutes"},
		{"unknown", document(ok + "<Other/>"), badXML},
		{"no XML", "rules", badXML},
	} {
		if _, err := Parse(row.in); failure(err) != row.failure {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestRulesWithoutIDsGetTheirOwn(t *testing.T) {
	c, err := Parse(document(first(1)+"<Filter/>"+on+dest+markers, first(2)+"<Filter/>"+on+dest+markers))
	if err != nil || c.Rules[0].ID == "" || c.Rules[1].ID == "" || c.Rules[0].ID == c.Rules[1].ID {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWhichRulesCoverAKey(t *testing.T) {
	other := strings.Replace(dest, "copies", "others", 1)
	c, err := Parse(document(
		rule("all", 1, "<Filter/>", dest+markers),
		rule("a", 5, "<Filter><Prefix>a/</Prefix></Filter>", dest+markers),
		rule("tag", 3, tagged, other+markers),
		rule("other", 2, "<Filter><Prefix>a/</Prefix></Filter>", other+markers),
		strings.Replace(rule("off", 9, "<Filter/>", dest+markers), "Enabled", "Disabled", 1),
	))
	if err != nil {
		t.Fatal(err)
	}
	tags := tagging.Set{{Key: "k", Value: "v"}}
	for _, row := range []struct {
		key  string
		tags tagging.Set
		want string
	}{{"x", nil, "all"}, {"a/x", nil, "a other"}, {"a/x", tags, "a tag"}, {"x", tags, "tag all"}} {
		var got []string
		for _, r := range c.Covering(row.key, row.tags) {
			got = append(got, r.ID)
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%s %v: %v", row.key, row.tags, got)
		}
	}
	old, err := Parse(document(id("p")+"<Prefix>p</Prefix>"+on+dest, id("q")+"<Prefix>q</Prefix>"+on+dest))
	if err != nil {
		t.Fatal(err)
	}
	if got := old.Covering("pq", nil); len(got) != 1 || got[0].ID != "p" || !got[0].ReplicatesMarkers() || c.Rules[0].ReplicatesMarkers() {
		t.Errorf("%+v", got)
	}
	if got := old.Covering("x", nil); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func FuzzReplication(f *testing.F) {
	for _, s := range []string{document(rule("a", 1, tagged, kms+to(keyed)+markers)), document("<Prefix>a</Prefix>"+on+dest, on+dest), document(rule("b", 7, "<Filter/>", to("<Metrics>"+on+"</Metrics>")+markers))} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, in, key string) {
		c, err := Parse(in)
		if err != nil {
			return
		}
		text := xmlio.Document(c)
		if again, err := Parse(text); err != nil || xmlio.Document(again) != text {
			t.Fatalf("%q became %+v, %v", text, again, err)
		}
		c.Covering(key, nil)
	})
}
