package object

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// Usage is what a bucket has: exact, as of a moment in each group.
type Usage struct {
	Objects       int64 // keys that a List shows
	Versions      int64 // without delete markers
	DeleteMarkers int64
	Bytes         int64 // of all versions, as their writers sent them
	Quota         int64 // bytes; 0: none
}

const (
	quotaDocument = "quota"
	// MaxQuota is the largest quota of a bucket in bytes.
	MaxQuota = int64(1) << 60
	// quotaTries bounds how often shares of a quota are moved for one request.
	quotaTries = 3
)

// Usage sums up what the groups have of a bucket.
func (e *Engine) Usage(ctx context.Context, bucket string) (Usage, error) {
	b, err := e.lookup(ctx, bucket)
	if err != nil {
		return Usage{}, err
	}
	shares, err := e.shares(ctx, b)
	if err != nil {
		return Usage{}, err
	}
	sum := Usage{Quota: b.quota()}
	for _, u := range shares {
		sum.Objects += int64(u.Objects)
		sum.Versions += int64(u.Versions)
		sum.DeleteMarkers += int64(u.DeleteMarkers)
		sum.Bytes += int64(u.Bytes)
	}
	return sum, nil
}

// quota is a bucket's quota in bytes, 0 for none.
func (b *bucketRecord) quota() int64 {
	n, _ := strconv.ParseInt(string(b.Documents[quotaDocument]), 10, 64)
	return n
}

// shares are the usages of a bucket in all groups, in their order.
func (e *Engine) shares(ctx context.Context, b bucketRecord) ([]*metapb.Usage, error) {
	shares := make([]*metapb.Usage, e.cfg.Metadata.Groups())
	err := e.onEveryGroup(ctx, func(ctx context.Context, group uint32) error {
		a, err := e.cfg.Metadata.Ask(ctx, group, &metapb.Query{Bucket: b.id[:], Op: &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{}}})
		if err != nil {
			return err
		}
		shares[group-1] = a.GetUsage()
		return nil
	})
	return shares, err
}

func (e *Engine) grant(ctx context.Context, b bucketRecord, group uint32, g *metapb.GrantQuota) (*metapb.Result, error) {
	return e.cfg.Metadata.Apply(ctx, group, &metapb.Command{NowMs: e.cfg.Now().UnixMilli(), Bucket: b.id[:], Op: &metapb.Command_GrantQuota{GrantQuota: g}})
}

// A bucket's quota is dealt out to the groups: each lets the bucket grow by its share and no further, whatever the
// others do, so that the sum is never above the quota. A group that has too little for a request gets more of what the
// others do not use. What a front had taken from one group and not yet given to another when it died is lost to the
// bucket until its quota is set again; that errs on the side of the quota.

// SetQuota limits the bytes of a bucket's versions; 0 lifts the limit. A bucket that has more keeps it and takes no more.
func (e *Engine) SetQuota(ctx context.Context, bucket string, bytes int64) error {
	if bytes < 0 || bytes > MaxQuota {
		return kind.New(kind.InvalidArgument, "a quota is between 0 (none) and %d bytes", MaxQuota)
	}
	b, err := e.lookup(ctx, bucket)
	if err != nil {
		return err
	}
	document := []byte(nil)
	if bytes > 0 {
		document = strconv.AppendInt(nil, bytes, 10)
	}
	info, err := e.UpdateBucket(ctx, bucket, BucketChange{Documents: map[string][]byte{quotaDocument: document}})
	if err != nil {
		return err
	}
	if bytes == 0 {
		return e.onEveryGroup(ctx, func(ctx context.Context, group uint32) error {
			_, err := e.grant(ctx, b, group, &metapb.GrantQuota{QuotaRevision: info.Revision, Unlimited: true})
			return err
		})
	}
	granted, err := e.startQuota(ctx, b, info.Revision)
	if err != nil || granted >= uint64(bytes) {
		return err
	}
	free, groups := uint64(bytes)-granted, uint64(e.cfg.Metadata.Groups())
	return e.onEveryGroup(ctx, func(ctx context.Context, group uint32) error {
		share := free / groups
		if group == 1 {
			share += free % groups
		}
		_, err := e.grant(ctx, b, group, &metapb.GrantQuota{QuotaRevision: info.Revision, AddBytes: share})
		return err
	})
}

// startQuota gives every group a share of what the bucket has there now, and returns the sum.
func (e *Engine) startQuota(ctx context.Context, b bucketRecord, revision uint64) (granted uint64, err error) {
	var mu sync.Mutex
	err = e.onEveryGroup(ctx, func(ctx context.Context, group uint32) error {
		res, err := e.grant(ctx, b, group, &metapb.GrantQuota{QuotaRevision: revision, Start: true})
		if err != nil {
			return err
		}
		mu.Lock()
		granted += res.GetUsage().GetGrantedBytes()
		mu.Unlock()
		return nil
	})
	return granted, err
}

// makeRoom moves shares of a bucket's quota to a key's group, so that it has room for bytes. kind.QuotaExceeded if all
// groups together have not.
func (e *Engine) makeRoom(ctx context.Context, t target, bytes uint64) error {
	b, err := e.lookup(ctx, t.name)
	if err != nil {
		return err
	}
	if b.id != t.bucket {
		return kind.New(kind.NoSuchBucket, "The specified bucket does not exist")
	}
	// One at a time for all buckets: it is rare, and requests that wait here often find room made by the one before.
	e.quota.Lock()
	defer e.quota.Unlock()
	shares, err := e.shares(ctx, b)
	if err != nil {
		return err
	}
	revision, spare := uint64(0), uint64(0)
	for _, u := range shares {
		revision, spare = max(revision, u.QuotaRevision), spare+spareOf(u)
	}
	has := spareOf(shares[t.group-1])
	switch {
	case has >= bytes:
		return nil
	case spare < bytes:
		return errQuotaExceeded()
	}
	taken, err := e.collect(ctx, b, t.group, shares, revision, bytes-has)
	if taken > 0 {
		if _, giveErr := e.grant(context.WithoutCancel(ctx), b, t.group, &metapb.GrantQuota{QuotaRevision: revision, AddBytes: taken}); giveErr != nil {
			return giveErr
		}
	}
	return err
}

// collect takes at least need bytes from the other groups, those with most to spare first; half of what each has, if
// that is more, so that the next request finds some too.
func (e *Engine) collect(ctx context.Context, b bucketRecord, except uint32, shares []*metapb.Usage, revision, need uint64) (taken uint64, err error) {
	order := make([]int, len(shares))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(spareOf(shares[y]), spareOf(shares[x])) })
	for _, i := range order {
		group := meta.SystemGroup + 1 + uint32(i)
		spare := spareOf(shares[i])
		if group == except || spare == 0 {
			continue
		}
		if taken >= need {
			break
		}
		res, err := e.grant(ctx, b, group, &metapb.GrantQuota{QuotaRevision: revision, TakeBytes: min(max(need-taken, spare/2), spare)})
		if err != nil {
			return taken, err
		}
		taken += res.GetTakenBytes()
	}
	return taken, nil
}

// spareOf is what a group may still let a bucket grow by.
func spareOf(u *metapb.Usage) uint64 {
	if !u.GetLimited() || u.GrantedBytes < u.Bytes {
		return 0
	}
	return u.GrantedBytes - u.Bytes
}

func errQuotaExceeded() error {
	return kind.New(kind.QuotaExceeded, "The bucket's quota does not allow this request.")
}

// growth is what a command adds to its bucket, in bytes.
func growth(cmd *metapb.Command) uint64 {
	switch op := cmd.Op.(type) {
	case *metapb.Command_PutVersion:
		return op.PutVersion.GetManifest().GetSize()
	case *metapb.Command_CompleteUpload:
		return uint64(max(op.CompleteUpload.GetExpectSize()-1, 0))
	}
	return 0
}
