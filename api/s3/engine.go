package s3

import (
	"context"

	"holdfast/object"
)

// Engine is what the handlers call: the roles below, which *object.Engine fills together.
type Engine interface {
	bucketStore
	reader
	writer
	updater
	remover
	lister
	uploader
	uploadFinisher
	uploadLister
}

type bucketStore interface {
	CreateBucket(ctx context.Context, r object.CreateBucketRequest) error
	UpdateBucket(ctx context.Context, name string, c object.BucketChange) (object.BucketInfo, error)
	HeadBucket(ctx context.Context, name string) (object.BucketInfo, error)
	DeleteBucket(ctx context.Context, name string) error
	ListBuckets(ctx context.Context, prefix, after string, limit int) ([]object.BucketInfo, bool, error)
}

type reader interface {
	Get(ctx context.Context, r object.GetRequest) (*object.Reading, error)
	Head(ctx context.Context, r object.GetRequest) (*object.Reading, error)
}

// opener is reader.Get or reader.Head.
type opener func(ctx context.Context, r object.GetRequest) (*object.Reading, error)

type writer interface {
	Put(ctx context.Context, r object.PutRequest) (object.PutResult, error)
	Copy(ctx context.Context, r object.CopyRequest) (object.PutResult, error)
}

// updater changes what of a version may change without a new one.
type updater interface {
	Stat(ctx context.Context, bucket, key, version string) (object.Info, error)
	Update(ctx context.Context, r object.UpdateRequest) (object.Info, error)
}

type remover interface {
	Delete(ctx context.Context, r object.DeleteRequest) (object.DeleteResult, error)
}

type lister interface {
	List(ctx context.Context, r object.ListRequest) (object.ListPage, error)
	ListVersions(ctx context.Context, r object.ListVersionsRequest) (object.VersionsPage, error)
}

type uploader interface {
	CreateUpload(ctx context.Context, r object.CreateUploadRequest) (object.UploadInfo, error)
	PutPart(ctx context.Context, r object.PartRequest) (object.PartInfo, error)
	CopyPart(ctx context.Context, r object.PartCopyRequest) (object.PartInfo, error)
}

type uploadFinisher interface {
	CompleteUpload(ctx context.Context, r object.CompleteRequest) (object.PutResult, error)
	AbortUpload(ctx context.Context, bucket, key, uploadID string) error
}

type uploadLister interface {
	ListParts(ctx context.Context, bucket, key, uploadID string, after, limit int) (object.PartsPage, error)
	ListUploads(ctx context.Context, r object.ListUploadsRequest) (object.UploadsPage, error)
}
