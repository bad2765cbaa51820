package acl

import (
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// TestWhoMayDoWhat lists, for a grant, all that it allows: to its owner Main, to Alt, to another
// user and to nobody in particular, each by the first letters of permissions.
func TestWhoMayDoWhat(t *testing.T) {
	letters := map[Permission]string{Read: "r", Write: "w", ReadACP: "R", WriteACP: "W", FullControl: "F"}
	order := []Permission{Read, Write, ReadACP, WriteACP, FullControl}
	to := func(p Permission) Grant { return Grant{User: alt, Permission: p} }
	all := func(uri string, p Permission) Grant { return Grant{Group: uri, Permission: p} }
	for _, row := range []struct {
		name          string
		grants        []Grant
		want, ignored string // main/alt/mute/anonymous; the same with public grants ignored
	}{
		{"nothing", nil, "RW///", "RW///"},
		{"owner", []Grant{{User: main, Permission: FullControl}}, "rwRWF///", "rwRWF///"},
		{"read", []Grant{to(Read)}, "RW/r//", "RW/r//"},
		{"write", []Grant{to(Write)}, "RW/w//", "RW/w//"},
		{"read list", []Grant{to(ReadACP)}, "RW/R//", "RW/R//"},
		{"write list", []Grant{to(WriteACP)}, "RW/W//", "RW/W//"},
		{"all", []Grant{to(FullControl)}, "RW/rwRWF//", "RW/rwRWF//"},
		{"two", []Grant{to(Read), to(WriteACP)}, "RW/rW//", "RW/rW//"},
		{"public", []Grant{all(AllUsers, Read)}, "rRW/r/r/r", "RW///"},
		{"public all", []Grant{all(AllUsers, FullControl)}, "rwRWF/rwRWF/rwRWF/rwRWF", "RW///"},
		{"users", []Grant{all(AuthenticatedUsers, Write)}, "wRW/w/w/", "RW///"},
		{"logs", []Grant{all(LogDelivery, Write)}, "RW///", "RW///"},
		{"public and alt", []Grant{all(AllUsers, Read), to(Write)}, "rRW/rw/r/r", "RW/w//"},
		{"nobody's ID", []Grant{{Permission: FullControl}}, "RW///", "RW///"},
	} {
		l := &List{Owner: main, Grants: row.grants}
		for ignore, want := range map[bool]string{false: row.want, true: row.ignored} {
			var got []string
			for _, id := range []string{main.ID, alt.ID, mute.ID, ""} {
				s := ""
				for _, p := range order {
					if l.Allows(id, p, ignore) {
						s += letters[p]
					}
				}
				got = append(got, s)
			}
			if strings.Join(got, "/") != want {
				t.Errorf("%s (public grants ignored: %v): %s, want %s", row.name, ignore, strings.Join(got, "/"), want)
			}
		}
	}
	var none *List
	if none.Allows(main.ID, Read, false) || none.Public() || (&List{Owner: main}).Allows(main.ID, "DELETE", false) || (&List{}).Allows("", ReadACP, false) {
		t.Error("what is not there allows")
	}
}

func TestPublicLists(t *testing.T) {
	for canned, want := range map[string]bool{"private": false, "public-read": true, "public-read-write": true, "authenticated-read": true, "log-delivery-write": false, "bucket-owner-read": false} {
		l, err := Canned(canned, Bucket, main, main)
		if err != nil || l.Public() != want {
			t.Errorf("%s: %v", canned, err)
		}
		for _, b := range []PublicAccessBlock{{}, {BlockPublicACLs: true}} {
			if err := b.CheckList(l); kind.Is(err, kind.AccessDenied) != (want && b.BlockPublicACLs) {
				t.Errorf("%s, %+v: %v", canned, b, err)
			}
		}
	}
	for _, b := range []PublicAccessBlock{{}, {BlockPublicPolicy: true}} {
		for _, public := range []bool{false, true} {
			if err := b.CheckPolicy(public); kind.Is(err, kind.AccessDenied) != (public && b.BlockPublicPolicy) {
				t.Errorf("%+v: %v", b, err)
			}
		}
	}
}

func TestPublicAccessBlocks(t *testing.T) {
	doc := func(inside string) string {
		return "<PublicAccessBlockConfiguration>" + inside + "</PublicAccessBlockConfiguration>"
	}
	for in, want := range map[string]PublicAccessBlock{
		doc(""): {}, doc("<BlockPublicAcls>true</BlockPublicAcls><RestrictPublicBuckets>false</RestrictPublicBuckets>"): {BlockPublicACLs: true},
		doc("<RestrictPublicBuckets>true</RestrictPublicBuckets><BlockPublicPolicy>true</BlockPublicPolicy><IgnorePublicAcls>true</IgnorePublicAcls>"): {false, true, true, true},
	} {
		if got, err := ParsePublicAccessBlock(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{doc("<BlockPublicAcls>yes</BlockPublicAcls>"), doc("<BlockPublicAcls/>"), doc("<Block>true</Block>"), "<Block/>",
		doc("<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>true</BlockPublicAcls>"), doc("<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>1</IgnorePublicAcls>")} {
		if got, err := ParsePublicAccessBlock(in); !kind.Is(err, kind.MalformedXML) || got != (PublicAccessBlock{}) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	const want = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><BlockPublicAcls>true</BlockPublicAcls>` +
		`<IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>`
	if got := xmlio.Document(PublicAccessBlock{BlockPublicACLs: true, BlockPublicPolicy: true}); got != want {
		t.Error(got)
	}
}

func TestOwnershipDocuments(t *testing.T) {
	doc := func(inside string) string {
		return "<OwnershipControls><Rule><ObjectOwnership>" + inside + "</ObjectOwnership></Rule></OwnershipControls>"
	}
	for _, o := range []Ownership{Enforced, Preferred, Writer} {
		if got, err := ParseOwnership(doc(string(o))); err != nil || got != o {
			t.Errorf("%s: %s, %v", o, got, err)
		}
		if got := xmlio.Document(o); got != `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+strings.Replace(doc(string(o)), "Controls>", `Controls xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`, 1) {
			t.Error(got)
		}
		if got, err := ParseOwnershipHeader(string(o)); err != nil || got != o {
			t.Errorf("%s: %s, %v", o, got, err)
		}
	}
	for _, in := range []string{doc(""), doc("objectwriter"), "<OwnershipControls/>", "<OwnershipControls><Rule/></OwnershipControls>", "<Ownership/>",
		"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"} {
		if got, err := ParseOwnership(in); !kind.Is(err, kind.MalformedXML) {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if o, err := ParseOwnershipHeader(""); o != "" || err != nil {
		t.Errorf("%s, %v", o, err)
	}
	if _, err := ParseOwnershipHeader("x"); failure(err) != "109 Invalid x-amz-object-ownership header: x" {
		t.Error(err)
	}
}

// The rows are s3-tests' _test_object_ownership_*, and what AWS says of grants.
func TestWhoOwnsANewObject(t *testing.T) {
	const off = "305 The bucket does not allow ACLs"
	ownerGrant := Headers{FullControl: "id=main-id"}
	for _, row := range []struct {
		o    Ownership
		h    Headers
		want string
	}{
		{Enforced, Headers{}, "Main: Main=FULL_CONTROL"},
		{"", Headers{}, "Main: Main=FULL_CONTROL"},
		{Enforced, Headers{Canned: "bucket-owner-full-control"}, "Main: Main=FULL_CONTROL"},
		{Enforced, ownerGrant, "Main: Main=FULL_CONTROL"},
		{Enforced, Headers{Write: "id=main-id"}, off},
		{Enforced, Headers{FullControl: "id=main-id,id=alt-id"}, off},
		{Enforced, Headers{Canned: "private"}, off},
		{"", Headers{Canned: "private"}, off},
		{Enforced, Headers{Canned: "public-read"}, off},
		{Enforced, Headers{Canned: "nonsense"}, "109 The canned ACL (x-amz-acl) is not valid"},
		{Preferred, Headers{}, "Alt: Alt=FULL_CONTROL"},
		{Preferred, Headers{Canned: "bucket-owner-full-control"}, "Main: Main=FULL_CONTROL"},
		{Preferred, Headers{Canned: "private"}, "Alt: Alt=FULL_CONTROL"},
		{Preferred, ownerGrant, "Alt: Main=FULL_CONTROL"},
		{Writer, Headers{}, "Alt: Alt=FULL_CONTROL"},
		{Writer, Headers{Canned: "bucket-owner-full-control"}, "Alt: Alt=FULL_CONTROL Main=FULL_CONTROL"},
		{Writer, Headers{Canned: "private"}, "Alt: Alt=FULL_CONTROL"},
	} {
		l, err := row.o.NewObject(row.h, alt, main, people{})
		if got := line(l) + failure(err); got != row.want {
			t.Errorf("%s, %+v: %s, want %s", row.o, row.h, got, row.want)
		}
	}
	l, err := Writer.NewObject(Headers{}, User{}, main, people{})
	if err != nil || l.Owner.ID != AnonymousID || l.Allows("", Read, false) || l.Allows("", ReadACP, false) {
		t.Errorf("written by nobody: %+v, %v", l, err)
	}
}

func TestListsThatAreSwitchedOff(t *testing.T) {
	private, _ := Canned("private", Bucket, main, main)
	public, _ := Canned("public-read", Bucket, main, main)
	shared := &List{Owner: main, Grants: []Grant{{User: alt, Permission: Read}}}
	for _, o := range []Ownership{Enforced, Preferred, Writer} {
		for l, plain := range map[*List]bool{nil: true, private: true, public: false, shared: false} {
			if err := o.CheckBucketList(l); kind.Is(err, kind.BucketACLNotAllowed) != (o == Enforced && !plain) {
				t.Errorf("%s, %s: %v", o, line(l), err)
			}
		}
		if err := o.CheckSet(); kind.Is(err, kind.ACLNotSupported) != (o == Enforced) {
			t.Errorf("%s: %v", o, err)
		}
	}
}
