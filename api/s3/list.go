package s3

import (
	"encoding/base64"
	"net/http"
	"strings"

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
		_, err = c.s.cfg.Engine.HeadBucket(c.ctx, c.bucket)
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
	x := newXML(l.sizeHint())
	defer x.free()
	x.root("ListBucketResult")
	x.elem("Name", c.bucket)
	x.key("Prefix", l.prefix, l.encode)
	x.key("Marker", marker, l.encode)
	x.number("MaxKeys", int64(l.limit))
	l.writeDelimiter(x)
	x.boolean("IsTruncated", l.page.More)
	if n := len(l.page.Entries); l.page.More && l.delimiter != "" && n > 0 {
		x.key("NextMarker", l.page.Entries[n-1].Key, l.encode)
	}
	c.writeEntries(x, &l)
	x.close("ListBucketResult")
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
	x := newXML(l.sizeHint())
	defer x.free()
	x.root("ListBucketResult")
	x.elem("Name", c.bucket)
	x.key("Prefix", l.prefix, l.encode)
	x.some("ContinuationToken", token)
	if startAfter != "" {
		x.key("StartAfter", startAfter, l.encode)
	}
	x.number("KeyCount", int64(len(l.page.Entries)))
	x.number("MaxKeys", int64(l.limit))
	l.writeDelimiter(x)
	x.boolean("IsTruncated", l.page.More)
	if n := len(l.page.Entries); l.page.More && n > 0 {
		x.elem("NextContinuationToken", makeToken(&l.page.Entries[n-1]))
	}
	c.writeEntries(x, &l)
	x.close("ListBucketResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

// sizeHint is about the size of the answer, so that the buffer grows once if at all.
func (l *listing) sizeHint() int { return min(smallXMLWriter+400*len(l.page.Entries), maxListWriter) }

func (l *listing) writeDelimiter(x *xmlWriter) {
	if l.delimiter != "" {
		x.key("Delimiter", l.delimiter, l.encode)
	}
	if l.encode {
		x.elem("EncodingType", "url")
	}
}

// writeEntries writes the keys, then the common prefixes, as AWS orders them.
func (c *call) writeEntries(x *xmlWriter, l *listing) {
	prefixes := false
	for i := range l.page.Entries {
		e := &l.page.Entries[i]
		if e.CommonPrefix {
			prefixes = true
			continue
		}
		x.b = append(x.b, "<Contents>"...)
		x.key("Key", e.Key, l.encode)
		x.time("LastModified", e.Modified)
		x.etag(e.ETag)
		if a := algorithmOf(e.ChecksumAlgorithm); a != nil {
			x.elem("ChecksumAlgorithm", a.name)
			if e.ChecksumType != 0 {
				x.elem("ChecksumType", e.ChecksumType.String())
			}
		}
		x.number("Size", e.Size)
		if l.owner {
			c.owner(x, "Owner")
		}
		x.elem("StorageClass", storageClass(e.StorageClass))
		x.b = append(x.b, "</Contents>"...)
	}
	if !prefixes {
		return
	}
	for i := range l.page.Entries {
		if e := &l.page.Entries[i]; e.CommonPrefix {
			x.b = append(x.b, "<CommonPrefixes>"...)
			x.key("Prefix", e.Key, l.encode)
			x.b = append(x.b, "</CommonPrefixes>"...)
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
