package s3

import (
	"net/http"

	"holdfast/internal/xmlio"
	"holdfast/object"
	"holdfast/proto/metapb"
)

// copyObject makes an object of another one, or changes one in place: onto itself with another
// customer key it is a rotation.
func (c *call) copyObject() error {
	req, err := c.copyRequest()
	if err != nil {
		return err
	}
	if req.Bucket == req.Source.Bucket && req.Key == req.Source.Key && req.Source.VersionID == "" && !c.changes(&req) {
		return badRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	res, err := c.s.cfg.Engine.Copy(c.ctx, req)
	if err != nil {
		return err
	}
	h := newHeaders(c.w.Header())
	c.echoVersion(res.VersionID)
	c.echoSourceVersion(&h, &req.Source)
	c.echoEncryption(&h, c.sse)
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("CopyObjectResult")
	x.Time("LastModified", res.Modified)
	x.ETag(res.ETag)
	writeChecksum(x, res.Checksum)
	x.Close("CopyObjectResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func (c *call) echoSourceVersion(h *headers, src *object.Source) {
	if src.VersionID != "" && src.VersionID != "null" {
		h.set("x-amz-copy-source-version-id", src.VersionID)
	}
}

// changes reports whether a copy onto itself would change something.
func (c *call) changes(req *object.CopyRequest) bool {
	_, class := c.r.Header["X-Amz-Storage-Class"]
	return req.Replace || req.ReplaceTags || class || req.Customer != nil || req.SSE.Method != 0 || req.Source.Customer != nil ||
		req.ChecksumAlgorithm != metapb.Checksum_NONE
}

func (c *call) copyRequest() (object.CopyRequest, error) {
	req := object.CopyRequest{Bucket: c.bucket, Key: c.key}
	var err error
	if req.Attributes, err = c.attributes(); err != nil {
		return req, err
	}
	if err = c.writeEncryption(); err != nil {
		return req, err
	}
	if req.Source, err = c.copySource(); err != nil {
		return req, err
	}
	if req.Condition, err = c.writeCondition(); err != nil {
		return req, err
	}
	if req.Replace, err = c.directive("X-Amz-Metadata-Directive", "Unknown metadata directive."); err != nil {
		return req, err
	}
	if req.ReplaceTags, err = c.directive("X-Amz-Tagging-Directive", "Unknown tagging directive."); err != nil {
		return req, err
	}
	if name := c.header(headerChecksumAlgorithm); name != "" {
		a, err := algorithmNamed(name, "x-amz-checksum-algorithm")
		if err != nil {
			return req, err
		}
		req.ChecksumAlgorithm = a.id
	}
	req.Customer, req.SSE = c.customer, c.sse
	return req, nil
}

// directive tells whether the request's attributes replace those of the source.
func (c *call) directive(header, unknown string) (replace bool, err error) {
	switch c.header(header) {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, badArgument("%s", unknown)
}
