package s3

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5 is MD5 by definition
	"encoding/base64"
	"io"

	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
)

// claims says what the checksum headers of a request with an XML body are about.
type claims uint8

const (
	claimsOptional claims = iota // the body, if there are any
	claimsRequired               // the body, and Content-MD5 or one of them must be there
	claimsForeign                // something else than the body
)

// readXML reads a request's body as readBody does, and parses it. An empty body is nil.
func (c *call) readXML(root string, limit int64, about claims) (xmlio.Doc, error) {
	text, err := c.readBody(limit, about)
	if err != nil || text == "" {
		return nil, err
	}
	return xmlio.Parse(text, root)
}

// readBody reads a body of at most limit bytes and holds it against the claims about it.
func (c *call) readBody(limit int64, about claims) (string, error) {
	md5sum, err := c.contentMD5()
	if err != nil {
		return "", err
	}
	checksum := func(func() map[string]string) *object.Checksum { return nil }
	if about != claimsForeign {
		if checksum, err = c.bodyChecksum(); err != nil {
			return "", err
		}
	}
	if c.payload.DecodedLength > limit {
		return "", plain(kind.MalformedXML)
	}
	body, size, trailers, err := c.open()
	if err != nil {
		return "", err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(body, b); err != nil {
		return "", err
	}
	claimed := checksum(trailers)
	if about == claimsRequired && md5sum == nil && claimed == nil {
		return "", badRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	if err := verifyBody(b, md5sum, claimed); err != nil {
		return "", err
	}
	return string(b), nil
}

func verifyBody(b, md5sum []byte, claimed *object.Checksum) error {
	if md5sum != nil {
		if got := md5.Sum(b); !bytes.Equal(got[:], md5sum) { //nolint:gosec // see above
			return kind.New(kind.BadDigest, "The Content-MD5 you specified did not match what we received.")
		}
	}
	if claimed == nil {
		return nil
	}
	want, err := claimed.Want()
	if err != nil {
		return err
	}
	a := algorithmOf(claimed.Algorithm)
	h := a.hash()
	h.Write(b)
	if base64.StdEncoding.EncodeToString(h.Sum(nil)) != want {
		return kind.New(kind.BadDigest, "The %s you specified did not match the calculated checksum.", a.name)
	}
	return nil
}
