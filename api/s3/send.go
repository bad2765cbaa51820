package s3

import "holdfast/internal/xmlio"

// sendEmpty sends an answer without a body.
func (c *call) sendEmpty(status int) {
	if status != 204 {
		c.w.Header()["Content-Length"] = []string{"0"}
	}
	c.w.WriteHeader(status)
}

// sendDocument sends a document in its stored spelling.
func (c *call) sendDocument(doc []byte) { c.sendXML(200, &xmlio.Writer{B: doc}) }

var contentXML = []string{"application/xml"}

// sendXML sends a finished document; HEAD gets its status alone. An error of the write means that
// the client has gone, which ends the matter.
func (c *call) sendXML(status int, x *xmlio.Writer) {
	h := c.w.Header()
	h["Content-Type"] = contentXML
	h["Content-Length"] = []string{itoa(int64(len(x.B)))}
	c.w.WriteHeader(status)
	if c.r.Method != head {
		_, _ = c.w.Write(x.B)
	}
}
