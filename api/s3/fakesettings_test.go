package s3

import (
	"context"
	"maps"
	"sort"
	"strings"

	"holdfast/internal/kind"
	"holdfast/object"
)

// The fake engine's settings of buckets, and what of an object may change. It keeps one version a key.

func (f *fakeEngine) UpdateBucket(_ context.Context, name string, c object.BucketChange) (object.BucketInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("UpdateBucket"); err != nil {
		return object.BucketInfo{}, err
	}
	b := f.buckets[name]
	if err := f.bucket(name); err != nil {
		return b, err
	}
	if c.IfRevision != 0 && c.IfRevision != b.Revision {
		return b, kind.New(kind.Conflict, "changed")
	}
	docs := maps.Clone(b.Documents)
	if docs == nil {
		docs = map[string][]byte{}
	}
	for n, v := range c.Documents {
		if len(v) == 0 {
			delete(docs, n)
			continue
		}
		docs[n] = v
	}
	b.Documents, b.Revision, b.ObjectLock = docs, b.Revision+1, b.ObjectLock || c.ObjectLock
	if c.Versioning != nil {
		b.Versioning = *c.Versioning
	}
	f.buckets[name] = b
	return b, nil
}

func (f *fakeEngine) Stat(_ context.Context, bucket, key, _ string) (object.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stat("Stat", bucket, key)
}

func (f *fakeEngine) stat(method, bucket, key string) (object.Info, error) {
	if err := f.called(method); err != nil {
		return object.Info{}, err
	}
	if err := f.bucket(bucket); err != nil {
		return object.Info{}, err
	}
	o := f.objects[bucket+"/"+key]
	if o == nil {
		return object.Info{}, kind.New(kind.NoSuchKey, "The specified key does not exist.")
	}
	return o.Info, nil
}

func (f *fakeEngine) Update(_ context.Context, r object.UpdateRequest) (object.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.stat("Update", r.Bucket, r.Key); err != nil {
		return object.Info{}, err
	}
	o := f.objects[r.Bucket+"/"+r.Key]
	if r.Tags != nil {
		o.Tags = *r.Tags
	}
	if r.LegalHold != nil {
		o.LegalHold = *r.LegalHold
	}
	if r.Retention != nil {
		o.Retention = r.Retention
	}
	if r.ACL != nil {
		o.ACL = r.ACL
	}
	return o.Info, nil
}

func (f *fakeEngine) ListVersions(_ context.Context, r object.ListVersionsRequest) (object.VersionsPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("ListVersions"); err != nil {
		return object.VersionsPage{}, err
	}
	if err := f.bucket(r.Bucket); err != nil {
		return object.VersionsPage{}, err
	}
	var page object.VersionsPage
	for name, o := range f.objects {
		if key, ok := strings.CutPrefix(name, r.Bucket+"/"); ok && strings.HasPrefix(key, r.Prefix) && key > r.KeyAfter {
			page.Entries = append(page.Entries, object.VersionEntry{VersionID: "null", Latest: true,
				ListEntry: object.ListEntry{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.Modified, StorageClass: o.StorageClass}})
		}
	}
	sort.Slice(page.Entries, func(i, j int) bool { return page.Entries[i].Key < page.Entries[j].Key })
	if len(page.Entries) > r.Limit {
		page.Entries, page.More = page.Entries[:r.Limit], true
	}
	return page, nil
}
