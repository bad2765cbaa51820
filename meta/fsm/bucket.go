package fsm

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// closeBucket ends writes to a bucket incarnation in this group, if it has no versions. The mark
// stays for ever: an incarnation is never used again.
func (a *applier) closeBucket(c *metapb.CloseBucket) (*metapb.Result, error) {
	empty, err := a.emptyBucket()
	if err != nil {
		return nil, err
	}
	if !empty {
		return nil, refuse(kind.BucketNotEmpty, "The bucket you tried to delete is not empty")
	}
	var uploads [][]byte
	if !c.KeepUploads {
		if uploads, err = a.uploadsOfBucket(); err != nil {
			return nil, err
		}
	}
	if err := a.s.Set(tableKey(tableClosed, a.cmd.Bucket), markValue); err != nil {
		return nil, err
	}
	if !c.KeepUploads {
		if err := a.s.Delete(usageKey(a.cmd.Bucket)); err != nil {
			return nil, err
		}
	}
	for _, key := range uploads[:min(len(uploads), closeBatch)] {
		if err := a.endUpload(key, key[len(key)-id.Size:]); err != nil {
			return nil, err
		}
	}
	if _, err := a.workOff(); err != nil {
		return nil, err
	}
	if len(uploads) > closeBatch {
		// Not a refusal: what this command did stays done.
		return &metapb.Result{Kind: uint32(kind.Unavailable), Message: "the bucket has more unfinished uploads: close it again"}, nil
	}
	return &metapb.Result{}, nil
}

func (a *applier) emptyBucket() (bool, error) {
	prefix := tableKey(tableCurrent, a.cmd.Bucket)
	it := a.s.Iterate(prefix)
	defer it.Close()
	it.Seek(prefix)
	return !it.Valid(), nil
}

// uploadsOfBucket lists the keys of upload records, at most one more than closeBatch.
func (a *applier) uploadsOfBucket() (keys [][]byte, err error) {
	prefix := tableKey(tableUpload, a.cmd.Bucket)
	it := a.s.Iterate(prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid() && len(keys) <= closeBatch; it.Next() {
		if len(it.Key()) < bucketTableLen+id.Size {
			return nil, damaged("key of an upload", nil)
		}
		keys = append(keys, slices.Clone(it.Key()))
	}
	return keys, nil
}

// openBucket takes a closing back.
func (a *applier) openBucket() (*metapb.Result, error) {
	return &metapb.Result{}, a.s.Delete(tableKey(tableClosed, a.cmd.Bucket))
}

// The rest of this file is the system group's.

func bucketKey(name string) []byte { return tableKey(tableBucket, []byte(name)) }

func loadBucket(r Reader, name string) (*metapb.Bucket, error) {
	b := &metapb.Bucket{}
	ok, err := load(r, bucketKey(name), "bucket", b)
	if err != nil || !ok {
		return nil, err
	}
	return b, nil
}

func (a *applier) createBucket(c *metapb.CreateBucket) (*metapb.Result, error) {
	b := c.Bucket
	switch {
	case b.GetName() == "" || len(b.Name) > maxNameLen:
		return nil, refuse(kind.InvalidBucketName, "The specified bucket is not valid.")
	case len(b.Id) != id.Size || proto.Size(b) > maxBucket || len(b.Owner) > maxKeyLen || len(b.Region) > maxNameLen:
		return nil, refuse(kind.InvalidArgument, "bucket: a field is out of range")
	}
	old, err := loadBucket(a.s, b.Name)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return existing(old, b), nil
	}
	limit := int(c.MaxBuckets)
	if limit == 0 || limit > maxBuckets {
		limit = maxBuckets
	}
	n, err := countKeys(a.s, []byte{tableBucket}, limit)
	if err != nil {
		return nil, err
	}
	if n >= limit {
		return nil, refuse(kind.TooManyBuckets, "You have attempted to create more buckets than allowed.")
	}
	rec := proto.CloneOf(b)
	rec.State, rec.Revision = metapb.Bucket_ACTIVE, a.index
	if rec.ObjectLock {
		rec.Versioning = metapb.Versioning_ENABLED
	}
	return &metapb.Result{Bucket: rec}, save(a.s, bucketKey(b.Name), rec)
}

// existing answers a creation of a name that is taken.
func existing(old, b *metapb.Bucket) *metapb.Result {
	res := &metapb.Result{Bucket: old}
	switch {
	case string(old.Id) == string(b.Id): // proposed twice
		return res
	case old.State == metapb.Bucket_DELETING:
		res.Kind, res.Message = uint32(kind.Conflict), "A conflicting conditional operation is currently in progress against this resource. Please try again."
	case old.Owner == b.Owner:
		res.Kind, res.Message = uint32(kind.BucketOwnedByYou), "Your previous request to create the named bucket succeeded and you already own it."
	default:
		res.Kind, res.Message = uint32(kind.BucketExists), "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."
	}
	return res
}

func countKeys(r Reader, prefix []byte, limit int) (n int, err error) {
	it := r.Iterate(prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid() && n < limit; it.Next() {
		n++
	}
	return n, nil
}

func (a *applier) markBucket(c *metapb.MarkBucket) (*metapb.Result, error) {
	b, err := loadBucket(a.s, c.Name)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, refuse(kind.NoSuchBucket, "The specified bucket does not exist")
	}
	b.State = c.State
	return &metapb.Result{Bucket: b}, save(a.s, bucketKey(c.Name), b)
}

// deleteBucket forgets an incarnation that was marked. One that is not there is gone already.
func (a *applier) deleteBucket(c *metapb.DeleteBucket) (*metapb.Result, error) {
	b, err := loadBucket(a.s, c.Name)
	if err != nil {
		return nil, err
	}
	if b == nil || string(b.Id) != string(c.Id) {
		return &metapb.Result{}, nil
	}
	if b.State != metapb.Bucket_DELETING {
		return nil, refuse(kind.Conflict, "the bucket is not marked for deletion")
	}
	return &metapb.Result{Found: true, Bucket: b}, a.s.Delete(bucketKey(c.Name))
}
