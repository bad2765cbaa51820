package replication

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/bucket/filter"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const (
	maxID  = 255  // characters
	maxARN = 2048 // bytes; of a role or a key
)

// Parse reads the document. A rule without an ID gets one that follows from what it says.
func Parse(doc string) (*Config, error) {
	root, err := xmlio.Decode(doc, "ReplicationConfiguration", MaxBytes)
	if err != nil {
		return nil, err
	}
	f, err := root.Fields("Role", "Rule/+")
	if err != nil {
		return nil, err
	}
	c := &Config{Role: f.Word("Role")}
	switch {
	case len(f["Rule"]) > MaxRules:
		return nil, badRequest("The number of replication rules must not exceed the allowed limit of %d rules.", MaxRules)
	case !strings.HasPrefix(c.Role, "arn:") || len(c.Role) > maxARN:
		return nil, kind.New(kind.InvalidArgument, "Invalid Role specified in replication configuration")
	}
	for _, e := range f["Rule"] {
		r, err := parseRule(e)
		if err != nil {
			return nil, err
		}
		c.Rules = append(c.Rules, r)
	}
	return c, c.validate()
}

// validate holds the rules against each other, and gives IDs to those without.
func (c *Config) validate() error {
	ids, priorities := make(map[string]bool), make(map[int64]bool)
	for i := range c.Rules {
		r := &c.Rules[i]
		switch {
		case r.Legacy != c.Rules[0].Legacy:
			return badRequest("All rules in the replication configuration must be of one version: with Filter and Priority, or with Prefix alone.")
		case r.ID != "" && ids[r.ID]:
			return kind.New(kind.InvalidArgument, "Rule Id must be unique. Found same Id for more than one rule")
		case !r.Legacy && priorities[r.Priority]:
			return badRequest("Found duplicate priority %d in the replication configuration. Priority must be unique.", r.Priority)
		case r.Legacy && r.Destination.Bucket != c.Rules[0].Destination.Bucket:
			return badRequest("The destination bucket must be same for all rules")
		}
		ids[r.ID], priorities[r.Priority] = true, true
	}
	if err := c.overlapping(); err != nil {
		return err
	}
	for i := range c.Rules {
		if r := &c.Rules[i]; r.ID == "" {
			r.ID = filter.RuleID(r, ids)
		}
	}
	return nil
}

// overlapping refuses rules of the older form whose prefixes begin with each other: nothing says
// which would count. Sorted, the longer one follows the shorter at once.
func (c *Config) overlapping() error {
	if !c.Rules[0].Legacy {
		return nil
	}
	var prefixes []string
	for i := range c.Rules {
		prefixes = append(prefixes, c.Rules[i].Filter.Prefix)
	}
	slices.Sort(prefixes)
	for i := 1; i < len(prefixes); i++ {
		if a, b := prefixes[i-1], prefixes[i]; strings.HasPrefix(b, a) {
			return badRequest("Found overlapping prefixes '%s' and '%s'", a, b)
		}
	}
	return nil
}

func parseRule(e xmlio.Element) (r Rule, err error) {
	f, err := e.Fields("ID?", "Priority?", "Prefix?", "Filter/?", "Status", "SourceSelectionCriteria/?",
		"ExistingObjectReplication/?", "Destination/", "DeleteMarkerReplication/?")
	if err != nil {
		return r, err
	}
	r.ID = f.Text("ID")
	if utf8.RuneCountInString(r.ID) > maxID {
		return r, kind.New(kind.InvalidArgument, "The maximum value for ID is %d characters", maxID)
	}
	on, err := parseSwitch(f.Word("Status"))
	if err != nil {
		return r, err
	}
	r.Enabled = on == On
	if err := r.parseFilter(f); err != nil {
		return r, err
	}
	if r.DeleteMarkers, err = statusOf(f, "DeleteMarkerReplication"); err != nil {
		return r, err
	}
	if r.ExistingObjects, err = statusOf(f, "ExistingObjectReplication"); err != nil {
		return r, err
	}
	for _, e := range f["SourceSelectionCriteria"] {
		if err := r.parseSource(e); err != nil {
			return r, err
		}
	}
	if r.Destination, err = parseDestination(f["Destination"][0]); err != nil {
		return r, err
	}
	return r, r.validate(f)
}

// parseFilter reads the two forms of a rule: with Filter, or with a Prefix (or nothing) alone.
func (r *Rule) parseFilter(f xmlio.Fields) (err error) {
	if r.Legacy = !f.Has("Filter"); r.Legacy {
		r.Filter, err = filter.OfPrefix(f.Text("Prefix"))
		return err
	}
	if f.Has("Prefix") {
		return xmlio.Malformed()
	}
	if r.Filter, err = filter.Parse(f["Filter"][0], false); err != nil {
		return err
	}
	if r.Priority, err = f.Int("Priority"); err == nil && (r.Priority < 0 || r.Priority > math.MaxInt32) {
		err = xmlio.Malformed()
	}
	return err
}

func (r *Rule) validate(f xmlio.Fields) error {
	const version = " for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more information."
	switch {
	case r.Legacy && (f.Has("Priority") || f.Has("DeleteMarkerReplication")):
		return badRequest("Priority and DeleteMarkerReplication cannot be specified%s", version)
	case !r.Legacy && !f.Has("Priority"):
		return badRequest("Priority must be specified%s", version)
	case !r.Legacy && !f.Has("DeleteMarkerReplication"):
		return badRequest("DeleteMarkerReplication must be specified%s", version)
	case r.DeleteMarkers == On && len(r.Filter.Tags) > 0:
		return badRequest("Delete marker replication is not supported if any Tag filter is specified. Please refer to S3 Developer Guide for more information.")
	case r.KMSEncrypted == On && r.Destination.KeyID == "":
		return badRequest("EncryptionConfiguration must be specified if SseKmsEncryptedObjects tag is enabled")
	case r.KMSEncrypted != On && r.Destination.KeyID != "":
		return badRequest("SseKmsEncryptedObjects must be enabled if EncryptionConfiguration is present")
	}
	return nil
}

func (r *Rule) parseSource(e xmlio.Element) error {
	f, err := e.Fields("SseKmsEncryptedObjects/?", "ReplicaModifications/?")
	if err != nil {
		return err
	}
	if r.KMSEncrypted, err = statusOf(f, "SseKmsEncryptedObjects"); err != nil {
		return err
	}
	r.ReplicaModifications, err = statusOf(f, "ReplicaModifications")
	return err
}

func parseSwitch(s string) (Switch, error) {
	if s := Switch(s); s == On || s == Off {
		return s, nil
	}
	return Unsaid, xmlio.Malformed()
}

// statusOf reads an element that has nothing but a Status; Unsaid without.
func statusOf(f xmlio.Fields, name string) (Switch, error) {
	if !f.Has(name) {
		return Unsaid, nil
	}
	f, err := f[name][0].Fields("Status")
	if err != nil {
		return Unsaid, err
	}
	return parseSwitch(f.Word("Status"))
}

func parseDestination(e xmlio.Element) (d Destination, err error) {
	f, err := e.Fields("Bucket", "Account?", "StorageClass?", "AccessControlTranslation/?", "EncryptionConfiguration/?", "ReplicationTime/?", "Metrics/?")
	if err != nil {
		return d, err
	}
	d = Destination{Bucket: f.Word("Bucket"), Account: f.Word("Account"), StorageClass: f.Word("StorageClass")}
	classes := []string{"", "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"}
	switch {
	case d.Name() == "":
		return d, kind.New(kind.InvalidArgument, "Invalid bucket ARN")
	case !slices.Contains(classes, d.StorageClass):
		return d, xmlio.Malformed()
	}
	for _, e := range f["AccessControlTranslation"] {
		owner, err := e.Fields("Owner")
		switch {
		case err != nil || owner.Word("Owner") != "Destination":
			return d, xmlio.Malformed()
		case d.Account == "":
			return d, badRequest("Account must be specified if AccessControlTranslation is present")
		}
		d.OwnerChanges = true
	}
	for _, e := range f["EncryptionConfiguration"] {
		key, err := e.Fields("ReplicaKmsKeyID")
		if err != nil {
			return d, err
		}
		if d.KeyID = key.Word("ReplicaKmsKeyID"); d.KeyID == "" || len(d.KeyID) > maxARN {
			return d, kind.New(kind.InvalidArgument, "Invalid ReplicaKmsKeyID ARN")
		}
	}
	if d.Time, err = parseTimed(f, "ReplicationTime", "Time"); err != nil {
		return d, err
	}
	d.Metrics, err = parseTimed(f, "Metrics", "EventThreshold")
	return d, err
}

func parseTimed(f xmlio.Fields, name, limit string) (t Timed, err error) {
	if !f.Has(name) {
		return t, nil
	}
	if f, err = f[name][0].Fields("Status", limit+"/?"); err != nil {
		return t, err
	}
	if t.Status, err = parseSwitch(f.Word("Status")); err != nil || !f.Has(limit) {
		return t, err
	}
	if f, err = f[limit][0].Fields("Minutes"); err != nil {
		return t, err
	}
	if t.Minutes, err = f.Int("Minutes"); err == nil && t.Minutes != 15 {
		err = kind.New(kind.InvalidArgument, "%s must be 15 minutes", limit)
	}
	return t, err
}

func badRequest(format string, args ...any) error {
	return kind.New(kind.InvalidRequest, format, args...)
}
