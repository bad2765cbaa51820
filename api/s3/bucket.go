package s3

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"holdfast/bucket/acl"
	"holdfast/bucket/tagging"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
)

// listBuckets lists the buckets, all at once unless a page was asked for.
func (c *call) listBuckets() error {
	limit, paged, err := c.limit("max-buckets", object.MaxBuckets)
	if err != nil {
		return err
	}
	if paged && limit == 0 {
		return badArgument("max-buckets must be between 1 and %d", object.MaxBuckets)
	}
	var after string
	if t := c.query.get("continuation-token"); t != "" {
		raw, err := base64.RawURLEncoding.DecodeString(t)
		if err != nil {
			return errToken()
		}
		after = string(raw)
	}
	prefix := c.query.get("prefix")
	region := c.query.get("bucket-region")
	var list []object.BucketInfo
	more := false
	if region == "" || region == c.s.cfg.Region { // else there are none: all are in one region
		if list, more, err = c.s.cfg.Engine.ListBuckets(c.ctx, prefix, after, limit); err != nil {
			return err
		}
	}
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("ListAllMyBucketsResult")
	x.Open("Buckets")
	for i := range list {
		x.Open("Bucket")
		x.Elem("Name", list[i].Name)
		x.Time("CreationDate", list[i].Created)
		x.Elem("BucketRegion", list[i].Region)
		x.Close("Bucket")
	}
	x.Close("Buckets")
	c.owner(x, "Owner", c.s.cfg.OwnerID)
	if more && len(list) > 0 {
		x.Elem("ContinuationToken", base64.RawURLEncoding.EncodeToString([]byte(list[len(list)-1].Name)))
	}
	x.Some("Prefix", prefix)
	x.Close("ListAllMyBucketsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func errToken() error { return badArgument("The continuation token provided is incorrect") }

// limit takes the size of a page: most without the argument, and never more than most.
func (c *call) limit(argument string, most int) (n int, given bool, err error) {
	v := c.query.get(argument)
	if v == "" {
		return most, false, nil
	}
	n64, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n64 < 0 {
		return 0, true, badArgument("Argument %s must be an integer between 0 and 2147483647", argument)
	}
	return min(int(n64), most), true, nil
}

// createBucket makes a bucket.
func (c *call) createBucket() error {
	if reservedBucket(c.bucket) {
		return plain(kind.InvalidBucketName)
	}
	req := object.CreateBucketRequest{Name: c.bucket, Owner: c.s.cfg.OwnerID, Region: c.s.cfg.Region, Documents: map[string][]byte{}}
	if err := c.readBucketHeaders(&req); err != nil {
		return err
	}
	if err := c.readBucketConfiguration(&req); err != nil {
		return err
	}
	if err := c.s.cfg.Engine.CreateBucket(c.ctx, req); err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/" + c.bucket}
	c.sendEmpty(http.StatusOK)
	return nil
}

// readBucketHeaders takes what the headers say of a new bucket.
func (c *call) readBucketHeaders(req *object.CreateBucketRequest) error {
	switch canned := c.header("X-Amz-Acl"); {
	case canned != "" && canned != "private", c.sendsGrant():
		return plain(kind.BucketACLNotAllowed)
	}
	ownership, err := acl.ParseOwnershipHeader(c.header("X-Amz-Object-Ownership"))
	if err != nil {
		return err
	}
	if ownership != "" {
		if err := checkOwnership(nil, ownership, nil); err != nil {
			return err
		}
		req.Documents[settingOwnership] = []byte(xmlio.Document(ownership))
	}
	switch v := c.header(headerLockEnabled); strings.ToLower(v) {
	case "true":
		req.ObjectLock = true
	case "", "false":
	default:
		return badArgument("The value of x-amz-bucket-object-lock-enabled must be true or false.")
	}
	return nil
}

// readBucketConfiguration reads the body of CreateBucket: the region must be ours.
func (c *call) readBucketConfiguration(req *object.CreateBucketRequest) error {
	doc, err := c.readXML("CreateBucketConfiguration", maxXML, claimsOptional)
	if err != nil || doc == nil {
		return err
	}
	for i, n := range doc.Children(0) {
		switch n.Name {
		case "LocationConstraint":
			if n.Text != "" && n.Text != c.s.cfg.Region && (n.Text != "EU" || c.s.cfg.Region != "eu-west-1") {
				return plain(kind.InvalidLocation)
			}
		case "Location", "Bucket":
			return unbuilt("A directory bucket")
		case "Tags":
			set, err := newBucketTags(doc, i)
			if err != nil {
				return err
			}
			req.Documents[settingTagging] = []byte(xmlio.Document(set))
		}
	}
	return nil
}

// newBucketTags reads the tags in element i: they are those of a Tagging document.
func newBucketTags(doc xmlio.Doc, i int) (tagging.Set, error) {
	var given tagging.Set
	for j := range doc.Children(i) {
		var t tagging.Tag
		for _, n := range doc.Children(j) {
			switch n.Name {
			case "Key":
				t.Key = n.Text
			case "Value":
				t.Value = n.Text
			}
		}
		given = append(given, t)
	}
	return tagging.ParseBucket(xmlio.Document(given))
}

// headBucket answers whether the bucket is there.
func (c *call) headBucket() error {
	b, err := c.bucketInfo()
	if err != nil {
		return err
	}
	h := newHeaders(c.w.Header())
	h.set("x-amz-bucket-region", b.Region)
	h.set("x-amz-access-point-alias", "false")
	h.set("Content-Type", "application/xml")
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// deleteBucket removes an empty bucket.
func (c *call) deleteBucket() error {
	if err := c.s.cfg.Engine.DeleteBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	c.sendEmpty(http.StatusNoContent)
	return nil
}

// getBucketLocation names the bucket's region; us-east-1 is named by nothing.
func (c *call) getBucketLocation() error {
	b, err := c.bucketInfo()
	if err != nil {
		return err
	}
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("LocationConstraint")
	if b.Region != defaultRegion {
		x.Text(b.Region)
	}
	x.Close("LocationConstraint")
	c.sendXML(http.StatusOK, x)
	return nil
}
