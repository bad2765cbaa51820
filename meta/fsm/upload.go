package fsm

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

var errNoSuchUpload error = &refusal{kind.NoSuchUpload, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}

func uploadKey(object, upload []byte) []byte { return tableKey(tableUpload, object, upload) }

func (a *applier) createUpload(c *metapb.CreateUpload) (*metapb.Result, error) {
	u := c.Upload
	if len(u.GetUploadId()) != id.Size || len(u.VersionId) != id.Size {
		return nil, refuse(kind.InvalidArgument, "an upload ID and a version ID have 16 bytes")
	}
	if proto.Size(u) > maxDetails {
		return nil, refuse(kind.MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
	}
	if err := checkRetention(u.Retention); err != nil {
		return nil, err
	}
	if err := a.checkOpen(); err != nil {
		return nil, err
	}
	return &metapb.Result{}, save(a.s, uploadKey(a.object, u.UploadId), u)
}

// checkUpload refuses an upload that is not there.
func (a *applier) checkUpload(upload []byte) error {
	if len(upload) != id.Size {
		return errNoSuchUpload
	}
	ok, err := has(a.s, uploadKey(a.object, upload), "upload")
	if err == nil && !ok {
		err = errNoSuchUpload
	}
	return err
}

// putPart stores an attempt of a part. It replaces the attempt before it, whose data is released.
func (a *applier) putPart(c *metapb.PutPart) (*metapb.Result, error) {
	p := c.Part
	if err := checkPart(p); err != nil {
		return nil, err
	}
	if err := a.checkOpen(); err != nil {
		return nil, err
	}
	if err := a.checkUpload(c.UploadId); err != nil {
		return nil, err
	}
	key := partKey(c.UploadId, p.Number)
	old := &metapb.Part{}
	replaces, err := loadPart(a.s, key, old)
	if err != nil {
		return nil, err
	}
	if replaces && sameAttempt(old, p) {
		return &metapb.Result{}, nil // proposed twice
	}
	if len(p.DataId) > 0 {
		if err := a.checkNewData(p); err != nil {
			return nil, err
		}
		if err := a.addData(p.DataId, p.Placement); err != nil {
			return nil, err
		}
	}
	if replaces && len(old.DataId) > 0 {
		if err := a.dropRef(old.DataId); err != nil {
			return nil, err
		}
	}
	if err := save(a.s, key, storedPart(p)); err != nil {
		return nil, err
	}
	_, err = a.workOff()
	return &metapb.Result{}, err
}

func sameAttempt(old, p *metapb.Part) bool {
	if len(p.DataId) > 0 || len(old.DataId) > 0 {
		return bytes.Equal(old.DataId, p.DataId)
	}
	return bytes.Equal(old.StreamId, p.StreamId) && bytes.Equal(old.Inline, p.Inline) && old.Etag == p.Etag
}

// abortUpload ends an upload. Its parts go at once if they are few. It works on a closed bucket
// too: it only ever removes.
func (a *applier) abortUpload(c *metapb.AbortUpload) (*metapb.Result, error) {
	if err := a.checkUpload(c.UploadId); err != nil {
		return nil, err
	}
	if err := a.endUpload(uploadKey(a.object, c.UploadId), c.UploadId); err != nil {
		return nil, err
	}
	_, err := a.workOff()
	return &metapb.Result{}, err
}

func (a *applier) endUpload(key, upload []byte) error {
	if err := a.s.Delete(key); err != nil {
		return err
	}
	return a.postpone(&metapb.Release{UploadId: upload})
}

func loadPart(r Reader, key []byte, p *metapb.Part) (bool, error) {
	ok, err := load(r, key, "upload part", p)
	restore(p)
	return ok, err
}

// readParts reads up to limit stored parts of an upload with numbers above after, ascending, and
// whether there are more.
func readParts(r Reader, upload []byte, after uint32, limit int) (parts []*metapb.Part, more bool, err error) {
	it := r.Iterate(tableKey(tablePart, upload))
	defer it.Close()
	for it.Seek(partKey(upload, after+1)); it.Valid(); it.Next() {
		if len(parts) >= limit {
			return parts, true, nil
		}
		b, err := it.Value()
		if err != nil {
			return nil, false, fmt.Errorf("fsm: read upload part: %w", err)
		}
		p := &metapb.Part{}
		if err := proto.Unmarshal(b, p); err != nil {
			return nil, false, damaged("upload part", err)
		}
		restore(p)
		parts = append(parts, p)
	}
	return parts, false, nil
}
