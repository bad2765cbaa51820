package fsm

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// scan walks a table in order of keys behind after, until visit has taken limit records, and
// reports whether there are more that it would take. visit gets the key without the table.
func scan(r Reader, table byte, prefix, after []byte, limit uint32, visit func(key, value []byte, room bool) (took bool, err error)) (more bool, err error) {
	if limit == 0 {
		limit = defaultScan
	}
	limit = min(limit, maxPage)
	from := tableKey(table, prefix)
	if len(after) > 0 {
		if past := append(tableKey(table, after), 0); bytes.Compare(past, from) > 0 {
			from = past
		}
	}
	it := r.Iterate(tableKey(table, prefix))
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		value, err := it.Value()
		if err != nil {
			return false, fmt.Errorf("fsm: scan: %w", err)
		}
		took, err := visit(it.Key()[1:], value, limit > 0)
		if err != nil {
			return false, err
		}
		if !took {
			continue
		}
		if limit == 0 {
			return true, nil
		}
		limit--
	}
	return false, nil
}

// getData answers for each data ID in order; without a placement for data that no version and no
// upload of this group uses.
func getData(r Reader, q *metapb.GetData) (*metapb.Answer, error) {
	if len(q.DataIds) > maxIDs {
		return nil, refuse(kind.InvalidArgument, "more than %d data IDs in one query", maxIDs)
	}
	a := &metapb.Answer{}
	for _, dataID := range q.DataIds {
		p, err := loadPlacement(r, dataID)
		if err != nil {
			return nil, err
		}
		a.Data = append(a.Data, &metapb.DataRecord{DataId: dataID, Placement: p})
	}
	return a, nil
}

// scanData walks the data records, all or those with a shard on a drive or with a missing shard.
// The filters look at every record: their cost follows the group, not the page.
func scanData(r Reader, q *metapb.ScanData) (*metapb.Answer, error) {
	a := &metapb.Answer{}
	var err error
	a.Truncated, err = scan(r, tableData, nil, q.After, q.Limit, func(key, value []byte, room bool) (bool, error) {
		// A cheap look first: a record without these bytes does not name the drive.
		if len(key) != id.Size {
			return false, damaged("key of a data record", nil)
		}
		if len(q.OnDrive) > 0 && !bytes.Contains(value, q.OnDrive) {
			return false, nil
		}
		p := &metapb.Placement{}
		if err := proto.Unmarshal(value, p); err != nil {
			return false, damaged("data record", err)
		}
		if len(q.OnDrive) > 0 && !slices.ContainsFunc(p.Drives, func(d []byte) bool { return bytes.Equal(d, q.OnDrive) }) {
			return false, nil
		}
		if q.AnyMissing && !slices.ContainsFunc(p.Drives, noDrive) {
			return false, nil
		}
		if room {
			a.Data = append(a.Data, &metapb.DataRecord{DataId: bytes.Clone(key), Placement: p})
		}
		return true, nil
	})
	return a, err
}

// scanGarbage walks the garbage.
func scanGarbage(r Reader, q *metapb.ScanGarbage) (*metapb.Answer, error) {
	a := &metapb.Answer{}
	var err error
	a.Truncated, err = scan(r, tableGarbage, nil, q.After, q.Limit, func(key, value []byte, room bool) (bool, error) {
		if !room {
			return true, nil
		}
		g := &metapb.Garbage{}
		if err := proto.Unmarshal(value, g); err != nil || len(key) != id.Size {
			return false, damaged("garbage", err)
		}
		a.Data = append(a.Data, &metapb.DataRecord{DataId: bytes.Clone(key), Placement: g.Placement, SinceMs: g.SinceMs})
		return true, nil
	})
	return a, err
}

// scanRepair walks the repair queue.
func scanRepair(r Reader, q *metapb.ScanRepair) (*metapb.Answer, error) {
	a := &metapb.Answer{}
	var err error
	a.Truncated, err = scan(r, tableRepair, nil, q.After, q.Limit, func(key, _ []byte, room bool) (bool, error) {
		if len(key) != id.Size {
			return false, damaged("key of the repair queue", nil)
		}
		if room {
			a.Data = append(a.Data, &metapb.DataRecord{DataId: bytes.Clone(key)})
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range a.Data {
		if d.Placement, err = loadPlacement(r, d.DataId); err != nil {
			return nil, err
		}
		if d.Placement == nil {
			return nil, damaged(fmt.Sprintf("data record %x is missing but queued for repair", d.DataId), nil)
		}
	}
	return a, nil
}

func listBuckets(r Reader, q *metapb.ListBuckets) (*metapb.Answer, error) {
	a := &metapb.Answer{}
	var err error
	a.Truncated, err = scan(r, tableBucket, []byte(q.Prefix), []byte(q.After), q.Limit, func(_, value []byte, room bool) (bool, error) {
		if !room {
			return true, nil
		}
		b := &metapb.Bucket{}
		if err := proto.Unmarshal(value, b); err != nil {
			return false, damaged("bucket", err)
		}
		b.Documents = nil // a page of buckets is one message
		a.Buckets = append(a.Buckets, b)
		return true, nil
	})
	return a, err
}
