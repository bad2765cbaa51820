package acl

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// people is a Directory of three.
type people struct{}

var (
	main = User{"main-id", "Main"}
	alt  = User{"alt-id", "Alt"}
	mute = User{"mute-id", ""}
)

func (people) ByID(id string) (User, bool) {
	for _, u := range []User{main, alt, mute} {
		if u.ID == id {
			return u, true
		}
	}
	return User{}, false
}

func (people) ByEmail(email string) (User, bool) {
	if email == "alt@example.com" {
		return alt, true
	}
	return User{}, false
}

// failure is an error as "kind message"; "" for none.
func failure(err error) string {
	if e := (*kind.Error)(nil); errors.As(err, &e) {
		return fmt.Sprint(e.Kind, " ", e.Message)
	}
	return ""
}

const (
	xsi     = ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`
	badXML  = "320 The XML you provided was not well-formed or did not validate against our published schema"
	badUser = "109 Invalid id"
)

func document(grants ...string) string {
	return "<AccessControlPolicy><Owner><ID>main-id</ID></Owner><AccessControlList>" + strings.Join(grants, "") + "</AccessControlList></AccessControlPolicy>"
}

func grant(grantee, permission string) string {
	return "<Grant>" + grantee + "<Permission>" + permission + "</Permission></Grant>"
}

func user(id string) string {
	return "<Grantee" + xsi + ` xsi:type="CanonicalUser"><ID>` + id + "</ID></Grantee>"
}

func group(uri string) string {
	return "<Grantee" + xsi + ` xsi:type="Group"><URI>` + uri + "</URI></Grantee>"
}

func email(address string) string {
	return "<Grantee" + xsi + ` xsi:type="AmazonCustomerByEmail"><EmailAddress>` + address + "</EmailAddress></Grantee>"
}

// line shows a list: its owner and its grants.
func line(l *List) string {
	if l == nil {
		return ""
	}
	words := []string{l.Owner.Name + ":"}
	for _, g := range l.Grants {
		who := g.User.Name
		if g.Group != "" {
			who = g.Group[strings.LastIndexByte(g.Group, '/')+1:]
		}
		words = append(words, who+"="+string(g.Permission))
	}
	return strings.Join(words, " ")
}

func TestDocuments(t *testing.T) {
	full := grant(user("main-id"), "FULL_CONTROL")
	for _, row := range []struct{ name, in, want, failure string }{
		{"owner", document(full), "Main: Main=FULL_CONTROL", ""},
		{"nobody", document(), "Main:", ""},
		{"groups come first", document(full, grant(group(AllUsers), "READ"), grant(group(AuthenticatedUsers), "WRITE_ACP")), "Main: AllUsers=READ AuthenticatedUsers=WRITE_ACP Main=FULL_CONTROL", ""},
		{"log delivery", document(grant(group(LogDelivery), "WRITE")), "Main: LogDelivery=WRITE", ""},
		{"by e-mail", document(full, grant(email("alt@example.com"), "FULL_CONTROL")), "Main: Main=FULL_CONTROL Alt=FULL_CONTROL", ""},
		{"another name", document(grant(strings.Replace(user("alt-id"), "</ID>", "</ID><DisplayName>Eve</DisplayName>", 1), "READ")), "Main: Alt=READ", ""},
		{"type without prefix", document(grant(`<Grantee type="CanonicalUser"><ID>alt-id</ID></Grantee>`, "READ_ACP")), "Main: Alt=READ_ACP", ""},
		{"hundred", document(strings.Repeat(full, 100)), "Main:" + strings.Repeat(" Main=FULL_CONTROL", 100), ""},
		{"too many", document(strings.Repeat(full, 101)), "", badXML},
		{"nobody known", document(grant(user("_foo"), "FULL_CONTROL")), "", badUser},
		{"nobody named", document(grant(user(""), "READ")), "", badUser},
		{"no e-mail", document(grant(email("doesnotexist@dreamhost.com.invalid"), "READ")), "", "324 The email address you provided does not match any account on record."},
		{"no group", document(grant(group("http://acs.amazonaws.com/groups/global/Everybody"), "READ")), "", "109 Invalid group uri"},
		{"no permission", document(grant(user("alt-id"), "DELETE")), "", badXML},
		{"quiet permission", document(grant(user("alt-id"), "read")), "", badXML},
		{"no type", document(grant("<Grantee><ID>alt-id</ID></Grantee>", "READ")), "", badXML},
		{"other type", document(grant(`<Grantee xsi:type="Root"><ID>alt-id</ID></Grantee>`, "READ")), "", badXML},
		{"type of another element", document(`<Grant xsi:type="CanonicalUser"><Grantee><ID>alt-id</ID></Grantee><Permission>READ</Permission></Grant>`), "", badXML},
		{"group with ID", document(grant(`<Grantee xsi:type="Group"><ID>alt-id</ID></Grantee>`, "READ")), "", badXML},
		{"user with URI", document(grant(`<Grantee xsi:type="CanonicalUser"><ID>alt-id</ID><URI>`+AllUsers+`</URI></Grantee>`, "READ")), "", badXML},
		{"unknown owner", strings.Replace(document(full), "main-id", "eve-id", 1), "", badUser},
		{"no owner", strings.Replace(document(full), "<Owner><ID>main-id</ID></Owner>", "", 1), "", badXML},
		{"no list", "<AccessControlPolicy><Owner><ID>main-id</ID></Owner></AccessControlPolicy>", "", badXML},
		{"other root", "<Policy/>", "", badXML},
		{"no XML", "private", "", badXML},
		{"long", document(full) + strings.Repeat(" ", MaxBytes), "", badXML},
	} {
		l, err := Parse(row.in, people{})
		if line(l) != row.want || failure(err) != row.failure {
			t.Errorf("%s: %s, %v", row.name, line(l), err)
		}
	}
}

func TestDocumentsArePrinted(t *testing.T) {
	l := &List{Owner: main, Grants: []Grant{{Group: AllUsers, Permission: Read}, {User: mute, Permission: WriteACP}, {User: User{"a<b", "C&D"}, Permission: Read}}}
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>main-id</ID><DisplayName>Main</DisplayName></Owner><AccessControlList>` +
		grant(group(AllUsers), "READ") + grant(user("mute-id"), "WRITE_ACP") + grant(strings.Replace(user("a&lt;b"), "</ID>", "</ID><DisplayName>C&amp;D</DisplayName>", 1), "READ") + "</AccessControlList></AccessControlPolicy>"
	if got := xmlio.Document(l); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if again, err := Parse(want, nil); err != nil || xmlio.Document(again) != want {
		t.Errorf("what was stored is %+v, %v", again, err)
	}
	if _, err := Parse(document(grant(email("alt@example.com"), "READ")), nil); !kind.Is(err, kind.UnresolvableGrant) {
		t.Error("an address without a directory")
	}
}

func TestTheOwnerCannotBeChanged(t *testing.T) {
	l, err := Parse(document(), people{})
	if err != nil || l.CheckOwner(main) != nil || !kind.Is(l.CheckOwner(alt), kind.AccessDenied) {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestCannedLists(t *testing.T) {
	const own = "Alt=FULL_CONTROL"
	for _, row := range []struct{ name, bucket, object string }{
		{"", own, own},
		{"private", own, own},
		{"public-read", "AllUsers=READ " + own, "AllUsers=READ " + own},
		{"public-read-write", "AllUsers=READ AllUsers=WRITE " + own, "AllUsers=READ AllUsers=WRITE " + own},
		{"authenticated-read", "AuthenticatedUsers=READ " + own, "AuthenticatedUsers=READ " + own},
		{"aws-exec-read", own, own},
		{"bucket-owner-read", own, own + " Main=READ"},
		{"bucket-owner-full-control", own, own + " Main=FULL_CONTROL"},
		{"log-delivery-write", "LogDelivery=WRITE LogDelivery=READ_ACP " + own, ""},
		{"Private", "", ""},
		{"public", "", ""},
	} {
		for target, want := range map[Target]string{Bucket: row.bucket, Object: row.object} {
			l, err := Headers{Canned: row.name}.List(target, alt, main, people{})
			if want != "" {
				want = "Alt: " + want
			}
			if line(l) != want || (want == "") != kind.Is(err, kind.InvalidArgument) {
				t.Errorf("%q: %s, %v", row.name, line(l), err)
			}
		}
	}
	if l, err := Canned("bucket-owner-full-control", Object, main, main); err != nil || line(l) != "Main: Main=FULL_CONTROL" {
		t.Errorf("%s, %v", line(l), err)
	}
}

func TestGrantHeaders(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("id=alt-id,", 101), ",")
	const badEntry = "109 Argument format not recognized"
	for _, row := range []struct {
		h             Headers
		want, failure string
	}{
		{Headers{Read: "id=alt-id", Write: "id=alt-id", ReadACP: "id=alt-id", WriteACP: "id=alt-id", FullControl: "id=alt-id"}, "Main: Alt=READ Alt=WRITE Alt=READ_ACP Alt=WRITE_ACP Alt=FULL_CONTROL", ""},
		{Headers{Read: ` id = "alt-id" , uri="` + AllUsers + `",emailAddress="alt@example.com"`}, "Main: AllUsers=READ Alt=READ Alt=READ", ""},
		{Headers{Read: "id=nobody"}, "", badUser},
		{Headers{Read: "id="}, "", badUser},
		{Headers{Read: "uri=http://x"}, "", "109 Invalid group uri"},
		{Headers{Read: "emailAddress=x@y"}, "", "324 The email address you provided does not match any account on record."},
		{Headers{Read: "alt-id"}, "", badEntry},
		{Headers{Read: "id=alt-id,"}, "", badEntry},
		{Headers{Read: `id="alt-id`}, "", badEntry},
		{Headers{Read: `name="Alt"`}, "", badEntry},
		{Headers{Read: many}, "", "109 The list has more than 100 grants"},
		{Headers{Canned: "private", Read: "id=alt-id"}, "", "110 Specifying both Canned ACLs and Header Grants is not allowed"},
	} {
		l, err := row.h.List(Object, main, main, people{})
		if line(l) != row.want || failure(err) != row.failure {
			t.Errorf("%+v: %s, %v", row.h, line(l), err)
		}
	}
}

func TestAListIsSetInOneForm(t *testing.T) {
	for _, row := range []struct {
		h    Headers
		body bool
		want kind.Kind
	}{
		{Headers{}, true, 0}, {Headers{Canned: "private"}, false, 0}, {Headers{Read: "id=x"}, false, 0},
		{Headers{Canned: "private"}, true, kind.UnexpectedContent}, {Headers{}, false, kind.MissingSecurityHeader},
	} {
		if err := row.h.CheckOneForm(row.body); (err != nil) != (row.want != 0) || kind.Of(err) != row.want {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

func FuzzACL(f *testing.F) {
	f.Add(document(grant(user("alt-id"), "READ"), grant(group(AllUsers), "WRITE")), "id=alt-id")
	f.Add(document(grant(email("alt@example.com"), "READ")), `emailAddress="alt@example.com",uri="`+LogDelivery+`"`)
	f.Add("<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>", "x")
	f.Add("<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>", "")
	f.Fuzz(func(t *testing.T, in, header string) {
		var lists []*List
		for _, dir := range []Directory{nil, people{}} {
			if l, err := Parse(in, dir); err == nil {
				lists = append(lists, l)
			}
		}
		if l, err := (Headers{Read: header}).List(Object, main, alt, people{}); err == nil {
			lists = append(lists, l)
		}
		for _, l := range lists {
			text := xmlio.Document(l)
			if again, err := Parse(text, nil); err != nil || xmlio.Document(again) != text {
				t.Fatalf("%q became %+v, %v", text, again, err)
			}
		}
		if o, err := ParseOwnership(in); err == nil {
			if again, err := ParseOwnership(xmlio.Document(o)); err != nil || again != o {
				t.Fatalf("%q became %q, %v", o, again, err)
			}
		}
		if b, err := ParsePublicAccessBlock(in); err == nil {
			if again, err := ParsePublicAccessBlock(xmlio.Document(b)); err != nil || again != b {
				t.Fatalf("%+v became %+v, %v", b, again, err)
			}
		}
	})
}
