package upkeep

import (
	"context"

	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// Metadata is what is needed of the metadata groups.
type Metadata interface {
	Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error)
	Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error)
	Groups() uint32
}

// PageSize is how many records are asked for at once.
const PageSize = 256

// Scan asks for a page of at most PageSize data records after one.
type Scan func(after []byte) *metapb.Query

// ScanData walks the data records of a group; with a drive only those that name it.
func ScanData(onDrive id.Drive) Scan {
	var on []byte
	if !onDrive.IsZero() {
		on = onDrive[:]
	}
	return func(after []byte) *metapb.Query {
		return &metapb.Query{Op: &metapb.Query_ScanData{ScanData: &metapb.ScanData{After: after, Limit: PageSize, OnDrive: on}}}
	}
}

// ScanGarbage walks the data that nothing uses any more.
func ScanGarbage(after []byte) *metapb.Query {
	return &metapb.Query{Op: &metapb.Query_ScanGarbage{ScanGarbage: &metapb.ScanGarbage{After: after, Limit: PageSize}}}
}

// ScanRepair walks the repair queue.
func ScanRepair(after []byte) *metapb.Query {
	return &metapb.Query{Op: &metapb.Query_ScanRepair{ScanRepair: &metapb.ScanRepair{After: after, Limit: PageSize}}}
}

// EachPage calls fn for all pages of a walk.
func EachPage(ctx context.Context, m Metadata, group uint32, scan Scan, fn func([]*metapb.DataRecord) error) error {
	var after []byte
	for {
		a, err := m.Ask(ctx, group, scan(after))
		if err != nil {
			return err
		}
		if len(a.Data) == 0 {
			return nil
		}
		if err := fn(a.Data); err != nil {
			return err
		}
		if !a.Truncated {
			return nil
		}
		after = a.Data[len(a.Data)-1].DataId
	}
}

// Each calls fn for all records of a walk and returns their number.
func Each(ctx context.Context, m Metadata, group uint32, scan Scan, fn func(*metapb.DataRecord) error) (n int64, err error) {
	err = EachPage(ctx, m, group, scan, func(page []*metapb.DataRecord) error {
		for _, d := range page {
			if err := fn(d); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// RefOf takes a reference from a data record.
func RefOf(d *metapb.DataRecord) (fanout.Ref, error) {
	data, err := id.FromBytes[id.Data](d.DataId)
	if err != nil {
		return fanout.Ref{}, kind.Wrap(kind.Damaged, err, "a data record")
	}
	return fanout.NewRef(data, d.Placement)
}

// Named reports whether any record of a group names a drive.
func Named(ctx context.Context, m Metadata, group uint32, d id.Drive) (bool, error) {
	a, err := m.Ask(ctx, group, &metapb.Query{Op: &metapb.Query_ScanData{ScanData: &metapb.ScanData{Limit: 1, OnDrive: d[:]}}})
	return len(a.GetData()) > 0, err
}

// Move gives shard Index of some data to the drive To.
type Move struct {
	Index int
	To    id.Drive
}

// Swap puts moves into the data record, if it still is as ref says: kind.Conflict if it is not,
// kind.NotFound if it is gone. Said again after it was done, it is done.
func Swap(ctx context.Context, m Metadata, nowMs int64, ref fanout.Ref, moves []Move) error {
	to := append([]id.Drive(nil), ref.Drives...)
	for _, mv := range moves {
		to[mv.Index] = mv.To
	}
	swaps := make([]*metapb.Swap, len(to))
	for i := range to { // also those that stay: they are what the swap depends on
		swaps[i] = &metapb.Swap{Index: uint32(i), From: bytesOf(&ref.Drives[i]), To: bytesOf(&to[i])}
	}
	cmd := &metapb.Command{NowMs: nowMs, Op: &metapb.Command_SwapDrives{SwapDrives: &metapb.SwapDrives{DataId: ref.Data[:], Swaps: swaps}}}
	_, err := m.Apply(ctx, ref.Data.Group(), cmd)
	return err
}

func bytesOf(d *id.Drive) []byte {
	if d.IsZero() {
		return nil
	}
	return d[:]
}
