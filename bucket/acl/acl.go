package acl

import (
	"slices"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

const (
	// MaxGrants is S3's limit.
	MaxGrants = 100
	// MaxBytes is the longest document.
	MaxBytes = 128 << 10
)

// Permission is what a grant allows.
type Permission string

// The permissions.
const (
	Read        Permission = "READ"
	Write       Permission = "WRITE"
	ReadACP     Permission = "READ_ACP"
	WriteACP    Permission = "WRITE_ACP"
	FullControl Permission = "FULL_CONTROL"
)

func (p Permission) known() bool {
	return slices.Contains([]Permission{Read, Write, ReadACP, WriteACP, FullControl}, p)
}

// The groups that can be granted something, by their URIs.
const (
	AllUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	AuthenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	LogDelivery        = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

func isGroup(uri string) bool {
	return uri == AllUsers || uri == AuthenticatedUsers || uri == LogDelivery
}

// User is somebody by canonical ID. The name is for people, and may be missing.
type User struct{ ID, Name string }

// Directory knows the users. It is asked while a document or header is read.
type Directory interface {
	// ByID finds the user with a canonical ID.
	ByID(id string) (User, bool)
	// ByEmail finds the user with an e-mail address.
	ByEmail(email string) (User, bool)
}

// Grant gives a permission to a user or, where Group is set, to a group by URI.
type Grant struct {
	User       User
	Group      string
	Permission Permission
}

// List is the access control list of a bucket or object. Grants to groups come first, else they
// stay in the order in which they were given.
type List struct {
	Owner  User
	Grants []Grant
}

// groupsFirst puts grants in their order, the one that s3-tests expects.
func groupsFirst(grants []Grant) []Grant {
	slices.SortStableFunc(grants, func(a, b Grant) int {
		switch {
		case a.Group != "" && b.Group == "":
			return -1
		case a.Group == "" && b.Group != "":
			return 1
		}
		return 0
	})
	return grants
}

// Parse reads the document. A nil Directory takes IDs as they are and no e-mail addresses: for
// what was stored.
func Parse(doc string, dir Directory) (*List, error) {
	root, err := xmlio.Decode(doc, "AccessControlPolicy", MaxBytes)
	if err != nil {
		return nil, malformed()
	}
	f, err := root.Fields("Owner/", "AccessControlList/")
	if err != nil {
		return nil, malformed()
	}
	owner, err := f["Owner"][0].Fields("ID", "DisplayName?")
	if err != nil {
		return nil, malformed()
	}
	list, err := f["AccessControlList"][0].Fields("Grant/*")
	if err != nil || len(list["Grant"]) > MaxGrants {
		return nil, malformed()
	}
	l := &List{Owner: User{owner.Text("ID"), owner.Text("DisplayName")}}
	if l.Owner, err = byID(l.Owner, dir); err != nil {
		return nil, err
	}
	for _, e := range list["Grant"] {
		g, err := parseGrant(e, dir)
		if err != nil {
			return nil, err
		}
		l.Grants = append(l.Grants, g)
	}
	l.Grants = groupsFirst(l.Grants)
	return l, nil
}

func parseGrant(e xmlio.Element, dir Directory) (g Grant, err error) {
	f, err := e.Fields("Grantee/", "Permission")
	if err != nil {
		return g, malformed()
	}
	g.Permission = Permission(f.Word("Permission"))
	if !g.Permission.known() {
		return g, malformed()
	}
	grantee := f["Grantee"][0]
	switch grantee.Attr("type") {
	case "CanonicalUser":
		if f, err = grantee.Fields("ID", "DisplayName?"); err != nil {
			return g, malformed()
		}
		g.User, err = byID(User{f.Text("ID"), f.Text("DisplayName")}, dir)
	case "Group":
		if f, err = grantee.Fields("URI"); err != nil {
			return g, malformed()
		}
		if g.Group = f.Word("URI"); !isGroup(g.Group) {
			err = badGroup()
		}
	case "AmazonCustomerByEmail":
		if f, err = grantee.Fields("EmailAddress", "DisplayName?"); err != nil {
			return g, malformed()
		}
		g.User, err = byEmail(f.Word("EmailAddress"), dir)
	default:
		err = malformed()
	}
	return g, err
}

// byID finds a user. What a Directory says of the name replaces what the client said.
func byID(u User, dir Directory) (User, error) {
	if u.ID == "" {
		return User{}, badID()
	}
	if dir == nil {
		return u, nil
	}
	known, ok := dir.ByID(u.ID)
	if !ok {
		return User{}, badID()
	}
	return known, nil
}

func byEmail(email string, dir Directory) (User, error) {
	if dir != nil && email != "" {
		if u, ok := dir.ByEmail(email); ok {
			return u, nil
		}
	}
	return User{}, kind.New(kind.UnresolvableGrant, "The email address you provided does not match any account on record.")
}

func malformed() error {
	return kind.New(kind.MalformedACL, "The XML you provided was not well-formed or did not validate against our published schema")
}

func badID() error    { return kind.New(kind.InvalidArgument, "Invalid id") }
func badGroup() error { return kind.New(kind.InvalidArgument, "Invalid group uri") }

// CheckOwner refuses a list that names another owner than there is: nobody can give a bucket or an
// object away.
func (l *List) CheckOwner(owner User) error {
	if l.Owner.ID != owner.ID {
		return kind.New(kind.AccessDenied, "Access Denied")
	}
	return nil
}

// WriteXML prints the document.
func (l *List) WriteXML(x *xmlio.Writer) {
	x.Root("AccessControlPolicy")
	x.Open("Owner")
	l.Owner.write(x)
	x.Close("Owner")
	x.Open("AccessControlList")
	for i := range l.Grants {
		g := &l.Grants[i]
		x.Open("Grant")
		if g.Group != "" {
			x.Open(granteeTag + `"Group"`)
			x.Elem("URI", g.Group)
		} else {
			x.Open(granteeTag + `"CanonicalUser"`)
			g.User.write(x)
		}
		x.Close("Grantee")
		x.Elem("Permission", string(g.Permission))
		x.Close("Grant")
	}
	x.Close("AccessControlList")
	x.Close("AccessControlPolicy")
}

const granteeTag = `Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type=`

func (u User) write(x *xmlio.Writer) {
	x.Elem("ID", u.ID)
	x.Some("DisplayName", u.Name)
}
