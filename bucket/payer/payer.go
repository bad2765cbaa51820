// Package payer is a bucket's RequestPaymentConfiguration. Nobody is billed here; what is kept is
// AWS's rule that others must say that they would pay.
package payer

import (
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// MaxBytes is the longest document.
const MaxBytes = 4 << 10

// Payer says who pays for requests.
type Payer string

// The payers. A bucket begins with BucketOwner.
const (
	BucketOwner Payer = "BucketOwner"
	Requester   Payer = "Requester"
)

// Parse reads the document.
func Parse(doc string) (Payer, error) {
	root, err := xmlio.Decode(doc, "RequestPaymentConfiguration", MaxBytes)
	if err != nil {
		return "", err
	}
	f, err := root.Fields("Payer")
	if err != nil {
		return "", err
	}
	p := Payer(f.Word("Payer"))
	if p != BucketOwner && p != Requester {
		return "", xmlio.Malformed()
	}
	return p, nil
}

// Check refuses a request of somebody else than the bucket's owner who does not say, by the header
// x-amz-request-payer, that he pays. Who is anonymous cannot. Charged means that the answer has
// x-amz-request-charged: requester.
func (p Payer) Check(owner, anonymous bool, header string) (charged bool, err error) {
	switch {
	case p != Requester || owner:
		return false, nil
	case anonymous || header != "requester":
		return false, kind.New(kind.AccessDenied, "Access Denied")
	}
	return true, nil
}

// WriteXML prints the document.
func (p Payer) WriteXML(x *xmlio.Writer) {
	x.Root("RequestPaymentConfiguration")
	if p == "" {
		p = BucketOwner
	}
	x.Elem("Payer", string(p))
	x.Close("RequestPaymentConfiguration")
}
