package acl

import (
	"strings"

	"holdfast/internal/kind"
)

// Target is what a list is for.
type Target uint8

// The targets.
const (
	Bucket Target = iota
	Object
)

// Headers are the ACL headers of a request; "" is a header that is not there.
type Headers struct {
	Canned                                      string // x-amz-acl
	Read, Write, ReadACP, WriteACP, FullControl string // x-amz-grant-read, -write, -read-acp, -write-acp, -full-control
}

// Any says whether there is one.
func (h Headers) Any() bool { return h != Headers{} }

func (h Headers) grants() bool { return h.Any() && h != (Headers{Canned: h.Canned}) }

// List makes the list which the headers ask for: the private one if there are none. The owner is
// who will own the target; bucketOwner matters for objects alone.
func (h Headers) List(target Target, owner, bucketOwner User, dir Directory) (*List, error) {
	if !h.grants() {
		canned := h.Canned
		if canned == "" {
			canned = "private"
		}
		return Canned(canned, target, owner, bucketOwner)
	}
	if h.Canned != "" {
		return nil, kind.New(kind.InvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed")
	}
	l := &List{Owner: owner}
	for _, one := range []struct {
		header     string
		permission Permission
	}{{h.Read, Read}, {h.Write, Write}, {h.ReadACP, ReadACP}, {h.WriteACP, WriteACP}, {h.FullControl, FullControl}} {
		if one.header == "" {
			continue
		}
		for entry := range strings.SplitSeq(one.header, ",") {
			if len(l.Grants) == MaxGrants {
				return nil, kind.New(kind.InvalidArgument, "The list has more than %d grants", MaxGrants)
			}
			g, err := parseEntry(entry, dir)
			if err != nil {
				return nil, err
			}
			g.Permission = one.permission
			l.Grants = append(l.Grants, g)
		}
	}
	l.Grants = groupsFirst(l.Grants)
	return l, nil
}

// parseEntry reads id="…", uri="…" or emailAddress="…", the quotes optional.
func parseEntry(entry string, dir Directory) (g Grant, err error) {
	key, value, ok := strings.Cut(entry, "=")
	value = strings.TrimSpace(value)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	if !ok || strings.Contains(value, `"`) {
		return g, badEntry()
	}
	switch strings.ToLower(strings.TrimSpace(key)) {
	case "id":
		g.User, err = byID(User{ID: value}, dir)
	case "uri":
		if g.Group = value; !isGroup(value) {
			err = badGroup()
		}
	case "emailaddress":
		g.User, err = byEmail(value, dir)
	default:
		err = badEntry()
	}
	return g, err
}

func badEntry() error { return kind.New(kind.InvalidArgument, "Argument format not recognized") }

// Canned makes a list by its name. There is no Amazon EC2 here, so that aws-exec-read gives nobody
// more than private.
func Canned(name string, target Target, owner, bucketOwner User) (*List, error) {
	l := &List{Owner: owner}
	group := func(uri string, all ...Permission) {
		for _, p := range all {
			l.Grants = append(l.Grants, Grant{Group: uri, Permission: p})
		}
	}
	last := []Grant{{User: owner, Permission: FullControl}}
	other := func(p Permission) { // a bucket's own owner needs no more, and buckets ignore this
		if target == Object && bucketOwner.ID != owner.ID {
			last = append(last, Grant{User: bucketOwner, Permission: p})
		}
	}
	switch name {
	case "private", "aws-exec-read":
	case "public-read":
		group(AllUsers, Read)
	case "public-read-write":
		group(AllUsers, Read, Write)
	case "authenticated-read":
		group(AuthenticatedUsers, Read)
	case "bucket-owner-read":
		other(Read)
	case cannedOwner:
		other(FullControl)
	case "log-delivery-write":
		if target != Bucket {
			return nil, badCanned()
		}
		group(LogDelivery, Write, ReadACP)
	default:
		return nil, badCanned()
	}
	l.Grants = append(l.Grants, last...)
	return l, nil
}

const cannedOwner = "bucket-owner-full-control"

func badCanned() error {
	return kind.New(kind.InvalidArgument, "The canned ACL (x-amz-acl) is not valid")
}

// CheckOneForm refuses a request to set a list that says it twice (by headers and a body) or not
// at all.
func (h Headers) CheckOneForm(body bool) error {
	switch {
	case body && h.Any():
		return kind.New(kind.UnexpectedContent, "This request does not support content")
	case !body && !h.Any():
		return kind.New(kind.MissingSecurityHeader, "Your request was missing a required header")
	}
	return nil
}
