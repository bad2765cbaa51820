package object

import (
	"context"
	"io"
	"time"

	"holdfast/proto/metapb"
	"holdfast/seal"
)

// Limits of the S3 API that the engine keeps; api/s3 checks them early as well.
const (
	MaxKeyLen     = 1024    // bytes
	MaxPutSize    = 5 << 30 // bytes in one PUT, one part or one copy
	MaxObjectSize = 5 << 40 // bytes
	MaxParts      = 10_000  // parts of an upload
	MinPartSize   = 5 << 20 // bytes, every part but the last
	MaxMetadata   = 2 << 10 // bytes of user metadata, names and values
	MaxDeleteKeys = 1000    // keys of a multi-delete
	MaxListKeys   = 1000    // entries of a page
	MaxBuckets    = 10_000  // buckets of a cluster
)

// Attributes are what a writer says about an object besides its bytes.
type Attributes struct {
	Headers      map[string]string // Content-Type, Content-Encoding, Content-Disposition, Content-Language, Cache-Control, Expires
	Metadata     map[string]string // x-amz-meta-*, lower case, without the prefix
	StorageClass string            // "" is STANDARD
	Tags         string            // URL-encoded pairs
	Protection
	Owner string // account ID; "" is the bucket's owner
	ACL   []byte // as bucket/acl encodes it; nil is private
}

// Protection is what object lock says of a version.
type Protection struct {
	Retention *Retention
	LegalHold bool
}

// Retention protects a version until a time. The zero Mode, in a change, takes a retention away.
type Retention struct {
	Mode  metapb.Retention_Mode
	Until time.Time
}

// Condition holds the conditional headers of a write; zero values are unset. ETags without quotes.
type Condition struct {
	IfMatch        string
	IfNoneMatch    string
	IfLastModified time.Time // Delete only
	IfSize         *int64    // Delete only
}

// ReadCondition holds the conditional headers of a read or of a copy's source.
type ReadCondition struct {
	IfMatch, IfNoneMatch               []string // ETags without quotes, or "*"
	IfModifiedSince, IfUnmodifiedSince time.Time
}

// Checksum asks for a flexible checksum. Want is called after the body's last byte was read and
// returns the base64 text that the client claims (from a header or a trailer), "" for none.
type Checksum struct {
	Algorithm metapb.Checksum_Algorithm
	Type      metapb.Checksum_Type
	Want      func() (string, error)
}

// ChecksumValue is a stored checksum in the form of the S3 headers.
type ChecksumValue struct {
	Algorithm metapb.Checksum_Algorithm
	Type      metapb.Checksum_Type
	Value     string // base64, with "-N" when composite
}

// Info describes a version to a reader.
type Info struct {
	Bucket, Key  string
	VersionID    string // "null" or 32 hex digits; "" in an unversioned bucket
	DeleteMarker bool
	Size         int64
	ETag         string // without quotes
	Modified     time.Time
	Attributes
	Checksum *ChecksumValue // nil when none was stored, or when sealed and no key was given
	Sealed   bool           // SSE-C
	SSE      seal.SSE       // the zero SSE: none, or SSE-C
	Parts    int            // 0 when not multipart
	// Replication is the value of x-amz-replication-status, "" for none.
	Replication string
}

// Range is a byte range as in RFC 9110: First-Last, First- (Last < 0), or the last Suffix bytes.
type Range struct {
	First, Last int64
	Suffix      int64
	IsSuffix    bool
}

// PutRequest stores one object. Body yields exactly Size bytes or the error of whoever reads the
// request (a bad chunk signature, a lost client): then nothing becomes visible.
type PutRequest struct {
	Bucket, Key string
	Body        io.Reader
	Size        int64
	ContentMD5  []byte // 16 bytes, or nil
	Checksum    *Checksum
	Customer    *seal.CustomerKey // SSE-C; nil: none
	SSE         seal.SSE          // keys that the server keeps; not together with Customer
	Condition   Condition
	Attributes
}

// PutResult answers Put, CopyObject and CompleteUpload.
type PutResult struct {
	ETag      string
	VersionID string
	Modified  time.Time
	Checksum  *ChecksumValue
	Size      int64
	SSE       seal.SSE
}

// GetRequest asks for an object or a range of it.
type GetRequest struct {
	Bucket, Key, VersionID string
	Range                  *Range
	PartNumber             int // 0: none; exclusive with Range
	Customer               *seal.CustomerKey
	Condition              ReadCondition
}

// Reading is an open object. WriteTo sends the selected bytes; the first of them is authentic
// before it leaves. Close frees what is held; it must always be called.
type Reading struct {
	Info
	First, Length int64 // the selected bytes
	Ranged        bool  // answer 206
	key           *seal.ObjectKey
	body          func(ctx context.Context, w io.Writer) (int64, error)
}

// NewReading makes a Reading of another source than the engine, as tests of api/s3 need it.
func NewReading(info Info, first, length int64, ranged bool, body func(ctx context.Context, w io.Writer) (int64, error)) *Reading {
	return &Reading{Info: info, First: first, Length: length, Ranged: ranged, body: body}
}

// DeleteRequest removes one object.
type DeleteRequest struct {
	Bucket, Key, VersionID string
	Condition              Condition
	BypassGovernance       bool   // the caller may, and says that it wants to
	Owner                  string // of a delete marker: account ID, "" is the bucket's owner
}

// UpdateRequest changes what of a version may change without a new one; nil leaves as it is.
type UpdateRequest struct {
	Bucket, Key, VersionID string
	Tags                   *string
	Retention              *Retention
	BypassGovernance       bool
	LegalHold              *bool
	ACL                    []byte
}

// DeleteResult answers Delete: the version that was removed, or the delete marker that was made.
type DeleteResult struct {
	VersionID    string
	DeleteMarker bool
}

// Source names what a copy reads.
type Source struct {
	Bucket, Key, VersionID string
	Customer               *seal.CustomerKey
	Condition              ReadCondition
	Range                  *Range // UploadPartCopy only; First and Last both set
}

// CopyRequest copies an object. Replace says that Attributes replace the source's metadata and
// headers; ReplaceTags the same of tags.
type CopyRequest struct {
	Source               Source
	Bucket, Key          string
	Customer             *seal.CustomerKey
	SSE                  seal.SSE
	Replace, ReplaceTags bool
	Attributes
	ChecksumAlgorithm metapb.Checksum_Algorithm // NONE keeps the source's
	Condition         Condition
}

// CreateUploadRequest begins a multipart upload.
type CreateUploadRequest struct {
	Bucket, Key       string
	Customer          *seal.CustomerKey
	SSE               seal.SSE
	ChecksumAlgorithm metapb.Checksum_Algorithm
	ChecksumType      metapb.Checksum_Type
	Initiator         string // account ID; "" is the bucket's owner
	Attributes
}

// UploadInfo describes a multipart upload.
type UploadInfo struct {
	Bucket, Key, UploadID string
	Initiated             time.Time
	StorageClass          string
	Owner, Initiator      string // account IDs; "" is the bucket's owner
	Sealed                bool   // SSE-C
	SSE                   seal.SSE
	ChecksumAlgorithm     metapb.Checksum_Algorithm
	ChecksumType          metapb.Checksum_Type
}

// PartRequest stores one part.
type PartRequest struct {
	Bucket, Key, UploadID string
	Number                int
	Body                  io.Reader
	Size                  int64
	ContentMD5            []byte
	Checksum              *Checksum
	Customer              *seal.CustomerKey
}

// PartCopyRequest stores one part from another object.
type PartCopyRequest struct {
	Source                Source
	Bucket, Key, UploadID string
	Number                int
	Customer              *seal.CustomerKey
}

// PartInfo describes a stored part.
type PartInfo struct {
	Number   int
	ETag     string
	Size     int64
	Modified time.Time
	Checksum *ChecksumValue
	SSE      seal.SSE // of the upload
}

// CompletePart names a part in CompleteUpload; Checksum is base64 or "".
type CompletePart struct {
	Number            int
	ETag              string
	ChecksumAlgorithm metapb.Checksum_Algorithm
	Checksum          string
}

// CompleteRequest makes an object of an upload's parts.
type CompleteRequest struct {
	Bucket, Key, UploadID string
	Parts                 []CompletePart
	Customer              *seal.CustomerKey
	Checksum              *ChecksumValue // what the client claims of the whole object, or nil
	Condition             Condition
	ExpectSize            *int64 // x-amz-mp-object-size
}

// ListRequest asks for a page of keys. After is exclusive: a key, or with AfterPrefix a common
// prefix that was already returned.
type ListRequest struct {
	Bucket, Prefix, Delimiter, After string
	AfterPrefix                      bool
	Limit                            int
}

// ListEntry is a key or, when CommonPrefix, a common prefix in Key.
type ListEntry struct {
	Key               string
	CommonPrefix      bool
	Size              int64
	ETag              string
	Modified          time.Time
	StorageClass      string
	ChecksumAlgorithm metapb.Checksum_Algorithm
	ChecksumType      metapb.Checksum_Type
	Owner             string // account ID; "" is the bucket's owner
}

// ListPage is a sorted page; More says that entries follow the last one.
type ListPage struct {
	Entries []ListEntry
	More    bool
}

// ListVersionsRequest asks for a page of versions. After it stands a key, all of whose versions were returned
// already unless VersionAfter names the last of them (a NextVersion or a version ID); with AfterPrefix a common prefix.
type ListVersionsRequest struct {
	Bucket, Prefix, Delimiter, KeyAfter, VersionAfter string
	AfterPrefix                                       bool
	Limit                                             int
}

// VersionEntry is a version, a delete marker or, when CommonPrefix, a common prefix in Key.
type VersionEntry struct {
	ListEntry
	VersionID    string // "null" or 32 hex digits
	Latest       bool
	DeleteMarker bool
}

// VersionsPage is a page by key, newest version first. NextVersion is where the page after it begins among the
// versions of its last key.
type VersionsPage struct {
	Entries     []VersionEntry
	More        bool
	NextVersion string
}

// ListUploadsRequest asks for a page of unfinished uploads.
type ListUploadsRequest struct {
	Bucket, Prefix, Delimiter, KeyAfter, UploadAfter string
	AfterPrefix                                      bool
	Limit                                            int
}

// UploadEntry is an upload or a common prefix.
type UploadEntry struct {
	UploadInfo
	CommonPrefix bool
}

// UploadsPage is a page of uploads, sorted by key, then by upload ID.
type UploadsPage struct {
	Entries []UploadEntry
	More    bool
}

// PartsPage is a page of parts with what the upload says of itself.
type PartsPage struct {
	UploadInfo
	Parts []PartInfo
	More  bool
}

// BucketInfo describes a bucket.
type BucketInfo struct {
	Name    string
	Owner   string
	Region  string
	Created time.Time
	// What follows may be older than a moment, see Config.BucketCacheAge; ListBuckets has no Documents.
	Versioning metapb.Versioning
	ObjectLock bool
	Documents  map[string][]byte // by name, as the packages in bucket/ print them; not to be changed
	Revision   uint64
}

// CreateBucketRequest makes a bucket.
type CreateBucketRequest struct {
	Name, Owner, Region string
	ObjectLock          bool
	Documents           map[string][]byte
}

// BucketChange changes settings of a bucket; nil leaves as it is. An empty document is deleted.
type BucketChange struct {
	Documents  map[string][]byte
	Versioning *metapb.Versioning
	ObjectLock bool   // switch it on
	IfRevision uint64 // kind.Conflict if the bucket's is another one; 0: whatever it is
}
