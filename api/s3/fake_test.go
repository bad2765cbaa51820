package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"holdfast/internal/kind"
	"holdfast/object"
	"holdfast/proto/metapb"
	"holdfast/seal"
)

// fakeEngine is an engine in memory. It keeps what the handlers gave it, so that tests can look,
// and answers as the real one does as far as HTTP can see.
type fakeEngine struct {
	mu      sync.Mutex
	buckets map[string]object.BucketInfo
	objects map[string]*fakeObject // bucket/key
	uploads map[string]*fakeUpload
	now     func() time.Time

	calls []string         // names of the methods called
	fail  map[string]error // method → what it answers instead
	// bodyError is what reading an object ends with, after brokenAfter bytes.
	bodyError   error
	brokenAfter int
	panics      bool          // the next Get panics
	hold        chan struct{} // CompleteUpload waits for it, if there is one

	lastGet    object.GetRequest
	lastPut    object.PutRequest
	lastCopy   object.CopyRequest
	lastPart   object.PartRequest
	lastPCopy  object.PartCopyRequest
	lastDelete object.DeleteRequest
	lastList   object.ListRequest
	lastUps    object.ListUploadsRequest
	lastDone   object.CompleteRequest
	keys       []*seal.CustomerKey // all that were passed in
}

type fakeObject struct {
	object.Info
	data     []byte
	customer string // MD5 of the key, in a fake only
	partLens []int64
}

type fakeUpload struct {
	object.UploadInfo
	object.Attributes
	customer string
	parts    map[int]*fakeObject
}

func newFake() *fakeEngine {
	return &fakeEngine{buckets: map[string]object.BucketInfo{}, objects: map[string]*fakeObject{}, uploads: map[string]*fakeUpload{},
		fail: map[string]error{}, now: func() time.Time { return testTime }}
}

// called notes a call and gives the error that a test has planted.
func (f *fakeEngine) called(name string) error {
	f.calls = append(f.calls, name)
	return f.fail[name]
}

func (f *fakeEngine) bucket(name string) error {
	if _, ok := f.buckets[name]; !ok {
		return kind.New(kind.NoSuchBucket, "no such bucket")
	}
	return nil
}

func (f *fakeEngine) CreateBucket(_ context.Context, r object.CreateBucketRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("CreateBucket"); err != nil {
		return err
	}
	if b, ok := f.buckets[r.Name]; ok {
		if b.Owner == r.Owner {
			return kind.New(kind.BucketOwnedByYou, "yours")
		}
		return kind.New(kind.BucketExists, "theirs")
	}
	f.buckets[r.Name] = object.BucketInfo{Name: r.Name, Owner: r.Owner, Region: r.Region, Created: f.now(), ObjectLock: r.ObjectLock, Documents: r.Documents}
	return nil
}

func (f *fakeEngine) HeadBucket(_ context.Context, name string) (object.BucketInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("HeadBucket"); err != nil {
		return object.BucketInfo{}, err
	}
	return f.buckets[name], f.bucket(name)
}

func (f *fakeEngine) DeleteBucket(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("DeleteBucket"); err != nil {
		return err
	}
	if err := f.bucket(name); err != nil {
		return err
	}
	for k := range f.objects {
		if strings.HasPrefix(k, name+"/") {
			return kind.New(kind.BucketNotEmpty, "not empty")
		}
	}
	delete(f.buckets, name)
	return nil
}

func (f *fakeEngine) ListBuckets(_ context.Context, prefix, after string, limit int) ([]object.BucketInfo, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("ListBuckets"); err != nil {
		return nil, false, err
	}
	var list []object.BucketInfo
	for _, b := range f.buckets {
		if strings.HasPrefix(b.Name, prefix) && b.Name > after {
			list = append(list, b)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	if len(list) > limit {
		return list[:limit], true, nil
	}
	return list, false, nil
}

// note remembers a key, so that tests see it zeroed, and gives its MD5.
func (f *fakeEngine) note(c *seal.CustomerKey) string {
	if c == nil {
		return ""
	}
	f.keys = append(f.keys, c)
	return c.MD5()
}

// take reads a body as the engine does: exactly size bytes, then the claims.
func take(body io.Reader, size int64, wantMD5 []byte, c *object.Checksum) ([]byte, *object.ChecksumValue, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(body, b); err != nil {
		return nil, nil, err
	}
	if sum := md5.Sum(b); wantMD5 != nil && !bytes.Equal(sum[:], wantMD5) {
		return nil, nil, kind.New(kind.BadDigest, "The Content-MD5 you specified did not match what we received.")
	}
	if c == nil {
		return b, nil, nil
	}
	h := algorithmOf(c.Algorithm).hash()
	h.Write(b)
	got := base64.StdEncoding.EncodeToString(h.Sum(nil))
	if c.Want != nil {
		want, err := c.Want()
		if err != nil {
			return nil, nil, err
		}
		if want != "" && want != got {
			return nil, nil, kind.New(kind.BadDigest, "The %s you specified did not match the calculated checksum.", c.Algorithm)
		}
	}
	return b, &object.ChecksumValue{Algorithm: c.Algorithm, Type: metapb.Checksum_FULL_OBJECT, Value: got}, nil
}

func (f *fakeEngine) check(c object.Condition, id string) error {
	o, ok := f.objects[id]
	switch {
	case c.IfNoneMatch == "*" && ok:
		return kind.New(kind.PreconditionFailed, "exists")
	case c.IfMatch != "" && !ok:
		return kind.New(kind.NoSuchKeyCondition, "no such key")
	case c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != o.ETag:
		return kind.New(kind.PreconditionFailed, "other")
	case c.IfSize != nil && ok && *c.IfSize != o.Size:
		return kind.New(kind.PreconditionFailed, "other size")
	}
	return nil
}

func etagOf(b []byte, customer string) string {
	if customer != "" {
		return "5ea1ed" + randomHex(13)
	}
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (f *fakeEngine) store(bucket, key string, data []byte, a object.Attributes, customer string, sum *object.ChecksumValue) *fakeObject {
	o := &fakeObject{data: data, customer: customer, Info: object.Info{Bucket: bucket, Key: key, Size: int64(len(data)),
		ETag: etagOf(data, customer), Modified: f.now(), Attributes: a, Checksum: sum, Sealed: customer != ""}}
	f.objects[bucket+"/"+key] = o
	return o
}

func (f *fakeEngine) Put(_ context.Context, r object.PutRequest) (object.PutResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastPut = r
	customer := f.note(r.Customer)
	if err := f.called("Put"); err != nil {
		return object.PutResult{}, err
	}
	if err := f.bucket(r.Bucket); err != nil {
		return object.PutResult{}, err
	}
	b, sum, err := take(r.Body, r.Size, r.ContentMD5, r.Checksum)
	if err != nil {
		return object.PutResult{}, err
	}
	if err := f.check(r.Condition, r.Bucket+"/"+r.Key); err != nil {
		return object.PutResult{}, err
	}
	o := f.store(r.Bucket, r.Key, b, r.Attributes, customer, sum)
	return object.PutResult{ETag: o.ETag, Modified: o.Modified, Checksum: sum, Size: o.Size}, nil
}

// find opens an object for a key, with the SSE-C errors of the engine.
func (f *fakeEngine) find(bucket, key, version string, c *seal.CustomerKey) (*fakeObject, error) {
	if err := f.bucket(bucket); err != nil {
		return nil, err
	}
	o, ok := f.objects[bucket+"/"+key]
	if version != "" && version != "null" {
		return nil, kind.New(kind.NoSuchVersion, "no such version")
	}
	switch md5 := f.note(c); {
	case !ok:
		return nil, kind.New(kind.NoSuchKey, "no such key")
	case o.customer == "" && md5 != "":
		return nil, kind.New(kind.SSECNotApplicable, "plain")
	case o.customer != "" && md5 == "":
		return nil, kind.New(kind.SSECRequired, "sealed")
	case o.customer != md5:
		return nil, kind.New(kind.SSECWrongKey, "wrong key")
	}
	return o, nil
}

func (f *fakeEngine) Head(_ context.Context, r object.GetRequest) (*object.Reading, error) {
	return f.read("Head", r)
}

func (f *fakeEngine) Get(_ context.Context, r object.GetRequest) (*object.Reading, error) {
	return f.read("Get", r)
}

func (f *fakeEngine) read(name string, r object.GetRequest) (*object.Reading, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastGet = r
	if err := f.called(name); err != nil {
		return nil, err
	}
	if f.panics {
		panic("planted")
	}
	o, err := f.find(r.Bucket, r.Key, r.VersionID, r.Customer)
	if err != nil {
		return nil, err
	}
	if err := checkRead(r.Condition, o.Info); err != nil {
		return &object.Reading{Info: o.Info}, err
	}
	first, length, ranged, err := o.choose(r)
	if err != nil {
		return &object.Reading{Info: o.Info}, err
	}
	data, broken, after := o.data[first:first+length], f.bodyError, f.brokenAfter
	return object.NewReading(o.Info, first, length, ranged, func(ctx context.Context, w io.Writer) (int64, error) {
		if broken != nil {
			n, _ := w.Write(data[:after])
			return int64(n), broken
		}
		var sent int64
		for len(data) > 0 {
			n, err := w.Write(data[:min(len(data), 64<<10)])
			if sent += int64(n); err != nil {
				return sent, err
			}
			data = data[n:]
		}
		return sent, nil
	}), nil
}

func checkRead(c object.ReadCondition, i object.Info) error {
	match := func(list []string) bool {
		return slices.ContainsFunc(list, func(e string) bool { return e == "*" || e == i.ETag })
	}
	switch {
	case len(c.IfMatch) > 0 && !match(c.IfMatch), !c.IfUnmodifiedSince.IsZero() && i.Modified.After(c.IfUnmodifiedSince):
		return kind.New(kind.PreconditionFailed, "changed")
	case len(c.IfNoneMatch) > 0 && match(c.IfNoneMatch), !c.IfModifiedSince.IsZero() && !i.Modified.After(c.IfModifiedSince):
		return kind.New(kind.NotModified, "same")
	}
	return nil
}

func (o *fakeObject) choose(r object.GetRequest) (first, length int64, ranged bool, err error) {
	size := int64(len(o.data))
	switch rg := r.Range; {
	case r.PartNumber > 0 && len(o.partLens) == 0:
		if r.PartNumber > 1 {
			return 0, 0, false, kind.New(kind.InvalidPartNumber, "no such part")
		}
		return 0, size, true, nil
	case r.PartNumber > 0:
		if r.PartNumber > len(o.partLens) {
			return 0, 0, false, kind.New(kind.InvalidPartNumber, "no such part")
		}
		for _, n := range o.partLens[:r.PartNumber-1] {
			first += n
		}
		return first, o.partLens[r.PartNumber-1], true, nil
	case rg == nil:
		return 0, size, false, nil
	case rg.IsSuffix && (rg.Suffix == 0 || size == 0), !rg.IsSuffix && rg.First >= size:
		return 0, 0, false, kind.New(kind.InvalidRange, "past the end")
	case rg.IsSuffix:
		n := min(rg.Suffix, size)
		return size - n, n, true, nil
	default:
		last := size - 1
		if rg.Last >= 0 {
			last = min(last, rg.Last)
		}
		return rg.First, last - rg.First + 1, true, nil
	}
}

func (f *fakeEngine) Delete(_ context.Context, r object.DeleteRequest) (object.DeleteResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastDelete = r
	if err := f.called("Delete"); err != nil {
		return object.DeleteResult{}, err
	}
	if err := f.bucket(r.Bucket); err != nil {
		return object.DeleteResult{}, err
	}
	if err := f.check(r.Condition, r.Bucket+"/"+r.Key); err != nil {
		return object.DeleteResult{}, err
	}
	delete(f.objects, r.Bucket+"/"+r.Key)
	return object.DeleteResult{}, nil
}

func (f *fakeEngine) Copy(_ context.Context, r object.CopyRequest) (object.PutResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastCopy = r
	if err := f.called("Copy"); err != nil {
		return object.PutResult{}, err
	}
	src, err := f.find(r.Source.Bucket, r.Source.Key, r.Source.VersionID, r.Source.Customer)
	if err != nil {
		return object.PutResult{}, err
	}
	if err := checkRead(r.Source.Condition, src.Info); err != nil {
		return object.PutResult{}, kind.New(kind.PreconditionFailed, "source")
	}
	if err := f.bucket(r.Bucket); err != nil {
		return object.PutResult{}, err
	}
	if err := f.check(r.Condition, r.Bucket+"/"+r.Key); err != nil {
		return object.PutResult{}, err
	}
	a := src.Attributes
	if r.Replace {
		a.Headers, a.Metadata = r.Headers, r.Metadata
	}
	if r.ReplaceTags {
		a.Tags = r.Tags
	}
	o := f.store(r.Bucket, r.Key, src.data, a, f.note(r.Customer), src.Checksum)
	return object.PutResult{ETag: o.ETag, Modified: o.Modified, Size: o.Size, Checksum: o.Checksum}, nil
}

func (f *fakeEngine) List(_ context.Context, r object.ListRequest) (object.ListPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastList = r
	if err := f.called("List"); err != nil {
		return object.ListPage{}, err
	}
	if err := f.bucket(r.Bucket); err != nil {
		return object.ListPage{}, err
	}
	var keys []string
	for id := range f.objects {
		if key, ok := strings.CutPrefix(id, r.Bucket+"/"); ok && strings.HasPrefix(key, r.Prefix) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	var page object.ListPage
	last := ""
	for _, key := range keys {
		e := object.ListEntry{Key: key}
		if r.Delimiter != "" {
			if i := strings.Index(key[len(r.Prefix):], r.Delimiter); i >= 0 {
				e = object.ListEntry{Key: key[:len(r.Prefix)+i+len(r.Delimiter)], CommonPrefix: true}
			}
		}
		switch {
		case e.CommonPrefix && e.Key == last, r.AfterPrefix && strings.HasPrefix(key, r.After), key <= r.After:
			continue
		}
		if len(page.Entries) == r.Limit {
			page.More = true
			break
		}
		if e.CommonPrefix {
			last = e.Key
		} else {
			o := f.objects[r.Bucket+"/"+key]
			e.Size, e.ETag, e.Modified, e.StorageClass = o.Size, o.ETag, o.Modified, o.StorageClass
			if o.Checksum != nil {
				e.ChecksumAlgorithm, e.ChecksumType = o.Checksum.Algorithm, o.Checksum.Type
			}
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}
