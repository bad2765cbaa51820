package s3

import (
	"net/http"

	"holdfast/internal/xmlio"
	"holdfast/object"
	"holdfast/proto/metapb"
)

// createUpload begins a multipart upload.
func (c *call) createUpload() error {
	req := object.CreateUploadRequest{Bucket: c.bucket, Key: c.key}
	var err error
	if req.Attributes, err = c.attributes(); err != nil {
		return err
	}
	if err = c.writeEncryption(); err != nil {
		return err
	}
	req.Customer, req.SSE = c.customer, c.sse
	if req.ChecksumAlgorithm, req.ChecksumType, err = c.uploadChecksum(); err != nil {
		return err
	}
	up, err := c.s.cfg.Engine.CreateUpload(c.ctx, req)
	if err != nil {
		return err
	}
	h := newHeaders(c.w.Header())
	if a := algorithmOf(req.ChecksumAlgorithm); a != nil {
		h.set("x-amz-checksum-algorithm", a.name)
		h.set("x-amz-checksum-type", req.ChecksumType.String())
	}
	c.echoEncryption(&h, c.sse)
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("InitiateMultipartUploadResult")
	x.Elem("Bucket", c.bucket)
	x.Elem("Key", c.key)
	x.Elem("UploadId", up.UploadID)
	x.Close("InitiateMultipartUploadResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// uploadChecksum takes the algorithm and the type of an upload's checksum, by AWS's table: CRC64NVME
// is of the full object only, the SHAs are composite only, the other CRCs may be either.
func (c *call) uploadChecksum() (metapb.Checksum_Algorithm, metapb.Checksum_Type, error) {
	name, kindOf := c.header(headerChecksumAlgorithm), c.header(headerChecksumType)
	if name == "" {
		if kindOf != "" {
			return 0, 0, badRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return 0, 0, nil
	}
	a, err := algorithmNamed(name, "x-amz-checksum-algorithm")
	if err != nil {
		return 0, 0, err
	}
	typ, err := checksumType(kindOf)
	if err != nil {
		return 0, 0, err
	}
	full := a.id == metapb.Checksum_CRC64NVME
	sha := a.id == metapb.Checksum_SHA1 || a.id == metapb.Checksum_SHA256
	switch {
	case typ == metapb.Checksum_UNSET && full:
		typ = metapb.Checksum_FULL_OBJECT
	case typ == metapb.Checksum_UNSET:
		typ = metapb.Checksum_COMPOSITE
	case typ == metapb.Checksum_FULL_OBJECT && sha, typ == metapb.Checksum_COMPOSITE && full:
		return 0, 0, badRequest("The %s checksum type cannot be used with the %s checksum algorithm.", typ, a.name)
	}
	return a.id, typ, nil
}

func checksumType(s string) (metapb.Checksum_Type, error) {
	switch s {
	case "":
		return metapb.Checksum_UNSET, nil
	case "FULL_OBJECT":
		return metapb.Checksum_FULL_OBJECT, nil
	case "COMPOSITE":
		return metapb.Checksum_COMPOSITE, nil
	}
	return 0, badRequest("Value for x-amz-checksum-type header is invalid.")
}

// uploadID takes ?uploadId, which must name something.
func (c *call) uploadID() (string, error) {
	id := c.query.get("uploadId")
	if id == "" || len(id) > maxVersionID {
		return "", badArgument("The upload ID is missing or too long.")
	}
	return id, nil
}

// uploadPart stores one part.
func (c *call) uploadPart() error {
	id, number, err := c.part()
	if err != nil {
		return err
	}
	if err := c.readEncryption(); err != nil {
		return err
	}
	u, err := c.receive()
	if err != nil {
		return err
	}
	res, err := c.s.cfg.Engine.PutPart(c.ctx, object.PartRequest{Bucket: c.bucket, Key: c.key, UploadID: id, Number: number,
		Body: u.body, Size: u.size, ContentMD5: u.md5, Checksum: u.checksum, Customer: c.customer})
	if err != nil {
		return err
	}
	h := newHeaders(c.w.Header())
	h.set("ETag", quote(res.ETag))
	if v := res.Checksum; v != nil { // without a type: that is the object's
		if a := algorithmOf(v.Algorithm); a != nil {
			h.set(a.wire, v.Value)
		}
	}
	c.echoEncryption(&h, res.SSE)
	c.sendEmpty(http.StatusOK)
	return nil
}

// part takes the upload ID and the part number of a request.
func (c *call) part() (id string, number int, err error) {
	if id, err = c.uploadID(); err != nil {
		return "", 0, err
	}
	number, err = partNumber(c.query.get("partNumber"))
	return id, number, err
}

// uploadPartCopy stores one part from another object.
func (c *call) uploadPartCopy() error {
	id, number, err := c.part()
	if err != nil {
		return err
	}
	if err := c.readEncryption(); err != nil {
		return err
	}
	src, err := c.copySource()
	if err != nil {
		return err
	}
	if v, ok := c.r.Header["X-Amz-Copy-Source-Range"]; ok {
		if src.Range, err = parseCopyRange(first(v)); err != nil {
			return err
		}
	}
	res, err := c.s.cfg.Engine.CopyPart(c.ctx, object.PartCopyRequest{Source: src, Bucket: c.bucket, Key: c.key, UploadID: id,
		Number: number, Customer: c.customer})
	if err != nil {
		return err
	}
	h := newHeaders(c.w.Header())
	c.echoSourceVersion(&h, &src)
	c.echoEncryption(&h, res.SSE)
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("CopyPartResult")
	x.Time("LastModified", res.Modified)
	x.ETag(res.ETag)
	if v := res.Checksum; v != nil {
		if a := algorithmOf(v.Algorithm); a != nil {
			x.Elem(a.element, v.Value)
		}
	}
	x.Close("CopyPartResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// abortUpload drops an upload and its parts.
func (c *call) abortUpload() error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	if err := c.s.cfg.Engine.AbortUpload(c.ctx, c.bucket, c.key, id); err != nil {
		return err
	}
	c.sendEmpty(http.StatusNoContent)
	return nil
}
