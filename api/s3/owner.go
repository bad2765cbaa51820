package s3

import (
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
)

// owner writes who owns something: an account ID, where "" is the bucket's owner.
func (c *call) owner(x *xmlio.Writer, element, account string) {
	if account == "" {
		account = c.bucketOwner()
	}
	name := account
	if account == c.s.cfg.OwnerID {
		name = c.s.cfg.OwnerName
	}
	x.Open(element)
	x.Elem("ID", account)
	x.Elem("DisplayName", name)
	x.Close(element)
}

// bucketOwner is the account ID of who owns the bucket of the request.
func (c *call) bucketOwner() string {
	if c.bucket != "" {
		if b, err := c.bucketInfo(); err == nil && b.Owner != "" {
			return b.Owner
		}
	}
	return c.s.cfg.OwnerID
}

// The headers by which a client says whom it takes for the owner.
const (
	headerExpectedOwner       = "X-Amz-Expected-Bucket-Owner"
	headerSourceExpectedOwner = "X-Amz-Source-Expected-Bucket-Owner"
	headerRequestPayer        = "X-Amz-Request-Payer"
)

// checkExpectedOwner refuses a request for a bucket that somebody else has than the client thinks.
func (c *call) checkExpectedOwner() error {
	want, ok := c.r.Header[headerExpectedOwner]
	if !ok || c.level == levelService || c.route.op == opCreateBucket {
		return nil
	}
	b, err := c.bucketInfo()
	if err != nil {
		return err
	}
	if len(want) != 1 || want[0] != b.Owner {
		return plain(kind.AccessDenied)
	}
	return nil
}

// checkSourceOwner is checkExpectedOwner of a copy's source.
func (c *call) checkSourceOwner(bucket string) error {
	want, ok := c.r.Header[headerSourceExpectedOwner]
	if !ok {
		return nil
	}
	b, err := c.s.cfg.Engine.HeadBucket(c.ctx, bucket)
	if err != nil {
		return err
	}
	if len(want) != 1 || want[0] != b.Owner {
		return plain(kind.AccessDenied)
	}
	return nil
}
