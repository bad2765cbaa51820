package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func compile(t testing.TB, doc string, r Rules) *Policy {
	t.Helper()
	p, err := Compile([]byte(doc), r)
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return p
}

// The sizes are those of the document without white space, and the limit itself fits.
func TestDocumentsAreBounded(t *testing.T) {
	frame := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::own/%s"}}`
	fill := func(n int) string { return fmt.Sprintf(frame, strings.Repeat("a", n-len(frame)+2)) }
	bucket := Rules{Kind: Bucket, Bucket: "own"}
	if p := compile(t, strings.Repeat(" \n", 10<<10)+fill(MaxBucket)+"\n\n", bucket); p.Size() != MaxBucket {
		t.Errorf("size is %d, want %d", p.Size(), MaxBucket)
	}
	for _, c := range []struct {
		doc     string
		rules   Rules
		message string
	}{
		{fill(MaxBucket + 1), bucket, "MalformedPolicy: Normalized policy document exceeds the maximum allowed size of 20480 bytes"},
		{strings.Repeat(" ", 1<<20) + "{}", bucket, "MalformedPolicy: Normalized policy document exceeds the maximum allowed size of 20480 bytes"},
		{`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::` + strings.Repeat("a", MaxManaged) + `"}}`, Rules{}, "LimitExceeded: Cannot exceed quota for PolicySize: 6144"},
		{`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::` + strings.Repeat("a", MaxSession) + `"}}`, Rules{Kind: Session}, "PackedPolicyTooLarge: Packed size of session policy exceeds the limit of 2048 bytes"},
		{`{"Statement":[` + strings.Repeat("{},", maxStatements) + `{}]}`, bucket, "MalformedPolicy: Invalid policy syntax."},
		{strings.Repeat(`{"Statement":`, 5000), bucket, "MalformedPolicy: This policy contains invalid Json"},
		{`{"Statement":` + strings.Repeat("[", 60000), bucket, "MalformedPolicy: This policy contains invalid Json"},
		{"{\"Id\":\"\xff\"}", bucket, "MalformedPolicy: This policy contains invalid Json"},
	} {
		_, err := Compile([]byte(c.doc), c.rules)
		if err == nil || err.Error() != "policy: "+c.message {
			t.Errorf("%.60s…: %v, want %s", c.doc, err, c.message)
		}
	}
}

// A pattern made to be slow takes no longer than its length times the text's. A matcher that tries again from
// every star would not come back.
func TestHostilePatternsAreMatchedInTime(t *testing.T) {
	text := strings.Repeat("a", 1024)
	for _, glob := range []string{
		strings.Repeat("*a", 500) + "b", strings.Repeat("a*", 500) + "b", strings.Repeat("*a?", 300) + "*b", strings.Repeat("**?*", 250) + "b",
		"*" + strings.Repeat("a", 900) + "b*", "*" + strings.Repeat("?", 900) + "b*", "*" + strings.Repeat("a?", 400) + "b*", strings.Repeat("*"+strings.Repeat("a", 30)+"b", 30),
	} {
		p, err := parsePattern(glob, true, false)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 20 {
			if matchTokens(p.tokens, text) {
				t.Fatalf("%.20s… matches", glob)
			}
		}
		// A million steps each at the most; generous, for a busy machine.
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%.20s… took %s for 20 matches", glob, took)
		}
	}
}

func TestCannedPoliciesCompile(t *testing.T) {
	allowed := map[string]string{
		"readonly": GetObject, "readwrite": DeleteObject, "writeonly": PutObject, "diagnostics": "admin:ServerInfo", "consoleAdmin": "admin:Heal",
		"AdministratorAccess": IAMCreateUser, "AmazonS3FullAccess": PutBucketPolicy, "AmazonS3ReadOnlyAccess": ListBucket,
		"IAMFullAccess": IAMCreateUser, "IAMReadOnlyAccess": IAMListUsers,
	}
	refused := map[string]string{
		"readonly": ListBucket, "readwrite": IAMCreateUser, "writeonly": GetObject, "diagnostics": "admin:Heal",
		"AmazonS3FullAccess": IAMCreateUser, "AmazonS3ReadOnlyAccess": PutObject, "IAMFullAccess": GetObject, "IAMReadOnlyAccess": IAMCreateUser,
	}
	for _, c := range CannedPolicies() {
		p := compile(t, c.Document, Rules{Name: c.Name})
		if p.String() != c.Document && c.Name[:3] != "IAM" {
			t.Errorf("%s prints as %s", c.Name, p)
		}
		resource := Resource{Bucket: "own", Key: "k", BucketOwner: mainAccount}
		for action, want := range map[string]bool{allowed[c.Name]: true, refused[c.Name]: false} {
			d := Evaluate(&Request{Action: action, Resource: resource, Principal: cast()["alice"]}, &Policies{Identity: []*Policy{p}})
			if action != "" && d.Allowed() != want {
				t.Errorf("%s: %s is %s", c.Name, action, d.Effect)
			}
		}
		if got, ok := FindCanned(c.ARN); !ok || got != c {
			t.Errorf("%s is not found by its ARN", c.Name)
		}
	}
	if _, ok := FindCanned("arn:aws:iam::aws:policy/None"); ok {
		t.Error("a policy was found that there is not")
	}
}

// A role is assumed by whom its trust policy names; an account that is named has to allow it too.
func TestMayAssume(t *testing.T) {
	trust := func(principal string) *Policy {
		return compile(t, `{"Statement":{"Sid":"T","Effect":"Allow","Principal":`+principal+`,"Action":"sts:AssumeRole"}}`, Rules{Kind: Trust})
	}
	own := compile(t, `{"Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`, Rules{})
	for _, c := range []struct {
		trust string
		who   string
		own   []*Policy
		want  bool
	}{
		{`{"AWS":"arn:aws:iam::111111111111:user/alice"}`, "alice", nil, true},
		{`{"AWS":"arn:aws:iam::111111111111:user/alice"}`, "bob", nil, false},
		{`{"AWS":"arn:aws:iam::111111111111:user/alice"}`, "bob", []*Policy{own}, false},
		{`{"AWS":"arn:aws:iam::111111111111:user/alice"}`, "main", nil, false},
		{`{"AWS":"111111111111"}`, "alice", nil, false},
		{`{"AWS":"111111111111"}`, "alice", []*Policy{own}, true},
		{`{"AWS":"111111111111"}`, "main", nil, true},
		{`{"AWS":"222222222222"}`, "carol", nil, false},
		{`{"AWS":"222222222222"}`, "carol", []*Policy{own}, true},
		{`{"AWS":"222222222222"}`, "alice", []*Policy{own}, false},
		{`"*"`, "anon", nil, false},
		{`"*"`, "alice", nil, true},
		{`{"Federated":"idp"}`, "alice", []*Policy{own}, false},
	} {
		r := Request{Action: STSAssumeRole, Principal: cast()[c.who], Resource: Resource{ARN: "arn:aws:iam::111111111111:role/builder", BucketOwner: mainAccount}}
		if d := MayAssume(&r, trust(c.trust), c.own, nil); d.Allowed() != c.want {
			t.Errorf("%s by %s (%d own): %s by %s", c.who, c.trust, len(c.own), d.Effect, d.By)
		}
	}
}

// What cannot be read denies: to everyone, also where others allow.
func TestDenyAllDenies(t *testing.T) {
	all := compile(t, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, Rules{})
	r := Request{Action: GetObject, Resource: Resource{Bucket: "own", Key: "k", BucketOwner: mainAccount}, Principal: cast()["main"]}
	for _, p := range []Policies{
		{Bucket: DenyAll(Bucket, "b")}, {Identity: []*Policy{all, DenyAll(Identity, "i")}}, {Session: []*Policy{all, DenyAll(Session, "s")}},
	} {
		if d := Evaluate(&r, &p); d.Effect != ExplicitDeny || d.Sid != "unreadable" {
			t.Errorf("%+v", d)
		}
	}
}

func TestDecisionsTellWhatDecided(t *testing.T) {
	named := compile(t, `{"Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"},{"Sid":"Get","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`, Rules{Name: "readers"})
	r := Request{Action: GetObject, Resource: Resource{Bucket: "own", Key: "k", BucketOwner: mainAccount}, Principal: cast()["alice"]}
	d := Evaluate(&r, &Policies{Identity: []*Policy{named}})
	if want := (Decision{Effect: Allow, By: "identity policy", Policy: "readers", Sid: "Get", Statement: 1}); d != want || d.Reason(GetObject) != "" {
		t.Errorf("got %+v, want %+v", d, want)
	}
	d = Evaluate(&r, &Policies{})
	if want := "because no identity policy allows the s3:GetObject action"; d.Reason(GetObject) != want || d.Statement != -1 {
		t.Errorf("got %+v", d)
	}
	d = Evaluate(&r, &Policies{Bucket: DenyAll(Bucket, "")})
	if want := "with an explicit deny in a bucket policy"; d.Reason(GetObject) != want {
		t.Errorf("got %+v", d)
	}
}

// The keys that are derived are those that lookup computes, and no others.
func TestDerivedKeysAreComputed(t *testing.T) {
	r := Request{Principal: cast()["alice"], Resource: Resource{Bucket: "own", BucketOwner: mainAccount}, Time: tableTime(), Keys: map[string][]string{"aws:sourceip": {"forged"}}}
	for _, k := range Derived() {
		r.Keys[k] = []string{"forged"}
	}
	e := newEnv(&r)
	for _, k := range Derived() {
		if got := e.lookup(k); len(got) != 1 || got[0] == "forged" {
			t.Errorf("%s is %q", k, got)
		}
	}
	if got := e.lookup("aws:sourceip"); got[0] != "forged" {
		t.Errorf("aws:sourceip is %q", got)
	}
	zero := newEnv(&Request{})
	for _, k := range Derived() {
		if got := zero.lookup(k); len(got) != 0 && k != "aws:userid" && k != "aws:principaltype" {
			t.Errorf("%s of nothing is %q", k, got)
		}
	}
}

func TestActionsAndTheirKeys(t *testing.T) {
	all := strings.Join(Actions(), " ")
	for _, a := range []string{GetObject, PutObjectRetention, BypassGovernanceRetention, PutBucketPolicy, ListAllMyBuckets, GetIntelligentTiering} {
		if !strings.Contains(" "+all+" ", " "+a+" ") {
			t.Errorf("%s is not in the table", a)
		}
	}
	if keys := strings.Join(ConditionKeys(ListBucket), " "); !strings.Contains(keys, "s3:prefix") || strings.Contains(keys, "s3:x-amz-acl") {
		t.Errorf("ListBucket has %s", keys)
	}
	if keys := strings.Join(ConditionKeys(PutObject), " "); !strings.Contains(keys, "s3:x-amz-server-side-encryption-customer-algorithm") || strings.Contains(keys, "s3:prefix") {
		t.Errorf("PutObject has %s", keys)
	}
}

func TestPrincipalsAreListed(t *testing.T) {
	p := compile(t, `{"Id":"I","Statement":[{"Effect":"Allow","Principal":{"AWS":["*","111111111111"],"Service":"s"},"Action":"s3:*","Resource":"arn:aws:s3:::own"},{"Effect":"Deny","NotPrincipal":{"CanonicalUser":"c1"},"Action":"s3:*","Resource":"arn:aws:s3:::own"}]}`, Rules{Kind: Bucket, Bucket: "own", Name: "N"})
	if got := strings.Join(p.Principals(), " "); got != "111111111111 c1" || p.ID() != "I" || p.Name() != "N" || p.Kind() != Bucket || p.Statements() != 2 {
		t.Errorf("got %q", got)
	}
	if err := RefusePrincipal(Bucket, "111111111111"); err.Error() != "policy: MalformedPolicy: Invalid principal in policy" {
		t.Error(err)
	}
}

// Whatever is read does not panic; what is accepted prints as what reads as the same, and prints
// the same again. Nothing that is accepted makes Evaluate panic.
func FuzzCompile(f *testing.F) {
	for _, c := range CannedPolicies() {
		f.Add([]byte(c.Document), uint8(Identity))
	}
	for _, doc := range fuzzSeeds(f) {
		for k := range uint8(4) {
			f.Add(doc, k)
		}
	}
	requests := []Request{
		{Action: GetObject, Resource: Resource{Bucket: "own", Key: "a/é", BucketOwner: mainAccount}, Principal: cast()["alice"], Time: tableTime(),
			Keys: map[string][]string{"aws:sourceip": {"10.0.0.1"}, "aws:tagkeys": {"a", "b"}, "s3:max-keys": {"1"}}},
		{Action: "s3:ListBucket", Resource: Resource{Bucket: "own", BucketOwner: mainAccount}},
		{},
	}
	f.Fuzz(func(t *testing.T, doc []byte, kind uint8) {
		r := Rules{Kind: Kind(kind % 4), Bucket: "own", Strict: kind&4 != 0, MaxSize: maxRaw}
		p, err := Compile(doc, r)
		if err != nil {
			if e, ok := AsError(err); !ok || e.Code == "" || e.Message == "" {
				t.Fatalf("no code or words: %v", err)
			}
			return
		}
		again, err := Compile([]byte(p.String()), r)
		if err != nil {
			t.Fatalf("printed as what is refused: %v\n%s", err, p)
		}
		if again.String() != p.String() || again.IsPublic() != p.IsPublic() {
			t.Fatalf("printed as\n%s\nand again as\n%s", p, again)
		}
		for i := range requests {
			one := Evaluate(&requests[i], &Policies{Bucket: p, Identity: []*Policy{p}})
			if two := Evaluate(&requests[i], &Policies{Bucket: again, Identity: []*Policy{again}}); one != two {
				t.Fatalf("%+v, and printed %+v", one, two)
			}
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	p := compile(b, `{"Version":"2012-10-17","Statement":[
		{"Sid":"Home","Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::own/home/${aws:username}/*"},
		{"Sid":"List","Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::own","Condition":{"StringLike":{"s3:prefix":["home/${aws:username}/*",""]}}},
		{"Sid":"Tls","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::own","arn:aws:s3:::own/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}},
		{"Sid":"Net","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::own/*","Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}}},
		{"Sid":"Img","Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::own/*/public/*.jpg"}]}`, Rules{Kind: Bucket, Bucket: "own"})
	r := Request{
		Action: GetObject, Resource: Resource{Bucket: "own", Key: "some/where/public/in/it/picture.jpg", BucketOwner: mainAccount}, Principal: cast()["alice"], Time: tableTime(),
		Keys: map[string][]string{"aws:securetransport": {"true"}, "aws:sourceip": {"10.1.2.3"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := Evaluate(&r, &Policies{Bucket: p}); d.Sid != "Img" {
			b.Fatal(d)
		}
	}
}
