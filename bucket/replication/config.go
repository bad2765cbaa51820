// Package replication is a bucket's ReplicationConfiguration: it is validated, printed, and asked
// which rules are for an object.
package replication

import (
	"holdfast/bucket/filter"
	"holdfast/internal/xmlio"
)

const (
	// MaxRules is S3's limit.
	MaxRules = 1000
	// MaxBytes is the longest document, S3's 2 MB.
	MaxBytes = 2 << 20
)

// Switch is a Status; Unsaid if the document has none.
type Switch string

// The values of a Status.
const (
	Unsaid Switch = ""
	On     Switch = "Enabled"
	Off    Switch = "Disabled"
)

// Config is a bucket's rules, in the order of the document.
type Config struct {
	Role  string // an ARN, kept as it is
	Rules []Rule
}

// Rule says what is replicated where.
type Rule struct {
	ID       string // unique, never empty
	Enabled  bool
	Legacy   bool  // of the older form: with a Prefix, without Filter and Priority
	Priority int64 // unique; of rules for one destination the highest counts
	Filter   filter.Filter

	DeleteMarkers        Switch
	ExistingObjects      Switch
	ReplicaModifications Switch
	KMSEncrypted         Switch // whether objects under SSE-KMS are replicated

	Destination Destination
}

// Destination is where replicas go, and how.
type Destination struct {
	Bucket       string // an ARN
	Account      string
	OwnerChanges bool   // the destination's owner owns replicas (AccessControlTranslation)
	StorageClass string // "": that of the object
	KeyID        string // ReplicaKmsKeyID
	Time         Timed  // ReplicationTime
	Metrics      Timed
}

// Timed is a Status with a limit.
type Timed struct {
	Status  Switch
	Minutes int64 // 0: not given
}

// ReplicatesMarkers says whether delete markers are replicated: always by the older form.
func (r *Rule) ReplicatesMarkers() bool { return r.Legacy || r.DeleteMarkers == On }

// WriteXML prints the document.
func (c *Config) WriteXML(x *xmlio.Writer) {
	x.Root("ReplicationConfiguration")
	x.Elem("Role", c.Role)
	for i := range c.Rules {
		c.Rules[i].WriteXML(x)
	}
	x.Close("ReplicationConfiguration")
}

// WriteXML prints a Rule element.
func (r *Rule) WriteXML(x *xmlio.Writer) {
	x.Open("Rule")
	x.Some("ID", r.ID)
	if r.Legacy {
		x.Elem("Prefix", r.Filter.Prefix)
	} else {
		x.Number("Priority", r.Priority)
		r.Filter.WriteXML(x)
	}
	if r.Enabled {
		x.Elem("Status", "Enabled")
	} else {
		x.Elem("Status", "Disabled")
	}
	if r.KMSEncrypted != Unsaid || r.ReplicaModifications != Unsaid {
		x.Open("SourceSelectionCriteria")
		status(x, "SseKmsEncryptedObjects", r.KMSEncrypted)
		status(x, "ReplicaModifications", r.ReplicaModifications)
		x.Close("SourceSelectionCriteria")
	}
	status(x, "ExistingObjectReplication", r.ExistingObjects)
	r.Destination.write(x)
	status(x, "DeleteMarkerReplication", r.DeleteMarkers)
	x.Close("Rule")
}

func status(x *xmlio.Writer, name string, s Switch) {
	if s != Unsaid {
		x.Open(name)
		x.Elem("Status", string(s))
		x.Close(name)
	}
}

func (d *Destination) write(x *xmlio.Writer) {
	x.Open("Destination")
	x.Elem("Bucket", d.Bucket)
	x.Some("Account", d.Account)
	x.Some("StorageClass", d.StorageClass)
	if d.OwnerChanges {
		x.Open("AccessControlTranslation")
		x.Elem("Owner", "Destination")
		x.Close("AccessControlTranslation")
	}
	if d.KeyID != "" {
		x.Open("EncryptionConfiguration")
		x.Elem("ReplicaKmsKeyID", d.KeyID)
		x.Close("EncryptionConfiguration")
	}
	d.Time.write(x, "ReplicationTime", "Time")
	d.Metrics.write(x, "Metrics", "EventThreshold")
	x.Close("Destination")
}

func (t Timed) write(x *xmlio.Writer, name, limit string) {
	if t.Status == Unsaid {
		return
	}
	x.Open(name)
	x.Elem("Status", string(t.Status))
	if t.Minutes > 0 {
		x.Open(limit)
		x.Number("Minutes", t.Minutes)
		x.Close(limit)
	}
	x.Close(name)
}
