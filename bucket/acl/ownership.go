package acl

import (
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// Ownership says who owns the objects that are written into a bucket.
type Ownership string

// The kinds of ownership.
const (
	Enforced  Ownership = "BucketOwnerEnforced"  // the bucket's owner; lists are switched off
	Preferred Ownership = "BucketOwnerPreferred" // the bucket's owner, if the writer gives him full control
	Writer    Ownership = "ObjectWriter"         // who writes
)

// Known says whether it is one of the kinds.
func (o Ownership) Known() bool { return o == Enforced || o == Preferred || o == Writer }

// ParseOwnership reads an OwnershipControls document.
func ParseOwnership(doc string) (Ownership, error) {
	root, err := xmlio.Decode(doc, "OwnershipControls", MaxBytes)
	if err != nil {
		return "", err
	}
	f, err := root.Fields("Rule/")
	if err != nil {
		return "", err
	}
	if f, err = f["Rule"][0].Fields("ObjectOwnership"); err != nil {
		return "", err
	}
	o := Ownership(f.Word("ObjectOwnership"))
	if !o.Known() {
		return "", xmlio.Malformed()
	}
	return o, nil
}

// ParseOwnershipHeader reads x-amz-object-ownership; "" is no header.
func ParseOwnershipHeader(header string) (Ownership, error) {
	o := Ownership(header)
	if header != "" && !o.Known() {
		return "", kind.New(kind.InvalidArgument, "Invalid x-amz-object-ownership header: %s", header)
	}
	return o, nil
}

// WriteXML prints the document.
func (o Ownership) WriteXML(x *xmlio.Writer) {
	x.Root("OwnershipControls")
	x.Open("Rule")
	x.Elem("ObjectOwnership", string(o))
	x.Close("Rule")
	x.Close("OwnershipControls")
}

// CheckBucketList refuses a bucket whose list gives something to others while lists are switched
// off: as it is made, and when its ownership is changed.
func (o Ownership) CheckBucketList(l *List) error {
	if o == Enforced && l != nil && !l.ownerAlone() {
		return kind.New(kind.BucketACLNotAllowed, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	}
	return nil
}

// CheckSet refuses to set a list (PutBucketAcl, PutObjectAcl) while lists are switched off.
func (o Ownership) CheckSet() error {
	if o == Enforced {
		return kind.New(kind.ACLNotSupported, "The bucket does not allow ACLs")
	}
	return nil
}

// AnonymousID is the owner of what nobody in particular has written, as on AWS. No request comes
// from this ID.
const AnonymousID = "65a011a29cdf8ec533ec3d1ccaae921c"

// NewObject says who owns an object that is about to be written, and its list. No Ownership is
// Enforced: whoever has another default passes that. A writer without an ID is anonymous.
func (o Ownership) NewObject(h Headers, writer, bucketOwner User, dir Directory) (*List, error) {
	if o == Enforced || o == "" {
		l, err := h.List(Object, bucketOwner, bucketOwner, dir)
		if err != nil {
			return nil, err
		}
		if h.Any() && h.Canned != cannedOwner && !(h.grants() && l.ownerAlone() && l.Allows(bucketOwner.ID, FullControl, false)) {
			return nil, Enforced.CheckSet()
		}
		return Canned("private", Object, bucketOwner, bucketOwner)
	}
	if writer.ID == "" {
		writer = User{ID: AnonymousID}
	}
	if o == Preferred && h.Canned == cannedOwner {
		writer = bucketOwner
	}
	return h.List(Object, writer, bucketOwner, dir)
}
