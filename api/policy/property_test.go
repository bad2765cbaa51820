package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What a policy of the property test is made of: few words, so that statements often meet requests.
func someActions() []string {
	return []string{"*", "s3:*", "s3:GetObject", "s3:Get*", "s3:?utObject", "S3:putobject", "s3:*BucketPolicy", "s3:ListBucket", "s3:DeleteObject"}
}

func someResources() []string {
	return []string{"arn:aws:s3:::own", "arn:aws:s3:::own/*", "arn:aws:s3:::own/a*", "arn:aws:s3:::*", "arn:aws:s3:::own/a/?", "arn:aws:s3:::own/${aws:username}/*",
		"arn:aws:s3:::own/${aws:PrincipalTag/t, 'a'}/*", "arn:aws:s3:::own/${*}*", "arn:aws:s3:::own/*a?b*"}
}

func somePrincipals() []string {
	return []string{`"*"`, `{"AWS":"*"}`, `{"AWS":"111111111111"}`, `{"AWS":"arn:aws:iam::222222222222:root"}`, `{"AWS":["arn:aws:iam::111111111111:user/alice","222222222222"]}`,
		`{"AWS":"arn:aws:iam::222222222222:user/carol"}`, `{"CanonicalUser":"c111111111111"}`, `{"AWS":"arn:aws:iam::111111111111:role/builder"}`,
		`{"AWS":["arn:aws:iam::111111111111:role/builder","arn:aws:sts::111111111111:assumed-role/builder/job1"]}`, `{"Service":"x.amazonaws.com"}`}
}

// someConditions are operators by the values that they can compare.
func someConditions() []struct{ operators, keys, values string } {
	return []struct{ operators, keys, values string }{
		{"StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike",
			"s3:prefix aws:TagKeys aws:username s3:ExistingObjectTag/t aws:PrincipalTag/t", "a A a* ?b ${aws:username} ${aws:PrincipalTag/t} ${aws:PrincipalTag/u,'b'} alice ${*}"},
		{"NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals", "s3:max-keys aws:EpochTime", "0 1 2 1.5 -1 1778051289"},
		{"DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals", "aws:CurrentTime s3:object-lock-retain-until-date",
			"2026-05-06T07:08:09Z 2026-05-06 2026-05-07T00:00Z 1778051289 2027"},
		{"Bool", "aws:SecureTransport", "true false True"},
		{"BinaryEquals", "aws:Blob", "YQ== YWI="},
		{"IpAddress NotIpAddress", "aws:SourceIp", "10.0.0.0/8 10.1.2.3 2001:db8::/32 10.1.0.0/17"},
		{"ArnEquals ArnLike ArnNotEquals ArnNotLike", "aws:PrincipalArn aws:SourceArn", "arn:aws:iam::*:user/a* arn:aws:s3:::own arn:aws:iam::${aws:PrincipalAccount}:root arn:*:s3:::* *"},
		{"Null", "s3:prefix aws:username aws:TagKeys", "true false"},
	}
}

func one(t *rapid.T, name string, from []string) string { return rapid.SampledFrom(from).Draw(t, name) }

func few(t *rapid.T, name string, from []string, least int) []string {
	return rapid.SliceOfN(rapid.SampledFrom(from), least, 3).Draw(t, name)
}

func drawCondition(t *rapid.T) string {
	var operators []string
	used := map[string]bool{}
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		of := rapid.SampledFrom(someConditions()).Draw(t, "class")
		o := one(t, "operator", strings.Fields(of.operators))
		if o != "Null" {
			o = one(t, "set", []string{"", "", "", "ForAllValues:", "ForAnyValue:"}) + o + one(t, "suffix", []string{"", "", "IfExists"})
		}
		if used[o] {
			continue
		}
		used[o] = true
		values, _ := json.Marshal(few(t, "values", strings.Fields(of.values), 0))
		operators = append(operators, fmt.Sprintf("%q:{%q:%s}", o, one(t, "key", strings.Fields(of.keys)), values))
	}
	return "{" + strings.Join(operators, ",") + "}"
}

func drawPolicy(t *rapid.T, k Kind) string {
	var all []string
	for i := range rapid.IntRange(1, 4).Draw(t, "statements") {
		effect := one(t, "effect", []string{"Allow", "Allow", "Deny"})
		s := fmt.Sprintf(`{"Sid":"S%d","Effect":%q`, i, effect)
		if k == Bucket {
			name := "Principal"
			if effect == "Deny" {
				name = one(t, "not principal", []string{name, "NotPrincipal"})
			}
			s += fmt.Sprintf(",%q:%s", name, one(t, "principal", somePrincipals()))
		}
		actions, _ := json.Marshal(few(t, "actions", someActions(), 1))
		resources := someResources()
		if k != Bucket {
			resources = append(resources, "*", "arn:aws:s*:::own/*", "arn:aws:s3:::far/*")
		}
		resource, _ := json.Marshal(few(t, "resources", resources, 1))
		s += fmt.Sprintf(`,%q:%s,%q:%s`, one(t, "not action", []string{"Action", "Action", "NotAction"}), actions,
			one(t, "not resource", []string{"Resource", "Resource", "NotResource"}), resource)
		all = append(all, s+`,"Condition":`+drawCondition(t)+"}")
	}
	return fmt.Sprintf(`{"Version":%q,"Statement":[%s]}`, one(t, "version", []string{version2012, version2012, version2008}), strings.Join(all, ","))
}

func drawRequest(t *rapid.T) *Request {
	r := &Request{Keys: map[string][]string{}, Time: tableTime()}
	r.Action = one(t, "action", []string{GetObject, PutObject, ListBucket, DeleteObject, PutBucketPolicy, GetBucketPolicy, ListAllMyBuckets, "s3:getobject"})
	r.Resource = tableResource(one(t, "resource", []string{"own", "own/a", "own/a/b", "own/alice/x", "own/xaéb", "own/*", "own2/a", "far/a", "foreign/a", "-"}))
	r.Principal = cast()[one(t, "principal", []string{"main", "alt", "alice", "bob", "carol", "role", "altrole", "anon"})]
	for key, values := range map[string][]string{
		"s3:prefix": {"a", "ab", "b", ""}, "aws:tagkeys": {"a", "A", "b", "alice"}, "s3:existingobjecttag/t": {"a", "alice", "*"}, "aws:principaltag/t": {"a", "b", "*"},
		"s3:max-keys": {"0", "1", "2", "1.5", "x"}, "s3:object-lock-retain-until-date": {"2026-05-06", "2027-01-01T00:00:00Z", "x"},
		"aws:securetransport": {"true", "false"}, "aws:blob": {"YQ==", "YWI="}, "aws:sourceip": {"10.1.2.3", "11.0.0.1", "2001:db8::1", "x"},
		"aws:sourcearn": {"arn:aws:s3:::own", "arn:aws:s3:::own2", "x"}, "aws:username": {"alice"},
	} {
		if n := rapid.IntRange(0, 2).Draw(t, key); n > 0 {
			r.Keys[key] = rapid.SliceOfN(rapid.SampledFrom(values), n, n).Draw(t, key+" values")
		}
	}
	return r
}

// The evaluator and the reference come to the same effect, whatever the policies and the request.
func TestEvaluateAgreesWithReference(t *testing.T) {
	seen := map[Effect]int{}
	rapid.Check(t, func(t *rapid.T) {
		var p Policies
		var w written
		add := func(k Kind) *Policy {
			doc := drawPolicy(t, k)
			c, err := Compile([]byte(doc), Rules{Kind: k, Bucket: "own", MaxSize: MaxBucket})
			if err != nil {
				t.Fatalf("%v\n%s", err, doc)
			}
			switch k {
			case Bucket:
				w.bucket, w.public = doc, c.IsPublic()
			case Session:
				w.session = append(w.session, doc)
			default:
				w.identity = append(w.identity, doc)
			}
			return c
		}
		r := drawRequest(t)
		for range rapid.IntRange(0, 2).Draw(t, "identity") {
			p.Identity = append(p.Identity, add(Identity))
		}
		if rapid.Bool().Draw(t, "session") {
			p.Session = append(p.Session, add(Session))
		}
		if rapid.Bool().Draw(t, "bucket") {
			p.Bucket = add(Bucket)
		}
		p.ACL, p.RestrictPublicBuckets, p.RootGaveUp = rapid.Bool().Draw(t, "acl"), rapid.Bool().Draw(t, "restrict"), rapid.Bool().Draw(t, "gave up")
		w.acl, w.restrict, w.gaveUp = p.ACL, p.RestrictPublicBuckets, p.RootGaveUp
		d := Evaluate(r, &p)
		if slow := reference(r, &w); slow != d.Effect {
			t.Fatalf("%s, and the reference says %s\n%+v\n%+v", d.Effect, slow, r, w)
		}
		seen[d.Effect]++
	})
	if len(seen) < 3 && !t.Failed() {
		t.Errorf("only these effects were seen: %v", seen)
	}
}

// Wildcards match what a table over all prefixes says.
func TestPatternAgreesWithReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("abé*")), 0, 24, -1).Draw(t, "text")
		glob := rapid.StringOfN(rapid.RuneFrom([]rune("abé***??")), 0, 16, -1).Draw(t, "pattern")
		p, err := parsePattern(glob, true, false)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := matchTokens(p.tokens, text), refGlob(refExact(glob, true), text); got != want {
			t.Fatalf("%q matches %q: %v, want %v", glob, text, got, want)
		}
		for i := range text {
			if refGlob(refExact(glob, true), text) && !p.reaches(text[:i]) {
				t.Fatalf("%q matches %q, and does not reach %q", glob, text, text[:i])
			}
		}
	})
}
