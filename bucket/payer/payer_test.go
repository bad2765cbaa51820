package payer

import (
	"testing"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

func document(inside string) string {
	return "<RequestPaymentConfiguration>" + inside + "</RequestPaymentConfiguration>"
}

func TestDocuments(t *testing.T) {
	for in, want := range map[string]Payer{
		document("<Payer>BucketOwner</Payer>"): BucketOwner, document("<Payer>Requester</Payer>"): Requester,
		document("<Payer>requester</Payer>"): "", document("<Payer/>"): "", document(""): "", document("<Payer>Requester</Payer><Payer>Requester</Payer>"): "", "<Payer/>": "", "": "",
	} {
		got, err := Parse(in)
		if got != want || want == "" && !kind.Is(err, kind.MalformedXML) {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	const want = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<RequestPaymentConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>`
	if got := xmlio.Document(Payer("")); got != want {
		t.Error(got)
	}
}

func TestOthersMustSayThatTheyPay(t *testing.T) {
	for _, row := range []struct {
		p                Payer
		owner, anonymous bool
		header           string
		charged, refused bool
	}{
		{"", false, true, "", false, false},
		{BucketOwner, false, false, "requester", false, false},
		{Requester, true, false, "", false, false},
		{Requester, false, false, "requester", true, false},
		{Requester, false, false, "", false, true},
		{Requester, false, false, "Requester", false, true},
		{Requester, false, true, "requester", false, true},
	} {
		charged, err := row.p.Check(row.owner, row.anonymous, row.header)
		if charged != row.charged || kind.Is(err, kind.AccessDenied) != row.refused {
			t.Errorf("%+v: %v, %v", row, charged, err)
		}
	}
}

func FuzzPayer(f *testing.F) {
	f.Add(document("<Payer>Requester</Payer>"))
	f.Fuzz(func(t *testing.T, in string) {
		if p, err := Parse(in); err == nil {
			if again, err := Parse(xmlio.Document(p)); err != nil || again != p {
				t.Fatalf("%q became %q, %v", p, again, err)
			}
		}
	})
}
