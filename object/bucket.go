package object

import (
	"context"
	"sync"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// maxCachedBuckets bounds the cache; past it the cache is emptied, which costs one query a bucket.
const maxCachedBuckets = 10_000

type bucketRecord struct {
	BucketInfo
	id   id.Bucket
	seen time.Time
}

// bucketCache keeps bucket records for a short time. A stale record does no harm to writes: the
// groups refuse a closed incarnation.
type bucketCache struct {
	mu sync.RWMutex
	m  map[string]bucketRecord
	// gone is when buckets were forgotten: an answer that was asked for before that is not kept.
	gone map[string]time.Time
}

func newBucketCache() bucketCache {
	return bucketCache{m: map[string]bucketRecord{}, gone: map[string]time.Time{}}
}

func (c *bucketCache) get(name string) (bucketRecord, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b, ok := c.m[name]
	return b, ok
}

func (c *bucketCache) put(b bucketRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !b.seen.After(c.gone[b.Name]) {
		return
	}
	if len(c.m) >= maxCachedBuckets {
		clear(c.m)
	}
	c.m[b.Name] = b
}

// forget drops a bucket's record, and what is on its way as now.
func (c *bucketCache) forget(name string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, name)
	if len(c.gone) >= maxCachedBuckets { // those asked for long ago have their answers
		clear(c.gone)
		clear(c.m)
	}
	c.gone[name] = now
}

// ForgetBucket has the next request look for the bucket anew: another front has changed or deleted it.
func (e *Engine) ForgetBucket(name string) { e.buckets.forget(name, e.cfg.Now()) }

func bucketOf(b *metapb.Bucket, now time.Time) (bucketRecord, error) {
	incarnation, err := id.FromBytes[id.Bucket](b.Id)
	if err != nil {
		return bucketRecord{}, kind.Wrap(kind.Damaged, err, "the record of bucket %q", b.Name)
	}
	return bucketRecord{BucketInfo: infoOfBucket(b), id: incarnation, seen: now}, nil
}

func infoOfBucket(b *metapb.Bucket) BucketInfo {
	return BucketInfo{Name: b.Name, Owner: b.Owner, Region: b.Region, Created: time.UnixMilli(b.CreatedMs).UTC(),
		Versioning: b.Versioning, ObjectLock: b.ObjectLock, Documents: b.Documents, Revision: b.Revision}
}

// lookup finds a bucket, in the cache or by a linearizable query of the system group.
func (e *Engine) lookup(ctx context.Context, name string) (bucketRecord, error) {
	now := e.cfg.Now()
	if b, ok := e.buckets.get(name); ok && now.Sub(b.seen) < e.cfg.BucketCacheAge {
		return b, nil
	}
	pb, err := e.askBucket(ctx, name)
	if err != nil {
		return bucketRecord{}, err
	}
	b, err := bucketOf(pb, now)
	if err != nil {
		return bucketRecord{}, err
	}
	e.buckets.put(b)
	return b, nil
}

func (e *Engine) askBucket(ctx context.Context, name string) (*metapb.Bucket, error) {
	a, err := e.cfg.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{
		Op: &metapb.Query_GetBucket_{GetBucket_: &metapb.GetBucket{Name: name}}})
	if err != nil {
		return nil, err
	}
	if len(a.Buckets) == 0 {
		return nil, kind.New(kind.NoSuchBucket, "The specified bucket does not exist")
	}
	return a.Buckets[0], nil
}

// CreateBucket makes a bucket. kind.BucketOwnedByYou or kind.BucketExists when the name is taken.
func (e *Engine) CreateBucket(ctx context.Context, r CreateBucketRequest) error {
	incarnation, err := id.Random[id.Bucket](e.cfg.Rand)
	if err != nil {
		return err
	}
	now := e.cfg.Now().UnixMilli()
	res, err := e.system(ctx, &metapb.Command{NowMs: now, Op: &metapb.Command_CreateBucket{CreateBucket: &metapb.CreateBucket{
		MaxBuckets: MaxBuckets,
		Bucket: &metapb.Bucket{Name: r.Name, Id: incarnation[:], Owner: r.Owner, CreatedMs: now, Region: r.Region,
			ObjectLock: r.ObjectLock, Documents: r.Documents},
	}}})
	if kind.Is(err, kind.BucketExists) && res != nil && res.Bucket != nil && res.Bucket.Owner == r.Owner {
		return kind.New(kind.BucketOwnedByYou, "Your previous request to create the named bucket succeeded and you already own it.")
	}
	e.ForgetBucket(r.Name)
	return err
}

// UpdateBucket changes settings of a bucket. When it returns, all fronts work by them.
func (e *Engine) UpdateBucket(ctx context.Context, name string, c BucketChange) (BucketInfo, error) {
	b, err := e.lookup(ctx, name)
	if err != nil {
		return BucketInfo{}, err
	}
	u := &metapb.UpdateBucket{Name: name, Id: b.id[:], Documents: c.Documents, Versioning: c.Versioning, IfRevision: c.IfRevision}
	if c.ObjectLock {
		u.ObjectLock = &c.ObjectLock
	}
	defer e.ForgetBucket(name)
	res, err := e.system(ctx, &metapb.Command{NowMs: e.cfg.Now().UnixMilli(), Op: &metapb.Command_UpdateBucket{UpdateBucket: u}})
	if err != nil {
		return BucketInfo{}, err
	}
	e.ForgetBucket(name)
	return infoOfBucket(res.Bucket), e.tell(ctx, name)
}

// tell has the other fronts forget a bucket's record.
func (e *Engine) tell(ctx context.Context, name string) error {
	if e.cfg.BucketChanged == nil {
		return nil
	}
	return e.cfg.BucketChanged(ctx, name)
}

// HeadBucket describes a bucket.
func (e *Engine) HeadBucket(ctx context.Context, name string) (BucketInfo, error) {
	b, err := e.lookup(ctx, name)
	return b.BucketInfo, err
}

// ListBuckets returns up to limit buckets with the prefix, after a name, in order of names, and
// whether there are more.
func (e *Engine) ListBuckets(ctx context.Context, prefix, after string, limit int) ([]BucketInfo, bool, error) {
	a, err := e.cfg.Metadata.Ask(ctx, meta.SystemGroup, &metapb.Query{Op: &metapb.Query_ListBuckets{
		ListBuckets: &metapb.ListBuckets{Prefix: prefix, After: after, Limit: uint32(limit)}}})
	if err != nil {
		return nil, false, err
	}
	out := make([]BucketInfo, len(a.Buckets))
	for i, b := range a.Buckets {
		out[i] = infoOfBucket(b)
	}
	return out, a.Truncated, nil
}

// DeleteBucket removes an empty bucket: the system group marks it, every group closes its
// incarnation and thereby says whether it is empty there; then it is removed or opened again. A
// deletion that was cut short is finished by the next one.
func (e *Engine) DeleteBucket(ctx context.Context, name string) error {
	pb, err := e.askBucket(ctx, name)
	if err != nil {
		return err
	}
	// Look first: a bucket full of objects must not be closed to its writers even for a moment.
	page, err := e.ListVersions(ctx, ListVersionsRequest{Bucket: name, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Entries) > 0 {
		return errNotEmpty()
	}
	if err := e.mark(ctx, name, metapb.Bucket_DELETING); err != nil {
		return err
	}
	defer e.ForgetBucket(name)
	closeErr := e.closeBucket(ctx, pb.Id, true)
	if closeErr == nil {
		// All groups are closed and empty: there is no way back, so unfinished uploads go now.
		if err := e.closeBucket(ctx, pb.Id, false); err != nil {
			return err
		}
		_, err := e.system(ctx, &metapb.Command{NowMs: e.cfg.Now().UnixMilli(),
			Op: &metapb.Command_DeleteBucket{DeleteBucket: &metapb.DeleteBucket{Name: name, Id: pb.Id}}})
		if err != nil {
			return err
		}
		return e.tell(ctx, name)
	}
	// Open again even if the client has gone: a bucket left closed would refuse its writers.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reopenTimeout)
	defer cancel()
	if err := e.reopen(ctx, name, pb.Id); err != nil {
		e.cfg.Logger.Error("a bucket whose deletion was called off stays closed: delete it again, or write to it once the cluster is healthy", "bucket", name, "error", err)
	}
	return closeErr
}

// maxCloseRounds bounds how often a group is told to close: each time it aborts another lot of
// the bucket's unfinished uploads.
const maxCloseRounds = 1000

// closeBucket closes a bucket's incarnation in every group; BucketNotEmpty if one has objects.
func (e *Engine) closeBucket(ctx context.Context, incarnation []byte, keepUploads bool) error {
	return e.onEveryGroup(ctx, func(ctx context.Context, group uint32) error {
		var err error
		for range maxCloseRounds {
			_, err = e.cfg.Metadata.Apply(ctx, group, &metapb.Command{NowMs: e.cfg.Now().UnixMilli(), Bucket: incarnation,
				Op: &metapb.Command_CloseBucket{CloseBucket: &metapb.CloseBucket{KeepUploads: keepUploads}}})
			if !kind.Is(err, kind.Unavailable) || ctx.Err() != nil {
				return err
			}
		}
		return err
	})
}

// reopenTimeout bounds the calling off of a bucket's deletion.
const reopenTimeout = 10 * time.Second

func (e *Engine) reopen(ctx context.Context, name string, incarnation []byte) error {
	err := e.onEveryGroup(ctx, func(ctx context.Context, group uint32) error {
		_, err := e.cfg.Metadata.Apply(ctx, group, &metapb.Command{NowMs: e.cfg.Now().UnixMilli(), Bucket: incarnation,
			Op: &metapb.Command_OpenBucket{OpenBucket: &metapb.OpenBucket{}}})
		return err
	})
	if err != nil {
		return err
	}
	return e.mark(ctx, name, metapb.Bucket_ACTIVE)
}

func (e *Engine) mark(ctx context.Context, name string, state metapb.Bucket_State) error {
	_, err := e.system(ctx, &metapb.Command{NowMs: e.cfg.Now().UnixMilli(),
		Op: &metapb.Command_MarkBucket{MarkBucket: &metapb.MarkBucket{Name: name, State: state}}})
	return err
}

func (e *Engine) system(ctx context.Context, cmd *metapb.Command) (*metapb.Result, error) {
	return e.cfg.Metadata.Apply(ctx, meta.SystemGroup, cmd)
}

// onEveryGroup calls fn for each object group at once and returns the first error by group.
func (e *Engine) onEveryGroup(ctx context.Context, fn func(ctx context.Context, group uint32) error) error {
	errs := make([]error, e.cfg.Metadata.Groups())
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = fn(ctx, uint32(i)+1) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func errNotEmpty() error {
	return kind.New(kind.BucketNotEmpty, "The bucket you tried to delete is not empty")
}
