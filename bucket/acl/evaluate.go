package acl

import (
	"slices"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// Allows says whether a list gives a permission to the user with this canonical ID; "" is anonymous.
// With ignorePublic set (IgnorePublicAcls of a PublicAccessBlock), grants to everybody do not
// count. The owner can always read and write the list itself.
func (l *List) Allows(id string, p Permission, ignorePublic bool) bool {
	if l == nil || !p.known() {
		return false
	}
	if id != "" && id == l.Owner.ID && (p == ReadACP || p == WriteACP) {
		return true
	}
	return slices.ContainsFunc(l.Grants, func(g Grant) bool {
		if g.Permission != p && g.Permission != FullControl {
			return false
		}
		switch g.Group {
		case "":
			return id != "" && g.User.ID == id
		case AllUsers:
			return !ignorePublic
		case AuthenticatedUsers:
			return !ignorePublic && id != ""
		}
		return false // LogDelivery: nobody is it
	})
}

// Public says whether a list grants anything to everybody, or to everybody with an account.
func (l *List) Public() bool {
	return l != nil && slices.ContainsFunc(l.Grants, func(g Grant) bool { return g.Group == AllUsers || g.Group == AuthenticatedUsers })
}

// ownerAlone says whether a list grants nothing to others, as lists must that are switched off.
func (l *List) ownerAlone() bool {
	return !slices.ContainsFunc(l.Grants, func(g Grant) bool { return g.Group != "" || g.User.ID != l.Owner.ID })
}

// PublicAccessBlock takes public access away, whatever lists and policies say.
type PublicAccessBlock struct {
	BlockPublicACLs       bool // requests that set a public list are refused
	IgnorePublicACLs      bool // public grants do not count
	BlockPublicPolicy     bool // requests that set a public policy are refused
	RestrictPublicBuckets bool // a public policy counts for the owner's own users alone
}

// ParsePublicAccessBlock reads the document. What is not in it is false.
func ParsePublicAccessBlock(doc string) (PublicAccessBlock, error) {
	var b PublicAccessBlock
	root, err := xmlio.Decode(doc, "PublicAccessBlockConfiguration", MaxBytes)
	if err != nil {
		return b, err
	}
	f, err := root.Fields("BlockPublicAcls?", "IgnorePublicAcls?", "BlockPublicPolicy?", "RestrictPublicBuckets?")
	if err != nil {
		return b, err
	}
	for _, one := range b.fields() {
		if *one.value, err = f.Bool(one.name); err != nil {
			return PublicAccessBlock{}, err
		}
	}
	return b, nil
}

type field struct {
	name  string
	value *bool
}

func (b *PublicAccessBlock) fields() []field {
	return []field{{"BlockPublicAcls", &b.BlockPublicACLs}, {"IgnorePublicAcls", &b.IgnorePublicACLs},
		{"BlockPublicPolicy", &b.BlockPublicPolicy}, {"RestrictPublicBuckets", &b.RestrictPublicBuckets}}
}

// WriteXML prints the document.
func (b PublicAccessBlock) WriteXML(x *xmlio.Writer) {
	x.Root("PublicAccessBlockConfiguration")
	for _, one := range b.fields() {
		x.Boolean(one.name, *one.value)
	}
	x.Close("PublicAccessBlockConfiguration")
}

// CheckList refuses a list that is to be set and is public.
func (b PublicAccessBlock) CheckList(l *List) error {
	if b.BlockPublicACLs && l.Public() {
		return kind.New(kind.AccessDenied, "Access Denied")
	}
	return nil
}

// CheckPolicy refuses a policy that is to be set and is public.
func (b PublicAccessBlock) CheckPolicy(public bool) error {
	if b.BlockPublicPolicy && public {
		return kind.New(kind.AccessDenied, "Access Denied")
	}
	return nil
}
