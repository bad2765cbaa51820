package s3

import (
	"net/http"
	"strconv"

	"holdfast/internal/xmlio"
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
	x := xmlio.New(min(smallXMLWriter+256*len(page.Parts), maxListWriter))
	defer x.Free()
	x.Root("ListPartsResult")
	x.Elem("Bucket", c.bucket)
	x.Elem("Key", c.key)
	x.Elem("UploadId", id)
	c.owner(x, "Initiator", page.Initiator)
	c.owner(x, "Owner", page.Owner)
	x.Elem("StorageClass", storageClass(page.StorageClass))
	x.Number("PartNumberMarker", int64(after))
	if n := len(page.Parts); n > 0 {
		x.Number("NextPartNumberMarker", int64(page.Parts[n-1].Number))
	}
	x.Number("MaxParts", int64(limit))
	x.Boolean("IsTruncated", page.More)
	writeUploadChecksum(x, &page.UploadInfo)
	for i := range page.Parts {
		writePart(x, &page.Parts[i])
	}
	x.Close("ListPartsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func writePart(x *xmlio.Writer, p *object.PartInfo) {
	x.Open("Part")
	x.Number("PartNumber", int64(p.Number))
	x.Time("LastModified", p.Modified)
	x.ETag(p.ETag)
	x.Number("Size", p.Size)
	if v := p.Checksum; v != nil {
		if a := algorithmOf(v.Algorithm); a != nil {
			x.Elem(a.element, v.Value)
		}
	}
	x.Close("Part")
}

func writeUploadChecksum(x *xmlio.Writer, u *object.UploadInfo) {
	if a := algorithmOf(u.ChecksumAlgorithm); a != nil {
		x.Elem("ChecksumAlgorithm", a.name)
		x.Elem("ChecksumType", u.ChecksumType.String())
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
		_, err = c.bucketInfo()
	} else {
		page, err = c.s.cfg.Engine.ListUploads(c.ctx, req)
	}
	if err != nil {
		return err
	}
	x := xmlio.New(min(smallXMLWriter+400*len(page.Entries), maxListWriter))
	defer x.Free()
	x.Root("ListMultipartUploadsResult")
	x.Elem("Bucket", c.bucket)
	x.Key("KeyMarker", req.KeyAfter, encode)
	x.Elem("UploadIdMarker", req.UploadAfter)
	if n := len(page.Entries); page.More && n > 0 {
		last := &page.Entries[n-1]
		x.Key("NextKeyMarker", last.Key, encode)
		if last.CommonPrefix {
			x.Elem("NextUploadIdMarker", "")
		} else {
			x.Elem("NextUploadIdMarker", last.UploadID)
		}
	}
	x.Key("Prefix", req.Prefix, encode)
	if req.Delimiter != "" {
		x.Key("Delimiter", req.Delimiter, encode)
	}
	if encode {
		x.Elem("EncodingType", "url")
	}
	x.Number("MaxUploads", int64(limit))
	x.Boolean("IsTruncated", page.More)
	c.writeUploads(x, page.Entries, encode)
	x.Close("ListMultipartUploadsResult")
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

func (c *call) writeUploads(x *xmlio.Writer, entries []object.UploadEntry, encode bool) {
	for i := range entries {
		e := &entries[i]
		if e.CommonPrefix {
			continue
		}
		x.Open("Upload")
		x.Key("Key", e.Key, encode)
		x.Elem("UploadId", e.UploadID)
		c.owner(x, "Initiator", e.Initiator)
		c.owner(x, "Owner", e.Owner)
		x.Elem("StorageClass", storageClass(e.StorageClass))
		x.Time("Initiated", e.Initiated)
		writeUploadChecksum(x, &e.UploadInfo)
		x.Close("Upload")
	}
	for i := range entries {
		if entries[i].CommonPrefix {
			x.Open("CommonPrefixes")
			x.Key("Prefix", entries[i].Key, encode)
			x.Close("CommonPrefixes")
		}
	}
}
