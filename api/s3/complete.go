package s3

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
)

// completeUpload makes an object of an upload's parts.
func (c *call) completeUpload() error {
	req, err := c.completeRequest()
	if err != nil {
		return err
	}
	doc, err := c.readXML("CompleteMultipartUpload", maxLongXML, claimsForeign)
	if err != nil {
		return err
	}
	if req.Parts, err = parseParts(doc); err != nil {
		return err
	}
	res, err := c.completing(req)
	if err != nil && c.w.begun && c.w.broken == nil {
		c.err = err
		x := xmlio.New(smallXMLWriter)
		defer x.Free()
		c.errorXML(x, answer(err), err)
		c.sendRest(x)
		return nil
	}
	if err != nil {
		return err
	}
	c.echoVersion(res.VersionID)
	if h := newHeaders(c.w.Header()); !c.w.begun {
		c.echoEncryption(&h, res.SSE)
	}
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("CompleteMultipartUploadResult")
	x.Elem("Location", c.location())
	x.Elem("Bucket", c.bucket)
	x.Elem("Key", c.key)
	x.ETag(res.ETag)
	writeChecksum(x, res.Checksum)
	x.Close("CompleteMultipartUploadResult")
	if c.w.begun {
		c.sendRest(x)
		return nil
	}
	c.sendXML(http.StatusOK, x)
	return nil
}

// completing completes the upload. When that takes long, the answer begins meanwhile: with 200, the head of
// the document, and a space now and then, so that nobody on the way takes the silence for the end.
func (c *call) completing(req object.CompleteRequest) (res object.PutResult, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				err = c.s.panicked(c, v)
			}
		}()
		res, err = c.s.cfg.Engine.CompleteUpload(c.ctx, req)
	}()
	tick := time.NewTicker(c.s.cfg.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return res, err
		case <-tick.C:
		}
		text := " "
		if !c.w.begun {
			c.w.Header()["Content-Type"] = contentXML
			text = xmlio.Head
		}
		if c.w.broken == nil { // else the engine is about to hear of it too
			_, _ = c.w.Write([]byte(text))
			_ = c.w.control.Flush()
		}
	}
}

// sendRest sends a document whose head went ahead.
func (c *call) sendRest(x *xmlio.Writer) { _, _ = c.w.Write(x.B[len(xmlio.Head):]) }

// completeRequest takes what the headers say.
func (c *call) completeRequest() (object.CompleteRequest, error) {
	req := object.CompleteRequest{Bucket: c.bucket, Key: c.key}
	var err error
	if req.UploadID, err = c.uploadID(); err != nil {
		return req, err
	}
	if err = c.readEncryption(); err != nil {
		return req, err
	}
	req.Customer = c.customer
	if req.Condition, err = c.writeCondition(); err != nil {
		return req, err
	}
	if req.Checksum, err = c.wholeChecksum(); err != nil {
		return req, err
	}
	if v := c.header("X-Amz-Mp-Object-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return req, badRequest("Value for x-amz-mp-object-size header is invalid.")
		}
		req.ExpectSize = &n
	}
	return req, nil
}

// wholeChecksum is what the client claims of the object to be; a composite one may end in the
// number of parts.
func (c *call) wholeChecksum() (*object.ChecksumValue, error) {
	typ, err := checksumType(c.header(headerChecksumType))
	if err != nil {
		return nil, err
	}
	var v *object.ChecksumValue
	for i := range algorithms {
		a := algorithms[i]
		text := c.header(a.header)
		if text == "" {
			continue
		}
		if v != nil {
			return nil, badRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		if sum, _, _ := strings.Cut(text, "-"); !a.valid(sum) {
			return nil, badRequest("Value for %s header is invalid.", a.wire)
		}
		v = &object.ChecksumValue{Algorithm: a.id, Type: typ, Value: text}
	}
	return v, nil
}

// parseParts takes the parts that the upload is completed with.
func parseParts(doc xmlio.Doc) ([]object.CompletePart, error) {
	if doc == nil {
		return nil, plain(kind.MalformedXML)
	}
	parts := make([]object.CompletePart, 0, len(doc)/3)
	for i, n := range doc.Children(0) {
		if n.Name != "Part" {
			continue
		}
		if len(parts) == object.MaxParts {
			return nil, plain(kind.MalformedXML)
		}
		p, err := parsePart(doc, i)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, plain(kind.MalformedXML)
	}
	return parts, nil
}

func parsePart(doc xmlio.Doc, i int) (object.CompletePart, error) {
	var p object.CompletePart
	for _, n := range doc.Children(i) {
		switch {
		case n.Name == "PartNumber":
			number, err := strconv.Atoi(strings.TrimSpace(n.Text))
			if err != nil {
				return p, plain(kind.MalformedXML)
			}
			if p.Number, err = partNumber(strconv.Itoa(number)); err != nil {
				return p, err
			}
		case n.Name == "ETag":
			p.ETag = unquote(strings.TrimSpace(n.Text))
		case strings.HasPrefix(n.Name, "Checksum"):
			a := algorithmOfElement(n.Name)
			if a == nil || p.Checksum != "" {
				return p, badRequest("Expecting a single Checksum element of a known algorithm in each part.")
			}
			p.Checksum, p.ChecksumAlgorithm = strings.TrimSpace(n.Text), a.id
			if !a.valid(p.Checksum) {
				return p, badRequest("Value for %s is invalid.", a.element)
			}
		}
	}
	if p.Number == 0 || p.ETag == "" {
		return p, plain(kind.MalformedXML)
	}
	return p, nil
}

func algorithmOfElement(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].element == name {
			return algorithms[i]
		}
	}
	return nil
}

// location is the URL of the new object as the client would write it.
func (c *call) location() string {
	scheme := "http://"
	if c.secure {
		scheme = "https://"
	}
	path := c.r.URL.EscapedPath()
	return scheme + c.r.Host + path
}
