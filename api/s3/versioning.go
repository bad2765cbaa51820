package s3

import (
	"net/http"

	"holdfast/bucket/versioning"
	"holdfast/internal/xmlio"
	"holdfast/object"
	"holdfast/proto/metapb"
)

// versioningOf is the state of a bucket in the words of its document. The state is a field of the
// bucket's record and not a document: the groups decide by it.
func versioningOf(b *object.BucketInfo) versioning.State {
	switch b.Versioning {
	case metapb.Versioning_ENABLED:
		return versioning.Enabled
	case metapb.Versioning_SUSPENDED:
		return versioning.Suspended
	}
	return versioning.Unset
}

func showVersioning(b *object.BucketInfo) (xmlio.Writable, error) { return versioningOf(b), nil }

func changeVersioning(b *object.BucketInfo, w xmlio.Writable, to *object.BucketChange) error {
	state := metapb.Versioning_SUSPENDED
	if w == versioning.Enabled {
		state = metapb.Versioning_ENABLED
	}
	to.Documents, to.Versioning = nil, &state
	if b.ObjectLock { // the system group refuses it too, whatever this record says
		return w.(versioning.State).CheckLocked()
	}
	return nil
}

// explainMarker has the answer say that what it does not find is a delete marker. One that was
// addressed by its version is a 405, which tells when it was made as well.
func (c *call) explainMarker(i *object.Info) {
	if !i.DeleteMarker {
		return
	}
	c.explain = append(c.explain, override{"x-amz-delete-marker", "true"})
	if i.VersionID != "" {
		c.explain = append(c.explain, override{"x-amz-version-id", i.VersionID})
	}
	if c.query.has("versionId") {
		c.explain = append(c.explain, override{"Last-Modified", i.Modified.UTC().Format(http.TimeFormat)})
	}
}

// stat describes the version that the request names, or says why there is none.
func (c *call) stat() (object.Info, error) {
	version, err := c.versionID()
	if err != nil {
		return object.Info{}, err
	}
	i, err := c.s.cfg.Engine.Stat(c.ctx, c.bucket, c.key, version)
	if err != nil {
		c.explainMarker(&i)
	}
	return i, err
}

// update changes the version that the request names, and puts its ID into the answer.
func (c *call) update(r object.UpdateRequest) error {
	r.Bucket, r.Key = c.bucket, c.key
	var err error
	if r.VersionID, err = c.versionID(); err != nil {
		return err
	}
	i, err := c.s.cfg.Engine.Update(c.ctx, r)
	if err != nil {
		return err
	}
	c.echoVersion(i.VersionID)
	return nil
}

// echoVersion puts a version ID into the answer; a bucket without versions has none.
func (c *call) echoVersion(id string) {
	if id != "" {
		c.w.Header()["x-amz-version-id"] = []string{id}
	}
}

// listVersions lists versions and delete markers, newest first within a key.
func (c *call) listVersions() error {
	req, encode, err := c.versionsRequest()
	if err != nil {
		return err
	}
	var page object.VersionsPage
	if req.Limit == 0 {
		_, err = c.bucketInfo()
	} else {
		page, err = c.s.cfg.Engine.ListVersions(c.ctx, req)
	}
	if err != nil {
		return err
	}
	x := xmlio.New(min(smallXMLWriter+450*len(page.Entries), maxListWriter))
	defer x.Free()
	x.Root("ListVersionsResult")
	x.Elem("Name", c.bucket)
	x.Key("Prefix", req.Prefix, encode)
	x.Key("KeyMarker", req.KeyAfter, encode)
	x.Elem("VersionIdMarker", req.VersionAfter)
	if n := len(page.Entries); page.More && n > 0 {
		x.Key("NextKeyMarker", page.Entries[n-1].Key, encode)
		x.Some("NextVersionIdMarker", page.NextVersion)
	}
	x.Number("MaxKeys", int64(req.Limit))
	if req.Delimiter != "" {
		x.Key("Delimiter", req.Delimiter, encode)
	}
	if encode {
		x.Elem("EncodingType", "url")
	}
	x.Boolean("IsTruncated", page.More)
	c.writeVersions(x, page.Entries, encode)
	x.Close("ListVersionsResult")
	c.sendXML(http.StatusOK, x)
	return nil
}

func (c *call) versionsRequest() (req object.ListVersionsRequest, encode bool, err error) {
	q := c.query
	req = object.ListVersionsRequest{Bucket: c.bucket, Prefix: q.get("prefix"), Delimiter: q.get("delimiter"),
		KeyAfter: q.get("key-marker"), VersionAfter: q.get("version-id-marker")}
	switch {
	case req.VersionAfter == "" && q.has("version-id-marker") && req.KeyAfter != "":
		return req, false, badArgument("A version-id marker cannot be empty.")
	case req.VersionAfter == "":
		req.AfterPrefix = isCommonPrefix(req.KeyAfter, req.Prefix, req.Delimiter)
	case req.KeyAfter == "":
		return req, false, badArgument("A version-id marker cannot be specified without a key marker.")
	case len(req.VersionAfter) > maxVersionID:
		return req, false, badArgument("Invalid version id specified")
	}
	if req.Limit, _, err = c.limit("max-keys", object.MaxListKeys); err != nil {
		return req, false, err
	}
	encode, err = c.encodingType()
	return req, encode, err
}

func (c *call) writeVersions(x *xmlio.Writer, entries []object.VersionEntry, encode bool) {
	for i := range entries {
		e := &entries[i]
		if e.CommonPrefix {
			continue
		}
		element := "Version"
		if e.DeleteMarker {
			element = "DeleteMarker"
		}
		x.Open(element)
		x.Key("Key", e.Key, encode)
		x.Elem("VersionId", e.VersionID)
		x.Boolean("IsLatest", e.Latest)
		x.Time("LastModified", e.Modified)
		if !e.DeleteMarker {
			x.ETag(e.ETag)
			writeEntryChecksum(x, &e.ListEntry)
			x.Number("Size", e.Size)
			x.Elem("StorageClass", storageClass(e.StorageClass))
		}
		c.owner(x, "Owner", e.Owner)
		x.Close(element)
	}
	for i := range entries {
		if entries[i].CommonPrefix {
			x.Open("CommonPrefixes")
			x.Key("Prefix", entries[i].Key, encode)
			x.Close("CommonPrefixes")
		}
	}
}
