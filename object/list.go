package object

import (
	"context"
	"math"

	"holdfast/internal/id"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// List returns a page of keys and common prefixes in order.
func (e *Engine) List(ctx context.Context, r ListRequest) (ListPage, error) {
	b, err := e.lookup(ctx, r.Bucket)
	if err != nil {
		return ListPage{}, err
	}
	entries, more, err := e.merge(ctx, r.Limit, func(ctx context.Context, group uint32, last *metapb.Entry, limit int) (*metapb.Answer, error) {
		q := &metapb.ListObjects{Prefix: r.Prefix, Delimiter: r.Delimiter, After: r.After, AfterPrefix: r.AfterPrefix, Limit: uint32(limit)}
		if last != nil {
			q.After, q.AfterPrefix = last.Key, last.CommonPrefix
		}
		return e.cfg.Metadata.Ask(ctx, group, &metapb.Query{Bucket: b.id[:], Op: &metapb.Query_ListObjects{ListObjects: q}})
	})
	if err != nil {
		return ListPage{}, err
	}
	page := ListPage{More: more, Entries: make([]ListEntry, len(entries))}
	for i, en := range entries {
		page.Entries[i] = listEntry(en)
	}
	return page, nil
}

func listEntry(en *metapb.Entry) ListEntry {
	l := ListEntry{Key: en.Key, CommonPrefix: en.CommonPrefix}
	if c := en.Current; c != nil {
		l.Size, l.ETag, l.Modified, l.StorageClass = int64(c.Size), c.Etag, modified(c.ModifiedMs), c.StorageClass
		l.ChecksumAlgorithm, l.ChecksumType, l.Owner = c.ChecksumAlgorithm, c.ChecksumType, c.Owner
	}
	return l
}

// ListUploads returns a page of unfinished uploads and common prefixes, by key, then upload ID.
func (e *Engine) ListUploads(ctx context.Context, r ListUploadsRequest) (UploadsPage, error) {
	b, err := e.lookup(ctx, r.Bucket)
	if err != nil {
		return UploadsPage{}, err
	}
	var uploadAfter []byte
	if up, err := id.Parse[id.Upload](r.UploadAfter); err == nil {
		uploadAfter = up[:]
	}
	entries, more, err := e.merge(ctx, r.Limit, func(ctx context.Context, group uint32, last *metapb.Entry, limit int) (*metapb.Answer, error) {
		q := &metapb.ListUploads{Prefix: r.Prefix, Delimiter: r.Delimiter, KeyAfter: r.KeyAfter, UploadAfter: uploadAfter,
			AfterPrefix: r.AfterPrefix, Limit: uint32(limit)}
		if last != nil {
			q.KeyAfter, q.AfterPrefix, q.UploadAfter = last.Key, last.CommonPrefix, last.Upload.GetUploadId()
		}
		return e.cfg.Metadata.Ask(ctx, group, &metapb.Query{Bucket: b.id[:], Op: &metapb.Query_ListUploads{ListUploads: q}})
	})
	if err != nil {
		return UploadsPage{}, err
	}
	page := UploadsPage{More: more, Entries: make([]UploadEntry, len(entries))}
	for i, en := range entries {
		u := en.Upload
		if u == nil {
			u = &metapb.Upload{}
		}
		page.Entries[i] = UploadEntry{UploadInfo: uploadInfo(r.Bucket, en.Key, u), CommonPrefix: en.CommonPrefix}
	}
	return page, nil
}

// asker fetches up to limit entries of one group, after its last entry.
type asker func(ctx context.Context, group uint32, last *metapb.Entry, limit int) (*metapb.Answer, error)

// cursor is what is known of one group's entries.
type cursor struct {
	group   uint32
	entries []*metapb.Entry
	last    *metapb.Entry // of what was fetched
	more    bool          // the group has entries after last
}

// merge makes a page of at most limit entries from all groups. Each group is asked for its
// share of the page and some more; keys spread evenly, so a second question is rare.
func (e *Engine) merge(ctx context.Context, limit int, ask asker) ([]*metapb.Entry, bool, error) {
	if limit <= 0 {
		return nil, false, nil
	}
	groups := int(e.cfg.Metadata.Groups())
	share := limit/groups + 3*int(math.Sqrt(float64(limit)/float64(groups))) + 1
	share = min(share, limit+1)
	cursors := make([]*cursor, groups)
	for i := range cursors {
		cursors[i] = &cursor{group: meta.SystemGroup + 1 + uint32(i), more: true}
	}
	err := e.onEveryGroup(ctx, func(ctx context.Context, group uint32) error {
		return cursors[group-1].fill(ctx, ask, share)
	})
	if err != nil {
		return nil, false, err
	}
	page := make([]*metapb.Entry, 0, limit)
	for {
		next, err := smallest(ctx, cursors, ask, share)
		if err != nil || next == nil {
			return page, false, err
		}
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, next)
		for _, c := range cursors { // a common prefix may stand in several groups
			if len(c.entries) > 0 && c.entries[0].Key == next.Key && (c.entries[0] == next || next.CommonPrefix) {
				c.entries = c.entries[1:]
			}
		}
	}
}

// smallest is the first entry of all cursors; a cursor that ran dry is filled first.
func smallest(ctx context.Context, cursors []*cursor, ask asker, share int) (*metapb.Entry, error) {
	var best *metapb.Entry
	for _, c := range cursors {
		if len(c.entries) == 0 && c.more {
			if err := c.fill(ctx, ask, share); err != nil {
				return nil, err
			}
		}
		if len(c.entries) > 0 && (best == nil || before(c.entries[0], best)) {
			best = c.entries[0]
		}
	}
	return best, nil
}

func before(a, b *metapb.Entry) bool {
	if a.Key != b.Key {
		return a.Key < b.Key
	}
	if s, t := a.Current.GetSequence(), b.Current.GetSequence(); s != t {
		return s > t // versions of a key: newest first
	}
	return string(a.Upload.GetUploadId()) < string(b.Upload.GetUploadId())
}

func (c *cursor) fill(ctx context.Context, ask asker, limit int) error {
	a, err := ask(ctx, c.group, c.last, limit)
	if err != nil {
		return err
	}
	c.entries, c.more = a.Entries, a.Truncated
	if len(a.Entries) > 0 {
		c.last = a.Entries[len(a.Entries)-1]
	} else {
		c.more = false
	}
	return nil
}
