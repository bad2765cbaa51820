package s3

import (
	"io"
	"net/http"

	"holdfast/internal/kind"
	"holdfast/object"
)

// putObject stores the body under the key.
func (c *call) putObject() error {
	a, err := c.attributes()
	if err != nil {
		return err
	}
	if err := c.writeEncryption(); err != nil {
		return err
	}
	cond, err := c.writeCondition()
	if err != nil {
		return err
	}
	u, err := c.receive()
	if err != nil {
		return err
	}
	if err := checkLockClaims(&a, &u); err != nil {
		return err
	}
	res, err := c.s.cfg.Engine.Put(c.ctx, object.PutRequest{
		Bucket: c.bucket, Key: c.key, Body: u.body, Size: u.size, ContentMD5: u.md5, Checksum: u.checksum,
		Customer: c.customer, SSE: c.sse, Condition: cond, Attributes: a,
	})
	if err != nil {
		return err
	}
	h := newHeaders(c.w.Header())
	h.set("ETag", quote(res.ETag))
	c.echoVersion(res.VersionID)
	echoChecksum(&h, res.Checksum)
	c.echoEncryption(&h, c.sse)
	c.sendEmpty(http.StatusOK)
	return nil
}

// received is a body of object bytes with the claims about it.
type received struct {
	body     io.Reader
	size     int64
	md5      []byte
	checksum *object.Checksum
}

// receive opens the body of PutObject or UploadPart and checks what can be told before its first
// byte; only then does the client get its 100 Continue.
func (c *call) receive() (received, error) {
	var u received
	var err error
	if u.md5, err = c.contentMD5(); err != nil {
		return u, err
	}
	checksum, err := c.bodyChecksum()
	if err != nil {
		return u, err
	}
	if c.payload.DecodedLength > object.MaxPutSize {
		return u, plain(kind.EntityTooLarge)
	}
	body, size, trailers, err := c.open()
	if err != nil {
		return u, err
	}
	u.body, u.size, u.checksum = body, size, checksum(trailers)
	return u, nil
}

func quote(etag string) string { return `"` + etag + `"` }
