package s3

import (
	"net/http"
	"strings"

	"holdfast/internal/xmlio"
	"holdfast/object"
)

// getObjectAttributes describes an object by the attributes that the client names. Of a multipart
// object's parts it tells the number, not each.
func (c *call) getObjectAttributes() error {
	wanted, err := c.wantedAttributes()
	if err != nil {
		return err
	}
	req := object.GetRequest{Bucket: c.bucket, Key: c.key}
	if req.VersionID, err = c.versionID(); err != nil {
		return err
	}
	if err := c.readEncryption(); err != nil {
		return err
	}
	req.Customer = c.customer
	rd, err := c.s.cfg.Engine.Head(c.ctx, req)
	if err != nil {
		return err
	}
	defer rd.Close()
	h := newHeaders(c.w.Header())
	h.set("Last-Modified", rd.Modified.UTC().Format(http.TimeFormat))
	if rd.VersionID != "" {
		h.set("x-amz-version-id", rd.VersionID)
	}
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("GetObjectAttributesResponse")
	if wanted["ETag"] {
		x.Elem("ETag", rd.ETag) // without quotes, here alone
	}
	if wanted["Checksum"] && rd.Checksum != nil {
		x.Open("Checksum")
		writeChecksum(x, rd.Checksum)
		x.Close("Checksum")
	}
	if wanted["ObjectParts"] && rd.Parts > 0 {
		x.Open("ObjectParts")
		x.Number("PartsCount", int64(rd.Parts))
		x.Close("ObjectParts")
	}
	if wanted["StorageClass"] {
		x.Elem("StorageClass", storageClass(rd.StorageClass))
	}
	if wanted["ObjectSize"] {
		x.Number("ObjectSize", rd.Size)
	}
	x.Close("GetObjectAttributesResponse")
	c.sendXML(http.StatusOK, x)
	return nil
}

func (c *call) wantedAttributes() (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, v := range c.r.Header["X-Amz-Object-Attributes"] {
		for name := range strings.SplitSeq(v, ",") {
			switch name = strings.TrimSpace(name); name {
			case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
				wanted[name] = true
			default:
				return nil, badArgument("Invalid attribute name specified.")
			}
		}
	}
	if len(wanted) == 0 {
		return nil, badRequest("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	return wanted, nil
}
