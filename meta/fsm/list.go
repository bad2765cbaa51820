package fsm

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// pager walks the S3 keys of a bucket in a table and folds those that share a delimiter after the
// prefix into one common prefix. Its cost follows the page: what lies under a common prefix is
// skipped by a seek.
type pager struct {
	it        Iterator
	base      int // bytes before the S3 key in a key of the store
	prefix    string
	delimiter []byte
	limit     int
	entries   []*metapb.Entry
	truncated bool
}

func newPager(r Reader, table byte, bucket []byte, prefix, delimiter string, limit uint32) (*pager, error) {
	if len(prefix) > maxKeyLen || len(delimiter) > maxKeyLen {
		return nil, refuse(kind.InvalidArgument, "prefix or delimiter longer than a key")
	}
	p := &pager{base: bucketTableLen, prefix: prefix, delimiter: []byte(delimiter), limit: int(min(limit, maxPage))}
	p.it = r.Iterate(appendEscaped(tableKey(table, bucket), prefix))
	return p, nil
}

// start is where a page after an entry begins: behind the key and its tail in the store (all
// tails if nil), or behind all keys that begin with it. nil means that nothing can follow.
func start(table byte, bucket []byte, prefix, after string, afterPrefix bool, tail []byte) []byte {
	first := appendEscaped(tableKey(table, bucket), prefix)
	b := tableKey(table, bucket)
	switch {
	case after == "":
		return first
	case afterPrefix:
		b = successor(appendEscaped(b, after))
	case tail != nil:
		b = append(append(append(appendEscaped(b, after), 0, endByte), tail...), 0)
	default:
		b = append(appendEscaped(b, after), 0, endByte+1)
	}
	if b != nil && bytes.Compare(b, first) < 0 {
		return first
	}
	return b
}

// full reports, before an entry is added, that there is no room for it.
func (p *pager) full() bool {
	p.truncated = len(p.entries) >= p.limit
	return p.truncated
}

// fold adds the common prefix that the key belongs to, if there is one, and moves behind it.
func (p *pager) fold(key []byte) (folded bool) {
	if len(p.delimiter) == 0 {
		return false
	}
	i := bytes.Index(key[len(p.prefix):], p.delimiter)
	if i < 0 {
		return false
	}
	common := string(key[:len(p.prefix)+i+len(p.delimiter)])
	p.entries = append(p.entries, &metapb.Entry{Key: common, CommonPrefix: true})
	next := successor(appendEscaped(bytes.Clone(p.it.Key()[:p.base]), common))
	p.it.Seek(next)
	return true
}

func (p *pager) answer() *metapb.Answer {
	return &metapb.Answer{Entries: p.entries, Truncated: p.truncated}
}

// key is the S3 key under the iterator and what follows it.
func (p *pager) key() (key, rest []byte, err error) {
	k := p.it.Key()
	if len(k) >= p.base {
		if key, rest, ok := splitKey(k[p.base:]); ok && len(key) >= len(p.prefix) {
			return key, rest, nil
		}
	}
	return nil, nil, damaged("key of an object", nil)
}

// listObjects lists keys whose current version is not a delete marker.
func listObjects(r Reader, bucket []byte, q *metapb.ListObjects) (*metapb.Answer, error) {
	from := start(tableCurrent, bucket, q.Prefix, q.After, q.AfterPrefix, nil)
	if from == nil || q.Limit == 0 {
		return &metapb.Answer{}, nil
	}
	p, err := newPager(r, tableCurrent, bucket, q.Prefix, q.Delimiter, q.Limit)
	if err != nil {
		return nil, err
	}
	defer p.it.Close()
	var room []listed
	for p.it.Seek(from); p.it.Valid(); {
		key, _, err := p.key()
		if err != nil {
			return nil, err
		}
		if len(room) == 0 {
			room = make([]listed, min(p.limit-len(p.entries), listSlab)+1)
		}
		e := &room[0]
		b, err := p.it.Value()
		if err != nil {
			return nil, fmt.Errorf("fsm: read current version: %w", err)
		}
		if err := decodeCurrent(b, &e.current); err != nil {
			return nil, err
		}
		if e.current.DeleteMarker {
			e.current.Reset()
			p.it.Next()
			continue
		}
		if p.full() {
			break
		}
		if p.fold(key) {
			e.current.Reset()
			continue
		}
		e.entry.Key, e.entry.Current = string(key), &e.current
		p.entries = append(p.entries, &e.entry)
		room = room[1:]
		p.it.Next()
	}
	return p.answer(), nil
}

// listed is an entry with its record; they are made listSlab at a time.
type listed struct {
	entry   metapb.Entry
	current metapb.Current
}

const listSlab = 128

// listUploads lists unfinished uploads by key, then by upload ID.
func listUploads(r Reader, bucket []byte, q *metapb.ListUploads) (*metapb.Answer, error) {
	var tail []byte
	if len(q.UploadAfter) > 0 {
		tail = q.UploadAfter
	}
	from := start(tableUpload, bucket, q.Prefix, q.KeyAfter, q.AfterPrefix, tail)
	if from == nil || q.Limit == 0 {
		return &metapb.Answer{}, nil
	}
	p, err := newPager(r, tableUpload, bucket, q.Prefix, q.Delimiter, q.Limit)
	if err != nil {
		return nil, err
	}
	defer p.it.Close()
	for p.it.Seek(from); p.it.Valid(); {
		key, rest, err := p.key()
		if err != nil {
			return nil, err
		}
		if len(rest) != id.Size {
			return nil, damaged("key of an upload", nil)
		}
		if p.full() {
			break
		}
		if p.fold(key) {
			continue
		}
		b, err := p.it.Value()
		if err != nil {
			return nil, fmt.Errorf("fsm: read upload: %w", err)
		}
		u := &metapb.Upload{}
		if err := proto.Unmarshal(b, u); err != nil {
			return nil, damaged("upload", err)
		}
		p.entries = append(p.entries, &metapb.Entry{Key: string(key), Upload: u})
		p.it.Next()
	}
	return p.answer(), nil
}
