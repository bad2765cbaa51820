package s3

import (
	"net/http"
	"strconv"

	"holdfast/object"
)

// listParts lists the parts of an upload.
func (c *call) listParts() error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	limit, _, err := c.limit("max-parts", object.MaxListKeys)
	if err != nil {
		return err
	}
	after := 0
	if v := c.query.get("part-number-marker"); v != "" {
		if after, err = strconv.Atoi(v); err != nil || after < 0 {
			return badArgument("Argument part-number-marker must be an integer between 0 and 2147483647")
		}
	}
	page, err := c.s.cfg.Engine.ListParts(c.ctx, c.bucket, c.key, id, after, max(limit, 1))
	if err != nil {
		return err
	}
	if limit == 0 {
		page.Parts, page.More = nil, false
	}
	x := newXML(min(smallXMLWriter+256*len(page.Parts), maxListWriter))
	defer x.free()
	x.root("ListPartsResult")
	x.elem("Bucket", c.bucket)
	x.elem("Key", c.key)
	x.elem("UploadId", id)
	c.owner(x, "Initiator")
	c.owner(x, "Owner")
	x.elem("StorageClass", storageClass(page.StorageClass))
	x.number("PartNumberMarker", int64(after))
	if n := len(page.Parts); n > 0 {
		x.number("NextPartNumberMarker", int64(page.Parts[n-1].Number))
	}
	x.number("MaxParts", int64(limit))
	x.boolean("IsTruncated", page.More)
	writeUploadChecksum(x, &page.UploadInfo)
	for i := range page.Parts {
		writePart(x, &page.Parts[i])
	}
	x.close("ListPartsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func writePart(x *xmlWriter, p *object.PartInfo) {
	x.open("Part")
	x.number("PartNumber", int64(p.Number))
	x.time("LastModified", p.Modified)
	x.etag(p.ETag)
	x.number("Size", p.Size)
	if v := p.Checksum; v != nil {
		if a := algorithmOf(v.Algorithm); a != nil {
			x.elem(a.element, v.Value)
		}
	}
	x.close("Part")
}

func writeUploadChecksum(x *xmlWriter, u *object.UploadInfo) {
	if a := algorithmOf(u.ChecksumAlgorithm); a != nil {
		x.elem("ChecksumAlgorithm", a.name)
		x.elem("ChecksumType", u.ChecksumType.String())
	}
}

func storageClass(class string) string {
	if class == "" {
		return "STANDARD"
	}
	return class
}

// listUploads lists unfinished multipart uploads.
func (c *call) listUploads() error {
	req, encode, limit, err := c.uploadsRequest()
	if err != nil {
		return err
	}
	var page object.UploadsPage
	if limit == 0 {
		_, err = c.s.cfg.Engine.HeadBucket(c.ctx, c.bucket)
	} else {
		page, err = c.s.cfg.Engine.ListUploads(c.ctx, req)
	}
	if err != nil {
		return err
	}
	x := newXML(min(smallXMLWriter+400*len(page.Entries), maxListWriter))
	defer x.free()
	x.root("ListMultipartUploadsResult")
	x.elem("Bucket", c.bucket)
	x.key("KeyMarker", req.KeyAfter, encode)
	x.elem("UploadIdMarker", req.UploadAfter)
	if n := len(page.Entries); page.More && n > 0 {
		last := &page.Entries[n-1]
		x.key("NextKeyMarker", last.Key, encode)
		if last.CommonPrefix {
			x.elem("NextUploadIdMarker", "")
		} else {
			x.elem("NextUploadIdMarker", last.UploadID)
		}
	}
	x.key("Prefix", req.Prefix, encode)
	if req.Delimiter != "" {
		x.key("Delimiter", req.Delimiter, encode)
	}
	if encode {
		x.elem("EncodingType", "url")
	}
	x.number("MaxUploads", int64(limit))
	x.boolean("IsTruncated", page.More)
	c.writeUploads(x, page.Entries, encode)
	x.close("ListMultipartUploadsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func (c *call) uploadsRequest() (req object.ListUploadsRequest, encode bool, limit int, err error) {
	q := c.query
	req = object.ListUploadsRequest{Bucket: c.bucket, Prefix: q.get("prefix"), Delimiter: q.get("delimiter"), KeyAfter: q.get("key-marker")}
	if req.KeyAfter != "" { // by itself an upload ID has no place in the order
		req.UploadAfter = q.get("upload-id-marker")
	}
	if req.UploadAfter == "" {
		req.AfterPrefix = isCommonPrefix(req.KeyAfter, req.Prefix, req.Delimiter)
	}
	if limit, _, err = c.limit("max-uploads", object.MaxListKeys); err != nil {
		return req, false, 0, err
	}
	req.Limit = limit
	encode, err = c.encodingType()
	return req, encode, limit, err
}

func (c *call) writeUploads(x *xmlWriter, entries []object.UploadEntry, encode bool) {
	for i := range entries {
		e := &entries[i]
		if e.CommonPrefix {
			continue
		}
		x.open("Upload")
		x.key("Key", e.Key, encode)
		x.elem("UploadId", e.UploadID)
		c.owner(x, "Initiator")
		c.owner(x, "Owner")
		x.elem("StorageClass", storageClass(e.StorageClass))
		x.time("Initiated", e.Initiated)
		writeUploadChecksum(x, &e.UploadInfo)
		x.close("Upload")
	}
	for i := range entries {
		if entries[i].CommonPrefix {
			x.open("CommonPrefixes")
			x.key("Prefix", entries[i].Key, encode)
			x.close("CommonPrefixes")
		}
	}
}
