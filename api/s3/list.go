package s3

import (
	"encoding/base64"
	"net/http"
	"strings"

	"holdfast/internal/xmlio"
	"holdfast/object"
)

// listing is what both versions of ListObjects ask and answer.
type listing struct {
	prefix, delimiter string
	encode            bool // percent-encode keys and prefixes
	owner             bool // name the owner of each key
	limit             int
	page              object.ListPage
}

// takeListing parses the arguments that both versions have.
func (c *call) takeListing() (listing, error) {
	l := listing{prefix: c.query.get("prefix"), delimiter: c.query.get("delimiter")}
	var err error
	if l.limit, _, err = c.limit("max-keys", object.MaxListKeys); err != nil {
		return l, err
	}
	l.encode, err = c.encodingType()
	return l, err
}

func (c *call) encodingType() (bool, error) {
	switch c.query.get("encoding-type") {
	case "":
		return false, nil
	case "url":
		return true, nil
	}
	return false, badArgument("Invalid Encoding Method specified in Request")
}

// fetch asks the engine for the page. A page of nothing still tells whether there is a bucket.
func (c *call) fetch(l *listing, after string, afterPrefix bool) (err error) {
	if l.limit == 0 {
		_, err = c.bucketInfo()
		return err
	}
	l.page, err = c.s.cfg.Engine.List(c.ctx, object.ListRequest{Bucket: c.bucket, Prefix: l.prefix, Delimiter: l.delimiter,
		After: after, AfterPrefix: afterPrefix, Limit: l.limit})
	return err
}

// listObjects is version 1: paged by marker, which may be a common prefix of the page before.
func (c *call) listObjects() error {
	l, err := c.takeListing()
	if err != nil {
		return err
	}
	l.owner = true
	marker := c.query.get("marker")
	if err := c.fetch(&l, marker, isCommonPrefix(marker, l.prefix, l.delimiter)); err != nil {
		return err
	}
	x := xmlio.New(l.sizeHint())
	defer x.Free()
	x.Root("ListBucketResult")
	x.Elem("Name", c.bucket)
	x.Key("Prefix", l.prefix, l.encode)
	x.Key("Marker", marker, l.encode)
	x.Number("MaxKeys", int64(l.limit))
	l.writeDelimiter(x)
	x.Boolean("IsTruncated", l.page.More)
	if n := len(l.page.Entries); l.page.More && l.delimiter != "" && n > 0 {
		x.Key("NextMarker", l.page.Entries[n-1].Key, l.encode)
	}
	c.writeEntries(x, &l)
	x.Close("ListBucketResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// listObjectsV2 is version 2: paged by an opaque token.
func (c *call) listObjectsV2() error {
	l, err := c.takeListing()
	if err != nil {
		return err
	}
	l.owner = c.query.get("fetch-owner") == "true"
	token, startAfter := c.query.get("continuation-token"), c.query.get("start-after")
	after, afterPrefix := startAfter, false
	switch {
	case token != "":
		if after, afterPrefix, err = parseToken(token); err != nil {
			return err
		}
	case c.query.has("continuation-token"):
		return errToken()
	}
	if err := c.fetch(&l, after, afterPrefix); err != nil {
		return err
	}
	x := xmlio.New(l.sizeHint())
	defer x.Free()
	x.Root("ListBucketResult")
	x.Elem("Name", c.bucket)
	x.Key("Prefix", l.prefix, l.encode)
	x.Some("ContinuationToken", token)
	if startAfter != "" {
		x.Key("StartAfter", startAfter, l.encode)
	}
	x.Number("KeyCount", int64(len(l.page.Entries)))
	x.Number("MaxKeys", int64(l.limit))
	l.writeDelimiter(x)
	x.Boolean("IsTruncated", l.page.More)
	if n := len(l.page.Entries); l.page.More && n > 0 {
		x.Elem("NextContinuationToken", makeToken(&l.page.Entries[n-1]))
	}
	c.writeEntries(x, &l)
	x.Close("ListBucketResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// sizeHint is about the size of the answer, so that the buffer grows once if at all.
func (l *listing) sizeHint() int { return min(smallXMLWriter+400*len(l.page.Entries), maxListWriter) }

func (l *listing) writeDelimiter(x *xmlio.Writer) {
	if l.delimiter != "" {
		x.Key("Delimiter", l.delimiter, l.encode)
	}
	if l.encode {
		x.Elem("EncodingType", "url")
	}
}

// writeEntries writes the keys, then the common prefixes, as AWS orders them.
func (c *call) writeEntries(x *xmlio.Writer, l *listing) {
	prefixes := false
	for i := range l.page.Entries {
		e := &l.page.Entries[i]
		if e.CommonPrefix {
			prefixes = true
			continue
		}
		x.B = append(x.B, "<Contents>"...)
		x.Key("Key", e.Key, l.encode)
		x.Time("LastModified", e.Modified)
		x.ETag(e.ETag)
		writeEntryChecksum(x, e)
		x.Number("Size", e.Size)
		if l.owner {
			c.owner(x, "Owner", e.Owner)
		}
		x.Elem("StorageClass", storageClass(e.StorageClass))
		x.B = append(x.B, "</Contents>"...)
	}
	if !prefixes {
		return
	}
	for i := range l.page.Entries {
		if e := &l.page.Entries[i]; e.CommonPrefix {
			x.B = append(x.B, "<CommonPrefixes>"...)
			x.Key("Prefix", e.Key, l.encode)
			x.B = append(x.B, "</CommonPrefixes>"...)
		}
	}
}

func writeEntryChecksum(x *xmlio.Writer, e *object.ListEntry) {
	if a := algorithmOf(e.ChecksumAlgorithm); a != nil {
		x.Elem("ChecksumAlgorithm", a.name)
		if e.ChecksumType != 0 {
			x.Elem("ChecksumType", e.ChecksumType.String())
		}
	}
}

// isCommonPrefix reports whether key is what a listing with this prefix and delimiter rolls keys
// up to: one delimiter after the prefix, at its end.
func isCommonPrefix(key, prefix, delimiter string) bool {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || delimiter == "" {
		return false
	}
	i := strings.Index(rest, delimiter)
	return i >= 0 && i+len(delimiter) == len(rest)
}

// A token is base64url of one byte, 'k' for a key or 'p' for a common prefix, and the text.
func makeToken(e *object.ListEntry) string {
	kindOf := "k"
	if e.CommonPrefix {
		kindOf = "p"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(kindOf + e.Key))
}

func parseToken(s string) (after string, afterPrefix bool, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) < 2 || raw[0] != 'k' && raw[0] != 'p' {
		return "", false, errToken()
	}
	return string(raw[1:]), raw[0] == 'p', nil
}
