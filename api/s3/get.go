package s3

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"holdfast/internal/kind"
	"holdfast/object"
)

// getObject sends an object or a range of it.
func (c *call) getObject() error { return c.read(c.s.cfg.Engine.Get) }

// headObject sends the headers of getObject.
func (c *call) headObject() error { return c.read(c.s.cfg.Engine.Head) }

// read opens an object by Get or Head and answers with it.
func (c *call) read(open opener) error {
	req, err := c.getRequest()
	if err != nil {
		return err
	}
	over, err := c.overrides()
	if err != nil {
		return err
	}
	rd, err := c.openRange(open, req)
	if err != nil {
		return err
	}
	defer rd.Close()
	h := newHeaders(c.w.Header())
	c.objectHeaders(&h, rd, over)
	status := http.StatusOK
	if rd.Ranged {
		status = http.StatusPartialContent
	}
	c.w.status = status
	if c.r.Method == head {
		c.w.WriteHeader(status)
		return nil
	}
	n, err := rd.WriteTo(c.ctx, c.w)
	switch {
	case err != nil:
		return err
	case n != rd.Length:
		return fmt.Errorf("s3: the engine sent %d of %d bytes", n, rd.Length)
	case !c.w.begun:
		c.w.WriteHeader(status)
	}
	return nil
}

// getRequest takes what a GET or HEAD asks for.
func (c *call) getRequest() (object.GetRequest, error) {
	req := object.GetRequest{Bucket: c.bucket, Key: c.key}
	var err error
	if req.VersionID, err = c.versionID(); err != nil {
		return req, err
	}
	if err := c.readEncryption(); err != nil {
		return req, err
	}
	req.Customer = c.customer
	req.Condition = c.readCondition("")
	if v := c.r.Header["Range"]; len(v) == 1 {
		req.Range = parseRange(v[0])
	}
	if c.query.has("partNumber") {
		if req.PartNumber, err = partNumber(c.query.get("partNumber")); err != nil {
			return req, err
		}
		if req.Range != nil {
			return req, badRequest("Cannot specify both Range header and partNumber query parameter")
		}
	}
	return req, nil
}

// versionID takes ?versionId, which AWS wants not empty when it is there.
func (c *call) versionID() (string, error) {
	v := c.query.get("versionId")
	if v == "" && c.query.has("versionId") {
		return "", badArgument("Version id cannot be the empty string")
	}
	if len(v) > maxVersionID {
		return "", badArgument("Invalid version id specified")
	}
	return v, nil
}

func partNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > object.MaxParts {
		return 0, badArgument("Part number must be an integer between 1 and %d, inclusive", object.MaxParts)
	}
	return n, nil
}

// override is a header of the answer that the query replaces.
type override struct{ header, value string }

var overridable = []struct{ argument, header string }{
	{"response-content-type", "Content-Type"},
	{"response-content-language", "Content-Language"},
	{"response-expires", "Expires"},
	{"response-cache-control", "Cache-Control"},
	{"response-content-disposition", "Content-Disposition"},
	{"response-content-encoding", "Content-Encoding"},
}

// overrides takes the response-* arguments. Only who signs may ask for them, or a link could make
// a public object into anything.
func (c *call) overrides() ([]override, error) {
	if len(c.query) == 0 {
		return nil, nil
	}
	var list []override
	for _, o := range overridable {
		if !c.query.has(o.argument) {
			continue
		}
		if c.identity.Anonymous {
			return nil, badRequest("Request specific response headers cannot be used for anonymous GET requests.")
		}
		v := c.query.get(o.argument)
		if !cleanValue(v) {
			return nil, badArgument("%s has characters that no header may have.", o.argument)
		}
		list = append(list, override{o.header, v})
	}
	return list, nil
}

// objectHeaders describes an open object.
func (c *call) objectHeaders(h *headers, rd *object.Reading, over []override) {
	h.set("Content-Length", itoa(rd.Length))
	h.set("Accept-Ranges", "bytes")
	if rd.Ranged && rd.Length > 0 {
		h.set("Content-Range", contentRange(rd.First, rd.Length, rd.Size))
	}
	if strings.EqualFold(c.header(headerChecksumMode), "ENABLED") && rd.Length == rd.Size {
		echoChecksum(h, rd.Checksum) // of the whole: a client would hold a part against it
	}
	if rd.Parts > 0 && c.query.has("partNumber") {
		h.set("x-amz-mp-parts-count", strconv.Itoa(rd.Parts))
	}
	c.validators(h, &rd.Info)
	if _, typed := rd.Headers["Content-Type"]; !typed {
		h.set("Content-Type", "binary/octet-stream")
	}
	for name, v := range rd.Headers {
		h.set(name, v)
	}
	for _, o := range over {
		h.set(o.header, o.value)
	}
	for name, v := range rd.Metadata {
		h.set("x-amz-meta-"+name, v)
	}
	if n := countTags(rd.Tags); n > 0 {
		h.set("x-amz-tagging-count", strconv.Itoa(n))
	}
	if rd.StorageClass != "" && rd.StorageClass != "STANDARD" {
		h.set("x-amz-storage-class", rd.StorageClass)
	}
	echoLock(h, &rd.Protection)
	if rd.Replication != "" {
		h.set("x-amz-replication-status", rd.Replication)
	}
	c.echoEncryption(h, rd.SSE)
}

// validators are the headers by which a client knows a version again; a 304 has them too.
func (c *call) validators(h *headers, i *object.Info) {
	h.set("ETag", quote(i.ETag))
	h.set("Last-Modified", i.Modified.UTC().Format(http.TimeFormat))
	if i.VersionID != "" {
		h.set("x-amz-version-id", i.VersionID)
	}
	if i.DeleteMarker {
		h.set("x-amz-delete-marker", "true")
	}
}

// openRange opens the object. Where the engine refuses with something that the answer must
// explain (a range past the end, a version that the client has), it has told the object too; and
// If-Range, which the engine does not know, is held against that, or against what was opened.
func (c *call) openRange(open opener, req object.GetRequest) (*object.Reading, error) {
	rd, err := open(c.ctx, req)
	ifRange := c.r.Header["If-Range"]
	switch {
	case err == nil && (req.Range == nil || len(ifRange) == 0 || currentRange(first(ifRange), &rd.Info)):
		return rd, nil
	case err == nil:
		rd.Close()
		req.Range = nil
		return open(c.ctx, req)
	case rd == nil:
	case kind.Is(err, kind.NotModified):
		h := newHeaders(c.w.Header())
		c.validators(&h, &rd.Info)
		for _, name := range []string{"Cache-Control", "Expires"} {
			if v := rd.Headers[name]; v != "" {
				h.set(name, v)
			}
		}
	case kind.Is(err, kind.InvalidRange):
		if len(ifRange) > 0 && !currentRange(first(ifRange), &rd.Info) {
			req.Range = nil
			return open(c.ctx, req)
		}
		c.explain = append(c.explain, override{"Content-Range", "bytes */" + itoa(rd.Size)})
	default:
		c.explainMarker(&rd.Info)
	}
	return nil, err
}

// currentRange evaluates If-Range (RFC 9110, section 13.1.5): a strong ETag, or the exact date.
func currentRange(v string, i *object.Info) bool {
	if t, err := http.ParseTime(v); err == nil {
		return i.Modified.Unix() == t.Unix()
	}
	return unquote(v) == i.ETag
}
