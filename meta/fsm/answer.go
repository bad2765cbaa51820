package fsm

import (
	"errors"
	"fmt"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

var (
	errNoSuchKey     error = &refusal{kind.NoSuchKey, "The specified key does not exist."}
	errNoSuchVersion error = &refusal{kind.NoSuchVersion, "The specified version does not exist."}
)

// Answer answers a query from one state of the store. As with Apply, a kind other than 0 is an
// answer and an error means damage.
func Answer(r Reader, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	a, err := answer(r, group, q)
	if err == nil {
		return a, nil
	}
	var no *refusal
	if errors.As(err, &no) {
		return &metapb.Answer{Kind: uint32(no.kind), Message: no.message}, nil
	}
	return nil, err
}

func answer(r Reader, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	if group == meta.SystemGroup {
		return answerSystem(r, q)
	}
	switch op := q.Op.(type) {
	case *metapb.Query_GetData:
		return getData(r, op.GetData)
	case *metapb.Query_ScanData:
		return scanData(r, op.ScanData)
	case *metapb.Query_ScanGarbage:
		return scanGarbage(r, op.ScanGarbage)
	case *metapb.Query_ScanRepair:
		return scanRepair(r, op.ScanRepair)
	}
	if len(q.Bucket) != id.Size {
		return nil, refuse(kind.InvalidArgument, "a bucket incarnation has 16 bytes")
	}
	switch op := q.Op.(type) {
	case *metapb.Query_ListObjects:
		return listObjects(r, q.Bucket, op.ListObjects)
	case *metapb.Query_GetUsage:
		u, err := loadUsage(r, q.Bucket)
		return &metapb.Answer{Usage: u}, err
	case *metapb.Query_ListVersions:
		return listVersions(r, q.Bucket, op.ListVersions)
	case *metapb.Query_ListUploads:
		return listUploads(r, q.Bucket, op.ListUploads)
	}
	if err := checkKey(q.Key); err != nil {
		return nil, err
	}
	current := currentKey(q.Bucket, q.Key)
	object := current[1:]
	switch op := q.Op.(type) {
	case *metapb.Query_GetVersion:
		return getVersion(r, current, op.GetVersion)
	case *metapb.Query_GetUpload:
		return getUpload(r, object, op.GetUpload)
	case *metapb.Query_ListParts:
		return listParts(r, object, op.ListParts)
	}
	return nil, refuse(kind.InvalidArgument, "an object group does not know this query")
}

func answerSystem(r Reader, q *metapb.Query) (*metapb.Answer, error) {
	switch op := q.Op.(type) {
	case *metapb.Query_GetBucket_:
		b, err := loadBucket(r, op.GetBucket_.GetName())
		if err != nil {
			return nil, err
		}
		if b == nil {
			return nil, refuse(kind.NoSuchBucket, "The specified bucket does not exist")
		}
		return &metapb.Answer{Buckets: []*metapb.Bucket{b}}, nil
	case *metapb.Query_ListBuckets:
		return listBuckets(r, op.ListBuckets)
	case *metapb.Query_GetCluster:
		c, err := loadCluster(r)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return nil, refuse(kind.NotFound, "the cluster has not been made yet")
		}
		return &metapb.Answer{Cluster: c}, nil
	case *metapb.Query_ListDrives:
		drives, err := listDrives(r)
		return &metapb.Answer{Drives: drives}, err
	case *metapb.Query_ListNodes:
		nodes, err := listNodes(r)
		return &metapb.Answer{Nodes: nodes}, err
	case *metapb.Query_GetSettings:
		settings, err := loadSettings(r)
		return &metapb.Answer{Settings: settings}, err
	case *metapb.Query_GetLayout:
		return getLayout(r, op.GetLayout)
	case *metapb.Query_ListDocuments:
		return listDocuments(r, op.ListDocuments)
	}
	return nil, refuse(kind.InvalidArgument, "the system group does not know this query")
}

// getVersion answers with a manifest, joined with the placements of its data.
func getVersion(r Reader, current []byte, q *metapb.GetVersion) (*metapb.Answer, error) {
	object := current[1:]
	cur, err := loadCurrent(r, current)
	if err != nil {
		return nil, err
	}
	sequence, err := selectVersion(r, object, cur, q.VersionId, q.NullVersion)
	if err != nil {
		return nil, err
	}
	var m *metapb.Manifest
	if q.WithoutParts {
		if m, err = loadManifestRecord(r, object, sequence); err == nil {
			m.Parts = nil
		}
	} else {
		m, err = loadManifest(r, object, sequence)
	}
	if err != nil {
		return nil, err
	}
	m.PartRecords = 0
	return &metapb.Answer{Manifest: m}, join(r, m.Parts, q.PlaceFrom, q.PlaceTo)
}

// join fills in the placements of the parts that overlap the plaintext bytes [from, to); all, if
// to is 0.
func join(r Reader, parts []*metapb.Part, from, to uint64) error {
	first := uint64(0)
	for _, p := range parts {
		begin, end := first, first+p.Size
		first = end
		if len(p.DataId) == 0 || to != 0 && (end <= from || begin >= to) {
			continue
		}
		var err error
		if p.Placement, err = loadPlacement(r, p.DataId); err != nil {
			return err
		}
		if p.Placement == nil {
			return damaged(fmt.Sprintf("data record %x is missing", p.DataId), nil)
		}
	}
	return nil
}

func loadUpload(r Reader, object, upload []byte) (*metapb.Upload, error) {
	u := &metapb.Upload{}
	if len(upload) != id.Size {
		return nil, errNoSuchUpload
	}
	ok, err := load(r, uploadKey(object, upload), "upload", u)
	if err == nil && !ok {
		err = errNoSuchUpload
	}
	return u, err
}

// getUpload answers with an upload, and with those of its parts that were asked for and are
// there. Parts of uploads carry no placement: nobody reads them.
func getUpload(r Reader, object []byte, q *metapb.GetUpload) (*metapb.Answer, error) {
	u, err := loadUpload(r, object, q.UploadId)
	if err != nil {
		return nil, err
	}
	a := &metapb.Answer{Upload: u}
	if q.WithParts {
		a.Parts, _, err = readParts(r, q.UploadId, 0, maxParts)
		return a, err
	}
	if len(q.PartNumbers) > maxParts {
		return nil, refuse(kind.InvalidArgument, "an upload has at most %d parts", maxParts)
	}
	for _, n := range q.PartNumbers {
		p := &metapb.Part{}
		ok, err := loadPart(r, partKey(q.UploadId, n), p)
		if err != nil {
			return nil, err
		}
		if ok {
			a.Parts = append(a.Parts, p)
		}
	}
	return a, nil
}

func listParts(r Reader, object []byte, q *metapb.ListParts) (*metapb.Answer, error) {
	u, err := loadUpload(r, object, q.UploadId)
	if err != nil {
		return nil, err
	}
	a := &metapb.Answer{Upload: u}
	if q.Limit == 0 || q.After >= maxParts {
		return a, nil
	}
	a.Parts, a.Truncated, err = readParts(r, q.UploadId, q.After, int(min(q.Limit, maxPage)))
	return a, err
}
