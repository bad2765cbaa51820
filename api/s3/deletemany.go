package s3

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
)

// doomed is one entry of a DeleteObjects and what became of it.
type doomed struct {
	object.DeleteRequest
	result object.DeleteResult
	err    error
}

// deleteObjects removes up to 1,000 objects. Each stands for itself: the answer is 200 with an
// error for each that could not be removed.
func (c *call) deleteObjects() error {
	if err := c.checkMFA(); err != nil {
		return err
	}
	doc, err := c.readXML("Delete", maxLongXML, claimsRequired)
	if err != nil {
		return err
	}
	list, quiet, err := c.parseDelete(doc)
	if err != nil {
		return err
	}
	if _, err := c.bucketInfo(); err != nil {
		return err
	}
	c.deleteAll(list)
	x := xmlio.New(smallXMLWriter)
	defer x.Free()
	x.Root("DeleteResult")
	for i := range list {
		c.writeDoomed(x, &list[i], quiet)
	}
	x.Close("DeleteResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// deleteAll runs the deletes with a few workers: they wait for commits, and commits are shared.
func (c *call) deleteAll(list []doomed) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(deleteWorkers, len(list)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				c.deleteOne(&list[i])
			}
		})
	}
	wg.Wait()
}

func (c *call) deleteOne(d *doomed) {
	defer func() { // a panic here would not reach the recovery of the request's goroutine
		if v := recover(); v != nil {
			d.err = c.s.panicked(c, v)
		}
	}()
	if d.err == nil {
		d.result, d.err = c.s.cfg.Engine.Delete(c.ctx, d.DeleteRequest)
	}
	if kind.Is(d.err, kind.NoSuchKey) || kind.Is(d.err, kind.NoSuchVersion) {
		d.err = nil
	}
}

func (c *call) writeDoomed(x *xmlio.Writer, d *doomed, quiet bool) {
	switch {
	case d.err != nil:
		r := answer(d.err)
		if r.status >= http.StatusInternalServerError {
			c.s.logFailure(c, d.err)
		}
		x.Open("Error")
		x.Elem("Key", d.Key)
		x.Some("VersionId", d.VersionID)
		x.Elem("Code", r.code)
		x.Elem("Message", r.message)
		x.Close("Error")
	case !quiet:
		x.Open("Deleted")
		x.Elem("Key", d.Key)
		x.Some("VersionId", d.VersionID)
		if d.result.DeleteMarker {
			x.Boolean("DeleteMarker", true)
			x.Some("DeleteMarkerVersionId", d.result.VersionID)
		}
		x.Close("Deleted")
	}
}

// parseDelete takes the keys. One that is too long fails by itself.
func (c *call) parseDelete(doc xmlio.Doc) (list []doomed, quiet bool, err error) {
	if doc == nil {
		return nil, false, plain(kind.MalformedXML)
	}
	for i, n := range doc.Children(0) {
		switch n.Name {
		case "Quiet":
			quiet = strings.TrimSpace(n.Text) == "true"
		case "Object":
			if len(list) == object.MaxDeleteKeys {
				return nil, false, plain(kind.MalformedXML)
			}
			d, err := c.parseDoomed(doc, i)
			if err != nil {
				return nil, false, err
			}
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		return nil, false, plain(kind.MalformedXML)
	}
	return list, quiet, nil
}

func (c *call) parseDoomed(doc xmlio.Doc, i int) (doomed, error) {
	d := doomed{DeleteRequest: object.DeleteRequest{Bucket: c.bucket, BypassGovernance: c.wantsBypass()}}
	for _, n := range doc.Children(i) {
		switch n.Name {
		case "Key":
			d.Key = n.Text
		case "VersionId":
			d.VersionID = n.Text
		case "ETag":
			d.Condition.IfMatch = unquote(strings.TrimSpace(n.Text))
		case "LastModifiedTime":
			d.Condition.IfLastModified = xmlTime(strings.TrimSpace(n.Text))
			if d.Condition.IfLastModified.IsZero() {
				return d, plain(kind.MalformedXML)
			}
		case "Size":
			size, err := strconv.ParseInt(strings.TrimSpace(n.Text), 10, 64)
			if err != nil || size < 0 {
				return d, plain(kind.MalformedXML)
			}
			d.Condition.IfSize = &size
		}
	}
	switch {
	case d.Key == "":
		return d, plain(kind.MalformedXML)
	case len(d.Key) > object.MaxKeyLen:
		d.err = plain(kind.KeyTooLong)
	}
	return d, nil
}

// xmlTime takes the two forms in which SDKs write a time in XML; the zero time for neither.
func xmlTime(s string) time.Time {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t
	}
	return httpTime(s)
}
