package fsm

import (
	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// updateBucket changes the settings of a bucket.
func (a *applier) updateBucket(c *metapb.UpdateBucket) (*metapb.Result, error) {
	b, err := loadBucket(a.s, c.Name)
	if err != nil {
		return nil, err
	}
	if b == nil || b.State != metapb.Bucket_ACTIVE || len(c.Id) == id.Size && string(c.Id) != string(b.Id) {
		return nil, refuse(kind.NoSuchBucket, "The specified bucket does not exist")
	}
	if c.IfRevision != 0 && c.IfRevision != b.Revision {
		return nil, refuse(kind.Conflict, "the bucket's settings have changed")
	}
	lock := b.ObjectLock || c.GetObjectLock()
	versioning := b.Versioning
	if c.Versioning != nil {
		versioning = *c.Versioning
	}
	switch {
	case versioning < b.Versioning && versioning == metapb.Versioning_UNVERSIONED || versioning < 0 || versioning > metapb.Versioning_SUSPENDED:
		return nil, refuse(kind.InvalidArgument, "versioning can be suspended, but not be undone")
	case lock && versioning != metapb.Versioning_ENABLED && b.ObjectLock:
		return nil, refuse(kind.InvalidBucketState, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	case lock && versioning != metapb.Versioning_ENABLED:
		return nil, refuse(kind.InvalidBucketState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	b.ObjectLock, b.Versioning, b.Revision = lock, versioning, a.index
	for name, value := range c.Documents {
		switch {
		case name == "" || len(name) > maxNameLen || len(value) > maxDocument:
			return nil, refuse(kind.InvalidArgument, "a bucket's document has a name of at most %d bytes and at most %d bytes", maxNameLen, maxDocument)
		case len(value) == 0:
			delete(b.Documents, name)
		case b.Documents == nil:
			b.Documents = map[string][]byte{name: value}
		default:
			b.Documents[name] = value
		}
	}
	if len(b.Documents) > maxDocuments || proto.Size(b) > maxBucket {
		return nil, refuse(kind.EntityTooLarge, "the bucket's settings are too large in all: at most %d documents and %d bytes", maxDocuments, maxBucket)
	}
	return &metapb.Result{Bucket: b, Revision: a.index}, save(a.s, bucketKey(c.Name), b)
}
