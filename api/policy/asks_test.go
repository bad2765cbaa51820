package policy

import (
	"slices"
	"testing"
)

func TestKeysAreThoseOfConditionsAndVariables(t *testing.T) {
	p, err := Compile([]byte(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*",
		 "Condition":{"StringLike":{"S3:Prefix":["${aws:PrincipalTag/Team, 'none'}/*","x"]},"Bool":{"aws:SecureTransport":"true"}}},
		{"Effect":"Deny","Action":"s3:*","Resource":"*",
		 "Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:user/${s3:ExistingObjectTag/Owner}"},"Null":{"aws:securetransport":"true"}}}]}`),
		Rules{Kind: Identity})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"aws:principalarn", "aws:principaltag/team", "aws:securetransport", "aws:username", "s3:existingobjecttag/owner", "s3:prefix"}
	if !slices.Equal(p.Keys(), want) {
		t.Errorf("%q", p.Keys())
	}
	if k := DenyAll(Bucket, "x").Keys(); len(k) > 0 {
		t.Errorf("%q", k)
	}
}
