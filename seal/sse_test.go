package seal_test

import (
	"maps"
	"testing"

	"holdfast/internal/kind"
	"holdfast/seal"
)

func one(s string) []string { return []string{s} }

func TestHeadersOfManagedEncryptionAreTakenAsAWSTakesThem(t *testing.T) {
	const (
		method = "The encryption method specified is not supported"
		needs  = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
		incomp = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
	)
	yes, no := true, false
	for _, c := range []struct {
		name    string
		h       seal.SSEHeaders
		want    seal.SSERequest
		kind    kind.Kind
		message string
	}{
		{name: "none"},
		{name: "SSE-C alone", h: seal.SSEHeaders{Customer: true}},
		{name: "AES256", h: seal.SSEHeaders{Method: one("AES256")}, want: seal.SSERequest{Method: seal.SSES3}},
		{name: "aws:kms", h: seal.SSEHeaders{Method: one("aws:kms")}, want: seal.SSERequest{Method: seal.SSEKMS}},
		{name: "aws:kms, empty key", h: seal.SSEHeaders{Method: one("aws:kms"), KeyID: one("")}, want: seal.SSERequest{Method: seal.SSEKMS}},
		{name: "all of KMS", h: seal.SSEHeaders{Method: one("aws:kms"), KeyID: one("k"), Context: one(b64(`{"a":"b"}`)), BucketKey: one("true")},
			want: seal.SSERequest{Method: seal.SSEKMS, KeyID: "k", Context: seal.Context{"a": "b"}, BucketKey: &yes}},
		{name: "bucket key off", h: seal.SSEHeaders{Method: one("aws:kms"), BucketKey: one("False")}, want: seal.SSERequest{Method: seal.SSEKMS, BucketKey: &no}},
		{name: "bucket key alone", h: seal.SSEHeaders{BucketKey: one("true")}, want: seal.SSERequest{BucketKey: &yes}},
		{name: "AES256 and bucket key", h: seal.SSEHeaders{Method: one("AES256"), BucketKey: one("true")}, want: seal.SSERequest{Method: seal.SSES3, BucketKey: &yes}},
		{name: "empty method", h: seal.SSEHeaders{Method: one("")}, kind: kind.InvalidArgument, message: method},
		{name: "aes:kms", h: seal.SSEHeaders{Method: one("aes:kms")}, kind: kind.InvalidArgument, message: method},
		{name: "aes256", h: seal.SSEHeaders{Method: one("aes256")}, kind: kind.InvalidArgument, message: method},
		{name: "dsse", h: seal.SSEHeaders{Method: one("aws:kms:dsse")}, kind: kind.Unbuilt},
		{name: "key without method", h: seal.SSEHeaders{KeyID: one("k")}, kind: kind.InvalidArgument, message: needs},
		{name: "key with AES256", h: seal.SSEHeaders{Method: one("AES256"), KeyID: one("k")}, kind: kind.InvalidArgument, message: needs},
		{name: "context without method", h: seal.SSEHeaders{Context: one(b64("{}"))}, kind: kind.InvalidArgument, message: needs},
		{name: "context with AES256", h: seal.SSEHeaders{Method: one("AES256"), Context: one(b64("{}"))}, kind: kind.InvalidArgument, message: needs},
		{name: "bad context", h: seal.SSEHeaders{Method: one("aws:kms"), Context: one("x")}, kind: kind.InvalidArgument},
		{name: "bad bucket key", h: seal.SSEHeaders{Method: one("aws:kms"), BucketKey: one("yes")}, kind: kind.InvalidArgument},
		{name: "method twice", h: seal.SSEHeaders{Method: []string{"aws:kms", "AES256"}}, kind: kind.InvalidArgument},
		{name: "key twice", h: seal.SSEHeaders{Method: one("aws:kms"), KeyID: []string{"a", "b"}}, kind: kind.InvalidArgument},
		{name: "SSE-C and AES256", h: seal.SSEHeaders{Customer: true, Method: one("AES256")}, kind: kind.SSECIncompatible, message: incomp},
		{name: "SSE-C and rubbish", h: seal.SSEHeaders{Customer: true, Method: one("x")}, kind: kind.SSECIncompatible, message: incomp},
		{name: "SSE-C and key", h: seal.SSEHeaders{Customer: true, KeyID: one("x")}, kind: kind.SSECIncompatible, message: incomp},
		{name: "SSE-C and bucket key", h: seal.SSEHeaders{Customer: true, BucketKey: one("true")}, kind: kind.SSECIncompatible, message: incomp},
	} {
		got, err := c.h.Parse()
		if c.kind != 0 {
			if kind.Of(err) != c.kind || c.message != "" && err.Error() != c.message {
				t.Errorf("%s: %v, want kind %d", c.name, err, c.kind)
			}
			continue
		}
		same := got.Method == c.want.Method && got.KeyID == c.want.KeyID && maps.Equal(got.Context, c.want.Context) &&
			(got.BucketKey == nil) == (c.want.BucketKey == nil) && (got.BucketKey == nil || *got.BucketKey == *c.want.BucketKey)
		if err != nil || !same {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestReadsRefuseHeadersOfManagedEncryption(t *testing.T) {
	if err := (seal.SSEHeaders{Customer: true}).Refuse(); err != nil {
		t.Error(err)
	}
	wantKind(t, seal.SSEHeaders{Method: one("AES256")}.Refuse(), kind.InvalidArgument)
	wantKind(t, seal.SSEHeaders{KeyID: one("k")}.Refuse(), kind.InvalidArgument)
	wantKind(t, seal.SSEHeaders{Customer: true, Method: one("AES256")}.Refuse(), kind.SSECIncompatible)
}

func TestRequestWinsOverTheBucketsDefault(t *testing.T) {
	yes, no := true, false
	s3, kmsDefault := seal.SSE{Method: seal.SSES3}, seal.SSE{Method: seal.SSEKMS, KeyID: "bucket", BucketKey: true}
	for _, c := range []struct {
		name   string
		r      seal.SSERequest
		bucket seal.SSE
		want   seal.SSE
	}{
		{"nothing", seal.SSERequest{}, seal.SSE{}, seal.SSE{}},
		{"default SSE-S3", seal.SSERequest{}, s3, s3},
		{"default SSE-KMS", seal.SSERequest{}, kmsDefault, kmsDefault},
		{"default without its bucket key", seal.SSERequest{BucketKey: &no}, kmsDefault, seal.SSE{Method: seal.SSEKMS, KeyID: "bucket"}},
		{"AES256 over SSE-KMS", seal.SSERequest{Method: seal.SSES3}, kmsDefault, s3},
		{"AES256 and a bucket key", seal.SSERequest{Method: seal.SSES3, BucketKey: &yes}, seal.SSE{}, s3},
		{"aws:kms without a key", seal.SSERequest{Method: seal.SSEKMS}, kmsDefault, seal.SSE{Method: seal.SSEKMS, BucketKey: true}},
		{"aws:kms with a key", seal.SSERequest{Method: seal.SSEKMS, KeyID: "own", BucketKey: &no}, kmsDefault, seal.SSE{Method: seal.SSEKMS, KeyID: "own"}},
		{"aws:kms in a plain bucket", seal.SSERequest{Method: seal.SSEKMS, KeyID: "own", BucketKey: &yes}, seal.SSE{}, seal.SSE{Method: seal.SSEKMS, KeyID: "own", BucketKey: true}},
		{"bucket key, no default", seal.SSERequest{BucketKey: &yes}, seal.SSE{}, seal.SSE{}},
	} {
		got := c.r.Resolve(c.bucket)
		if got.Method != c.want.Method || got.KeyID != c.want.KeyID || got.BucketKey != c.want.BucketKey {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if seal.SSES3.Header() != "AES256" || seal.SSEKMS.Header() != "aws:kms" || seal.Method(0).Header() != "" {
		t.Error("values of the header")
	}
}
