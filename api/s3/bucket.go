package s3

import (
	"encoding/base64"
	"net/http"
	"strconv"

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
	c.owner(x, "Owner")
	if more && len(list) > 0 {
		x.Elem("ContinuationToken", base64.RawURLEncoding.EncodeToString([]byte(list[len(list)-1].Name)))
	}
	x.Some("Prefix", prefix)
	x.Close("ListAllMyBucketsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func errToken() error { return badArgument("The continuation token provided is incorrect") }

// owner writes who owns things: until there are users, the one owner of the configuration.
func (c *call) owner(x *xmlio.Writer, element string) {
	x.Open(element)
	x.Elem("ID", c.s.cfg.OwnerID)
	x.Elem("DisplayName", c.s.cfg.OwnerName)
	x.Close(element)
}

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
	if err := c.checkBucketHeaders(); err != nil {
		return err
	}
	if err := c.readBucketConfiguration(); err != nil {
		return err
	}
	if err := c.s.cfg.Engine.CreateBucket(c.ctx, object.CreateBucketRequest{Name: c.bucket, Owner: c.s.cfg.OwnerID, Region: c.s.cfg.Region}); err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/" + c.bucket}
	c.sendEmpty(http.StatusOK)
	return nil
}

func (c *call) checkBucketHeaders() error {
	switch acl := c.header("X-Amz-Acl"); {
	case acl != "" && acl != "private", c.sendsGrant():
		return plain(kind.BucketACLNotAllowed)
	}
	switch ownership := c.header("X-Amz-Object-Ownership"); ownership {
	case "", "BucketOwnerEnforced":
	default:
		return unbuilt("The object ownership " + strconv.Quote(ownership))
	}
	if v := c.header("X-Amz-Bucket-Object-Lock-Enabled"); v != "" && v != "false" {
		return unbuilt("Object lock (x-amz-bucket-object-lock-enabled)")
	}
	return nil
}

// readBucketConfiguration checks the body of CreateBucket: the region must be ours.
func (c *call) readBucketConfiguration() error {
	doc, err := c.readXML("CreateBucketConfiguration", maxXML, claimsOptional)
	if err != nil || doc == nil {
		return err
	}
	for _, n := range doc.Children(0) {
		switch n.Name {
		case "LocationConstraint":
			if n.Text != "" && n.Text != c.s.cfg.Region && (n.Text != "EU" || c.s.cfg.Region != "eu-west-1") {
				return plain(kind.InvalidLocation)
			}
		case "Location", "Bucket":
			return unbuilt("A directory bucket")
		case "Tags":
			return unbuilt("Tagging a new bucket")
		}
	}
	return nil
}

// headBucket answers whether the bucket is there.
func (c *call) headBucket() error {
	b, err := c.s.cfg.Engine.HeadBucket(c.ctx, c.bucket)
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
	b, err := c.s.cfg.Engine.HeadBucket(c.ctx, c.bucket)
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

// getBucketVersioning says that versioning was never enabled.
func (c *call) getBucketVersioning() error {
	if _, err := c.s.cfg.Engine.HeadBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("VersioningConfiguration")
	x.Close("VersioningConfiguration")
	c.sendXML(http.StatusOK, x)
	return nil
}

// preflight answers a browser's question whether another site may ask: no bucket allows that yet.
func (c *call) preflight() error { return plain(kind.PreflightForbidden) }
