package fsm

import (
	"encoding/binary"
	"fmt"
	"strings"

	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// listVersions lists versions and delete markers by key, newest first: the order of their records.
func listVersions(r Reader, bucket []byte, q *metapb.ListVersions) (*metapb.Answer, error) {
	if q.SequenceAfter > 0 && (q.KeyAfter == "" || q.AfterPrefix) {
		return nil, refuse(kind.InvalidArgument, "a place among the versions of a key needs the key")
	}
	var tail []byte
	if q.SequenceAfter > 0 {
		tail = binary.BigEndian.AppendUint64(nil, ^q.SequenceAfter)
	}
	from := start(tableVersion, bucket, q.Prefix, q.KeyAfter, q.AfterPrefix, tail)
	if from == nil || q.Limit == 0 {
		return &metapb.Answer{}, nil
	}
	p, err := newPager(r, tableVersion, bucket, q.Prefix, q.Delimiter, q.Limit)
	if err != nil {
		return nil, err
	}
	defer p.it.Close()
	// The first version of a key that the walk meets is its newest, unless the walk began among its versions.
	last, known := q.KeyAfter, q.SequenceAfter > 0
	for p.it.Seek(from); p.it.Valid(); {
		key, rest, err := p.key()
		if err != nil {
			return nil, err
		}
		if len(rest) != sequenceLen {
			return nil, damaged("key of a manifest", nil)
		}
		if p.full() {
			break
		}
		if p.fold(key) {
			continue
		}
		e, err := versionEntry(p.it, q.Details)
		if err != nil {
			return nil, err
		}
		latest := !known || string(key) != last
		if latest {
			last, known = strings.Clone(string(key)), true
		}
		e.Key, e.Latest = last, latest
		p.entries = append(p.entries, e)
		p.it.Next()
	}
	return p.answer(), nil
}

func versionEntry(it Iterator, details bool) (*metapb.Entry, error) {
	b, err := it.Value()
	if err != nil {
		return nil, fmt.Errorf("fsm: read manifest: %w", err)
	}
	m := &metapb.Manifest{}
	if err := decodeManifest(b, m); err != nil {
		return nil, damaged("manifest", err)
	}
	e := &metapb.Entry{Current: currentOf(m, false)}
	if details {
		e.Details = &metapb.Manifest{Tags: m.Tags, Retention: m.Retention, LegalHold: m.LegalHold}
	}
	return e, nil
}
