package encryption

import (
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

func document(inside string) string {
	return "<ServerSideEncryptionConfiguration><Rule>" + inside + "</Rule></ServerSideEncryptionConfiguration>"
}

func byDefault(inside string) string {
	return "<ApplyServerSideEncryptionByDefault>" + inside + "</ApplyServerSideEncryptionByDefault>"
}

const (
	aes     = "<SSEAlgorithm>AES256</SSEAlgorithm>"
	kms     = "<SSEAlgorithm>aws:kms</SSEAlgorithm>"
	on      = "<BucketKeyEnabled>true</BucketKeyEnabled>"
	off     = "<BucketKeyEnabled>false</BucketKeyEnabled>"
	blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
	open    = "<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>"
)

func TestDocuments(t *testing.T) {
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>`
	for _, row := range []struct{ in, out string }{
		{byDefault(aes), byDefault(aes) + off},
		{byDefault(aes) + on, byDefault(aes) + on},
		{byDefault(kms), byDefault(kms) + off},
		{off + byDefault("<KMSMasterKeyID>fool-me-again</KMSMasterKeyID>"+kms), byDefault(kms+"<KMSMasterKeyID>fool-me-again</KMSMasterKeyID>") + off},
		{byDefault(kms+"<KMSMasterKeyID>arn:aws:kms:us-east-1:1:key/a-b</KMSMasterKeyID>") + on, byDefault(kms+"<KMSMasterKeyID>arn:aws:kms:us-east-1:1:key/a-b</KMSMasterKeyID>") + on},
		{byDefault(aes) + blocked, byDefault(aes) + off + blocked},
		{open + byDefault(aes), byDefault(aes) + off + open},
		{blocked, off + blocked},
		{on, on},
		{byDefault(aes) + "<BlockedEncryptionTypes/>", byDefault(aes) + off},
		{byDefault(aes) + "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>", byDefault(aes) + off + blocked},
	} {
		c, err := Parse(document(row.in))
		if err != nil {
			t.Errorf("%s: %v", row.in, err)
			continue
		}
		if got := xmlio.Document(c); got != head+row.out+"</Rule></ServerSideEncryptionConfiguration>" {
			t.Errorf("%s became %s", row.in, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	for in, want := range map[string]kind.Kind{
		document(""):                   kind.MalformedXML,
		document(aes):                  kind.MalformedXML,
		document(byDefault("")):        kind.MalformedXML,
		document(byDefault(aes + aes)): kind.MalformedXML,
		document(byDefault("<SSEAlgorithm>aes256</SSEAlgorithm>")):                                                                                                kind.MalformedXML,
		document(byDefault("<SSEAlgorithm>SSE-C</SSEAlgorithm>")):                                                                                                 kind.MalformedXML,
		document(byDefault("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>")):                                                                                          kind.Unbuilt,
		document(byDefault(aes + "<KMSMasterKeyID>k</KMSMasterKeyID>")):                                                                                           kind.InvalidArgument,
		document(byDefault(kms + "<KMSMasterKeyID>" + strings.Repeat("k", MaxKeyID+1) + "</KMSMasterKeyID>")):                                                     kind.InvalidArgument,
		document(byDefault(kms + "<KMSMasterKeyID>a&#10;b</KMSMasterKeyID>")):                                                                                     kind.InvalidArgument,
		document(byDefault(aes) + "<BucketKeyEnabled>yes</BucketKeyEnabled>"):                                                                                     kind.MalformedXML,
		document(byDefault(aes) + "<BlockedEncryptionTypes><EncryptionType>SSE-S3</EncryptionType></BlockedEncryptionTypes>"):                                     kind.MalformedXML,
		document(byDefault(aes) + "<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"): kind.MalformedXML,
		"<ServerSideEncryptionConfiguration/>":                                                                                                                    kind.MalformedXML,
		"<ServerSideEncryptionConfiguration><Rule>" + byDefault(aes) + "</Rule><Rule>" + byDefault(aes) + "</Rule></ServerSideEncryptionConfiguration>":           kind.MalformedXML,
		"<Encryption/>": kind.MalformedXML,
	} {
		if _, err := Parse(in); !kind.Is(err, want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestTheBucketSaysWhetherSSECIsBlocked(t *testing.T) {
	for _, row := range []struct {
		c               *Config
		byDefault, want bool
	}{
		{nil, false, false}, {nil, true, true}, {&Config{}, false, false}, {&Config{}, true, true},
		{&Config{Blocked: BlocksSSEC}, false, true}, {&Config{Blocked: BlockNone}, true, false},
	} {
		if row.c.Blocks(row.byDefault) != row.want {
			t.Errorf("%+v", row)
		}
	}
}

func FuzzEncryption(f *testing.F) {
	for _, s := range []string{byDefault(aes), byDefault(kms+"<KMSMasterKeyID>a b</KMSMasterKeyID>") + on + blocked, open} {
		f.Add(document(s))
	}
	f.Fuzz(func(t *testing.T, in string) {
		if c, err := Parse(in); err == nil {
			if again, err := Parse(xmlio.Document(c)); err != nil || *again != *c {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
	})
}
