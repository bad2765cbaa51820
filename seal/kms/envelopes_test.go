package kms_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/kind"
	"holdfast/seal"
	"holdfast/seal/kms"
)

func envelopes(t testing.TB, withBuckets bool) (*kms.Envelopes, *counted, *kms.Builtin) {
	t.Helper()
	b, k, _ := buckets(t, kms.BucketConfig{})
	builtin := k.KMS.(*kms.Builtin)
	e := &kms.Envelopes{S3: builtin, KMS: kms.Mux{New: k, Open: map[byte]kms.KMS{kms.FormatBuiltin: k}}, Rand: newDice("envelopes")}
	if withBuckets {
		e.Buckets = b
	}
	return e, k, builtin
}

func objectKey(t testing.TB, seed string) *seal.ObjectKey {
	t.Helper()
	k, err := seal.NewObjectKey(newDice(seed))
	ok(t, err)
	return k
}

// opens reports whether two object keys are one: what one seals the other opens.
func opens(t testing.TB, a, b *seal.ObjectKey) bool {
	t.Helper()
	text, err := a.SealSmall("test", []byte("x"), newDice("s"))
	ok(t, err)
	_, err = b.OpenSmall("test", text)
	return err == nil
}

func choices() []seal.SSE {
	return []seal.SSE{
		{Method: seal.SSES3},
		{Method: seal.SSEKMS, KeyID: "one"},
		{Method: seal.SSEKMS, KeyID: "one", Context: seal.Context{"team": "x"}},
		{Method: seal.SSEKMS, KeyID: "one", BucketKey: true},
		{Method: seal.SSEKMS, KeyID: kms.KeyDefault, Context: seal.Context{"team": "x"}, BucketKey: true},
	}
}

func TestEnvelopesOpenAtTheirPlaceOnly(t *testing.T) {
	for _, cached := range []bool{false, true} {
		e, _, _ := envelopes(t, cached)
		for n, s := range choices() {
			o, p := objectKey(t, "o"), place("a")
			m, err := e.Wrap(t.Context(), o, s, p)
			ok(t, err)
			got, err := e.Unwrap(t.Context(), m, p)
			if err != nil || !opens(t, o, got) {
				t.Fatalf("choice %d: %v", n, err)
			}
			other := place("b")
			for what, edit := range map[string]func(*kms.Place){
				"bucket ID":   func(p *kms.Place) { p.Bucket = other.Bucket },
				"bucket name": func(p *kms.Place) { p.BucketName = other.BucketName },
				"key":         func(p *kms.Place) { p.Key = other.Key },
				"version":     func(p *kms.Place) { p.Version = other.Version },
			} {
				q := p
				edit(&q)
				if _, err := e.Unwrap(t.Context(), m, q); !kind.Is(err, kind.Damaged) {
					t.Errorf("choice %d, another %s: %v", n, what, err)
				}
			}
		}
	}
}

func TestBucketKeysSpareTheKMS(t *testing.T) {
	e, k, _ := envelopes(t, true)
	s := seal.SSE{Method: seal.SSEKMS, KeyID: "one", BucketKey: true}
	p := place("a")
	for n := range 50 {
		p.Key = fmt.Sprint(n)
		m, err := e.Wrap(t.Context(), objectKey(t, p.Key), s, p)
		ok(t, err)
		_, err = e.Unwrap(t.Context(), m, p)
		ok(t, err)
	}
	if k.made.Load() != 1 || k.opened.Load() != 1 {
		t.Errorf("%d and %d calls", k.made.Load(), k.opened.Load())
	}
	s.BucketKey = false
	for range 3 {
		_, err := e.Wrap(t.Context(), objectKey(t, "o"), s, p)
		ok(t, err)
	}
	if k.made.Load() != 4 {
		t.Errorf("a bucket key was used where none was asked for: %d calls", k.made.Load())
	}
}

func TestRewrapMovesToTheNewestVersionAndTouchesNoData(t *testing.T) {
	e, _, builtin := envelopes(t, false)
	o, p := objectKey(t, "o"), place("a")
	for _, s := range choices()[:4] {
		m, err := e.Wrap(t.Context(), o, s, p)
		ok(t, err)
		before := m.Blob[4]
		ok(t, builtin.Rotate(t.Context(), m.KeyID))
		got, err := e.Unwrap(t.Context(), m, p)
		if err != nil || !opens(t, o, got) {
			t.Fatalf("after the rotation: %v", err)
		}
		r, err := e.Rewrap(t.Context(), m, p)
		ok(t, err)
		if r.Blob[4] != before+1 || r.KeyID != m.KeyID || r.Method != m.Method || r.BucketKey != m.BucketKey || len(r.Context) != len(m.Context) {
			t.Errorf("%+v became %+v", m.KeyRef, r.KeyRef)
		}
		got, err = e.Unwrap(t.Context(), r, p)
		if err != nil || !opens(t, o, got) {
			t.Fatalf("after the rewrap: %v", err)
		}
	}
}

func TestErrorsOfTheKMSReachTheCaller(t *testing.T) {
	e, _, builtin := envelopes(t, false)
	p, s := place("a"), seal.SSE{Method: seal.SSEKMS, KeyID: "one"}
	m, err := e.Wrap(t.Context(), objectKey(t, "o"), s, p)
	ok(t, err)
	ok(t, builtin.Disable(t.Context(), "one"))
	_, err = e.Unwrap(t.Context(), m, p)
	wantCode(t, err, kms.Disabled)
	_, err = e.Wrap(t.Context(), objectKey(t, "o"), s, p)
	wantCode(t, err, kms.Disabled)
	_, err = e.Rewrap(t.Context(), m, p)
	wantCode(t, err, kms.Disabled)
	s.KeyID = "nobody"
	_, err = e.Wrap(t.Context(), objectKey(t, "o"), s, p)
	wantCode(t, err, kms.NotFound)
	_, err = e.Wrap(t.Context(), objectKey(t, "o"), seal.SSE{}, p)
	if err == nil {
		t.Error("an envelope without a method")
	}
	s.Context = seal.Context{seal.ContextARN: "arn:aws:s3:::elsewhere/x"}
	_, err = e.Wrap(t.Context(), objectKey(t, "o"), s, p)
	if !kind.Is(err, kind.InvalidArgument) {
		t.Errorf("a false ARN: %v", err)
	}
	e.KMS = nil
	_, err = e.Unwrap(t.Context(), m, p)
	wantCode(t, err, kms.Unavailable)
}

func TestMuxOpensByTheBlobAndMakesByTheConfiguration(t *testing.T) {
	_, k, builtin := envelopes(t, false)
	d := generate(t, builtin, "one", contextA)
	m := kms.Mux{New: nil, Open: map[byte]kms.KMS{kms.FormatBuiltin: k}}
	if got, err := m.Decrypt(t.Context(), "one", d.Blob, contextA); err != nil || !same(t, got, d.Key) {
		t.Error(err)
	}
	_, err := m.GenerateDataKey(context.Background(), "one", contextA)
	wantCode(t, err, kms.Unavailable)
	_, err = m.Decrypt(t.Context(), "one", []byte{kms.FormatVault, 1}, contextA)
	wantCode(t, err, kms.Unavailable)
	_, err = m.Decrypt(t.Context(), "one", nil, contextA)
	wantCode(t, err, kms.Internal)
}

func TestKeyIDsComeAsNamesAliasesAndARNs(t *testing.T) {
	n := kms.Names{Region: "eu-west-1", Account: "000000000001"}
	const arn = "arn:aws:kms:eu-west-1:000000000001:"
	for text, want := range map[string]string{
		"": kms.KeyDefault, "alias/aws/s3": kms.KeyDefault, "payroll": "payroll", "alias/payroll": "payroll", "key/payroll": "payroll",
		arn + "key/payroll": "payroll", arn + "alias/team-a/pay.roll_1": "team-a/pay.roll_1", "1234abcd-12ab-34cd-56ef-1234567890ab": "1234abcd-12ab-34cd-56ef-1234567890ab",
	} {
		if got, err := n.ID(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"arn:aws:kms:us-west-2:000000000001:key/payroll":   "Invalid arn us-west-2",
		"arn:aws:kms:eu-west-1:000000000002:key/payroll":   "Key 'arn:aws:kms:eu-west-1:000000000002:key/payroll' does not exist",
		"arn:aws:s3:eu-west-1:000000000001:key/payroll":    "Invalid arn arn:aws:s3",
		"arn:aws:kms:eu-west-1:000000000001:grant/payroll": "Invalid arn arn:aws:kms:eu-west-1:000000000001:grant",
		"arn:aws:kms":              "Invalid arn",
		"a b":                      "Invalid keyId 'a b'",
		"../payroll":               "Invalid keyId",
		"a//b":                     "Invalid keyId",
		"a/../b":                   "Invalid keyId",
		"/a":                       "Invalid keyId",
		"a/":                       "Invalid keyId",
		"alias/":                   "Invalid keyId",
		"alias/key/x":              "Invalid keyId",
		"payroll\n":                "Invalid keyId",
		strings.Repeat("x", 129):   "Invalid keyId",
		strings.Repeat("x", 1<<20): "Invalid keyId",
		"sse-s3":                   "Key 'sse-s3' does not exist",
		"alias/sse-s3":             "does not exist",
		"arn:aws:kms:eu-west-1:000000000001:key/sse-s3":     "does not exist",
		"arn:aws:kms:eu-west-1:000000000001:key/:payroll":   "Invalid keyId",
		"arn:aws-cn:kms:eu-west-1:000000000001:key/payroll": "Invalid arn",
	} {
		_, err := n.ID(text)
		if kms.CodeOf(err) != kms.NotFound || !strings.Contains(err.Error(), says) || len(err.Error()) > 3000 {
			t.Errorf("%.60q: %.200v", text, err)
		}
	}
	if got, err := n.ID(n.ARN("payroll")); err != nil || got != "payroll" {
		t.Error(err)
	}
	n.Default = "mine"
	if got, err := n.ID(""); err != nil || got != "mine" {
		t.Error(err)
	}
}
