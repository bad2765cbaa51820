package s3

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"holdfast/internal/kind"
	"holdfast/object"
	"holdfast/seal"
)

func (f *fakeEngine) CreateUpload(_ context.Context, r object.CreateUploadRequest) (object.UploadInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("CreateUpload"); err != nil {
		return object.UploadInfo{}, err
	}
	if err := f.bucket(r.Bucket); err != nil {
		return object.UploadInfo{}, err
	}
	u := &fakeUpload{parts: map[int]*fakeObject{}, customer: f.note(r.Customer), Attributes: r.Attributes}
	u.UploadInfo = object.UploadInfo{Bucket: r.Bucket, Key: r.Key, UploadID: fmt.Sprintf("%032x", len(f.uploads)+1), Initiated: f.now(),
		Sealed: r.Customer != nil, ChecksumAlgorithm: r.ChecksumAlgorithm, ChecksumType: r.ChecksumType}
	f.uploads[u.UploadID] = u
	return u.UploadInfo, nil
}

func (f *fakeEngine) upload(bucket, key, id string, c *seal.CustomerKey, needKey bool) (*fakeUpload, error) {
	if err := f.bucket(bucket); err != nil {
		return nil, err
	}
	u, ok := f.uploads[id]
	md5 := f.note(c)
	switch {
	case !ok || u.Bucket != bucket || u.Key != key:
		return nil, kind.New(kind.NoSuchUpload, "no such upload")
	case needKey && (u.customer == "") != (md5 == ""):
		return nil, kind.New(kind.SSECPartRequired, "part encryption")
	case needKey && u.customer != md5:
		return nil, kind.New(kind.SSECPartMismatch, "other key")
	}
	return u, nil
}

func (f *fakeEngine) PutPart(_ context.Context, r object.PartRequest) (object.PartInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastPart = r
	if err := f.called("PutPart"); err != nil {
		return object.PartInfo{}, err
	}
	u, err := f.upload(r.Bucket, r.Key, r.UploadID, r.Customer, true)
	if err != nil {
		return object.PartInfo{}, err
	}
	b, sum, err := take(r.Body, r.Size, r.ContentMD5, r.Checksum)
	if err != nil {
		return object.PartInfo{}, err
	}
	return f.part(u, r.Number, b, sum), nil
}

func (f *fakeEngine) part(u *fakeUpload, number int, b []byte, sum *object.ChecksumValue) object.PartInfo {
	p := &fakeObject{data: b, Info: object.Info{ETag: etagOf(b, u.customer), Size: int64(len(b)), Modified: f.now(), Checksum: sum}}
	u.parts[number] = p
	return object.PartInfo{Number: number, ETag: p.ETag, Size: p.Size, Modified: p.Modified, Checksum: sum}
}

func (f *fakeEngine) CopyPart(_ context.Context, r object.PartCopyRequest) (object.PartInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastPCopy = r
	if err := f.called("CopyPart"); err != nil {
		return object.PartInfo{}, err
	}
	u, err := f.upload(r.Bucket, r.Key, r.UploadID, r.Customer, true)
	if err != nil {
		return object.PartInfo{}, err
	}
	src, err := f.find(r.Source.Bucket, r.Source.Key, r.Source.VersionID, r.Source.Customer)
	if err != nil {
		return object.PartInfo{}, err
	}
	data := src.data
	if rg := r.Source.Range; rg != nil {
		data = data[rg.First : rg.Last+1]
	}
	return f.part(u, r.Number, data, nil), nil
}

func (f *fakeEngine) CompleteUpload(_ context.Context, r object.CompleteRequest) (object.PutResult, error) {
	if f.hold != nil {
		<-f.hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastDone = r
	if err := f.called("CompleteUpload"); err != nil {
		return object.PutResult{}, err
	}
	u, err := f.upload(r.Bucket, r.Key, r.UploadID, r.Customer, false)
	if err != nil {
		return object.PutResult{}, err
	}
	if err := f.check(r.Condition, r.Bucket+"/"+r.Key); err != nil {
		return object.PutResult{}, err
	}
	var data []byte
	var lens []int64
	for _, named := range r.Parts {
		p, ok := u.parts[named.Number]
		if !ok || p.ETag != named.ETag {
			return object.PutResult{}, kind.New(kind.InvalidPart, "no such part")
		}
		data, lens = append(data, p.data...), append(lens, p.Size)
	}
	o := f.store(r.Bucket, r.Key, data, u.Attributes, u.customer, r.Checksum)
	o.ETag += fmt.Sprintf("-%d", len(r.Parts))
	o.partLens, o.Parts = lens, len(lens)
	delete(f.uploads, r.UploadID)
	return object.PutResult{ETag: o.ETag, Modified: o.Modified, Checksum: o.Checksum, Size: o.Size}, nil
}

func (f *fakeEngine) AbortUpload(_ context.Context, bucket, key, uploadID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("AbortUpload"); err != nil {
		return err
	}
	if _, err := f.upload(bucket, key, uploadID, nil, false); err != nil {
		return err
	}
	delete(f.uploads, uploadID)
	return nil
}

func (f *fakeEngine) ListParts(_ context.Context, bucket, key, uploadID string, after, limit int) (object.PartsPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("ListParts"); err != nil {
		return object.PartsPage{}, err
	}
	u, err := f.upload(bucket, key, uploadID, nil, false)
	if err != nil {
		return object.PartsPage{}, err
	}
	page := object.PartsPage{UploadInfo: u.UploadInfo}
	for n := after + 1; n <= object.MaxParts; n++ {
		p, ok := u.parts[n]
		if !ok {
			continue
		}
		if len(page.Parts) == limit {
			page.More = true
			break
		}
		page.Parts = append(page.Parts, object.PartInfo{Number: n, ETag: p.ETag, Size: p.Size, Modified: p.Modified, Checksum: p.Checksum})
	}
	return page, nil
}

func (f *fakeEngine) ListUploads(_ context.Context, r object.ListUploadsRequest) (object.UploadsPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastUps = r
	if err := f.called("ListUploads"); err != nil {
		return object.UploadsPage{}, err
	}
	if err := f.bucket(r.Bucket); err != nil {
		return object.UploadsPage{}, err
	}
	var all []object.UploadEntry
	for _, u := range f.uploads {
		if u.Bucket == r.Bucket && strings.HasPrefix(u.Key, r.Prefix) {
			all = append(all, object.UploadEntry{UploadInfo: u.UploadInfo})
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].Key+"\x00"+all[i].UploadID < all[j].Key+"\x00"+all[j].UploadID
	})
	var page object.UploadsPage
	for _, e := range all {
		if e.Key < r.KeyAfter || r.KeyAfter != "" && e.Key == r.KeyAfter && (r.UploadAfter == "" || e.UploadID <= r.UploadAfter) {
			continue
		}
		if len(page.Entries) == r.Limit {
			page.More = true
			break
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}
