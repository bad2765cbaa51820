package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

func dataKey(dataID []byte) []byte    { return tableKey(tableData, dataID) }
func garbageKey(dataID []byte) []byte { return tableKey(tableGarbage, dataID) }
func repairKey(dataID []byte) []byte  { return tableKey(tableRepair, dataID) }

func loadPlacement(r Reader, dataID []byte) (*metapb.Placement, error) {
	p := &metapb.Placement{}
	ok, err := load(r, dataKey(dataID), "data record", p)
	if err != nil || !ok {
		return nil, err
	}
	return p, nil
}

// checkNewData refuses data which this group cannot take as new: a wrong form, another group's,
// or an ID that is known already. The last is a command that was carried out before and whose
// effect was replaced since: its shards may be gone any moment.
func (a *applier) checkNewData(p *metapb.Part) error {
	if err := a.checkDataID(p.DataId); err != nil {
		return err
	}
	if err := checkPlacement(p.Placement); err != nil {
		return err
	}
	for _, key := range [][]byte{dataKey(p.DataId), garbageKey(p.DataId)} {
		known, err := has(a.s, key, "data record")
		if err != nil {
			return err
		}
		if known {
			return refuse(kind.Conflict, "this data is stored already, or was")
		}
	}
	return nil
}

// checkDataID asserts that a data ID names this group as its owner, because sweepers ask the
// group in the ID whether shards are still wanted.
func (a *applier) checkDataID(dataID []byte) error {
	if len(dataID) != id.Size || binary.BigEndian.Uint32(dataID) != a.group {
		return refuse(kind.InvalidArgument, "a data ID must have 16 bytes and begin with the number of its group")
	}
	return nil
}

func checkPlacement(p *metapb.Placement) error {
	l := p.GetLayout()
	bad := func(what string) error { return refuse(kind.InvalidArgument, "placement: %s", what) }
	switch {
	case l == nil:
		return bad("there is none")
	case l.K == 0 || l.K+l.M > maxShards || l.M > maxShards:
		return bad("scheme out of range")
	case l.BlockLen == 0 || l.BlockLen > maxBlockLen || l.Length == 0 || l.Length > maxLayoutLen:
		return bad("lengths out of range")
	case len(p.Drives) != int(l.K+l.M):
		return bad("not as many drives as shards")
	}
	placed := uint32(0)
	for _, d := range p.Drives {
		if len(d) != 0 && len(d) != id.Size {
			return bad("a drive ID has 16 bytes")
		}
		if !noDrive(d) {
			placed++
		}
	}
	if placed < l.K {
		return bad("fewer shards than data shards: it could not be read")
	}
	return nil
}

var zeroDrive [id.Size]byte

func noDrive(d []byte) bool { return len(d) == 0 || bytes.Equal(d, zeroDrive[:]) }

// addData stores the data record of a part with one reference, and queues its repair if a shard
// is missing: in the same command, so that nobody has to remember it.
func (a *applier) addData(dataID []byte, p *metapb.Placement) error {
	rec := &metapb.Placement{Layout: p.Layout, Drives: slices.Clone(p.Drives), Refs: 1}
	missing := false
	for i, d := range rec.Drives {
		if noDrive(d) {
			rec.Drives[i], missing = nil, true
		}
	}
	if err := save(a.s, dataKey(dataID), rec); err != nil {
		return err
	}
	if !missing {
		return nil
	}
	return a.s.Set(repairKey(dataID), markValue)
}

// addRef counts one more user of stored data.
func (a *applier) addRef(dataID []byte) error {
	p, err := loadPlacement(a.s, dataID)
	if err != nil {
		return err
	}
	if p == nil {
		return damaged(fmt.Sprintf("data record %x is missing", dataID), nil)
	}
	p.Refs++
	return save(a.s, dataKey(dataID), p)
}

// dropRef counts one user less. Without users the data becomes garbage and is not repaired.
func (a *applier) dropRef(dataID []byte) error {
	p, err := loadPlacement(a.s, dataID)
	if err != nil {
		return err
	}
	if p == nil || p.Refs == 0 {
		return damaged(fmt.Sprintf("data record %x is missing or has no references", dataID), nil)
	}
	p.Refs--
	if p.Refs > 0 {
		return save(a.s, dataKey(dataID), p)
	}
	if err := a.s.Delete(dataKey(dataID)); err != nil {
		return err
	}
	if err := save(a.s, garbageKey(dataID), &metapb.Garbage{Placement: p, SinceMs: a.cmd.NowMs}); err != nil {
		return err
	}
	queued, err := has(a.s, repairKey(dataID), "repair queue")
	if err != nil || !queued {
		return err
	}
	return a.s.Delete(repairKey(dataID))
}

// swapDrives changes where shards are, if they still are where the caller saw them: all swaps or
// none. A swap that was done before is done.
func (a *applier) swapDrives(c *metapb.SwapDrives) (*metapb.Result, error) {
	if err := a.checkDataID(c.DataId); err != nil {
		return nil, err
	}
	p, err := loadPlacement(a.s, c.DataId)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, refuse(kind.NotFound, "no such data")
	}
	if len(c.Swaps) > maxShards {
		return nil, refuse(kind.InvalidArgument, "more swaps than shards")
	}
	missing := false
	for _, w := range c.Swaps {
		switch {
		case int64(w.Index) >= int64(len(p.Drives)) || len(w.To) != 0 && len(w.To) != id.Size:
			return nil, refuse(kind.InvalidArgument, "a swap must name a shard and a drive")
		case !sameDrive(p.Drives[w.Index], w.From) && !sameDrive(p.Drives[w.Index], w.To):
			return nil, refuse(kind.Conflict, "shard %d has moved", w.Index)
		}
		p.Drives[w.Index] = w.To
		if noDrive(w.To) {
			p.Drives[w.Index], missing = nil, true
		}
	}
	if err := save(a.s, dataKey(c.DataId), p); err != nil {
		return nil, err
	}
	if missing {
		if err := a.s.Set(repairKey(c.DataId), markValue); err != nil {
			return nil, err
		}
	}
	return &metapb.Result{}, nil
}

func sameDrive(x, y []byte) bool { return noDrive(x) && noDrive(y) || bytes.Equal(x, y) }

func (a *applier) checkIDs(ids [][]byte) error {
	if len(ids) > maxIDs {
		return refuse(kind.InvalidArgument, "more than %d data IDs in one command", maxIDs)
	}
	for _, dataID := range ids {
		if err := a.checkDataID(dataID); err != nil {
			return err
		}
	}
	return nil
}

// ackGarbage forgets garbage whose shards are deleted. It also works off more of the backlog
// than other commands do, even if it names no data.
func (a *applier) ackGarbage(c *metapb.AckGarbage) (*metapb.Result, error) {
	if err := a.checkIDs(c.DataIds); err != nil {
		return nil, err
	}
	for _, dataID := range c.DataIds {
		if err := a.s.Delete(garbageKey(dataID)); err != nil {
			return nil, err
		}
	}
	for range ackBatches {
		more, err := a.workOff()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	return &metapb.Result{}, nil
}

// ackRepair takes data off the repair queue.
func (a *applier) ackRepair(c *metapb.AckRepair) (*metapb.Result, error) {
	if err := a.checkIDs(c.DataIds); err != nil {
		return nil, err
	}
	for _, dataID := range c.DataIds {
		if err := a.s.Delete(repairKey(dataID)); err != nil {
			return nil, err
		}
	}
	return &metapb.Result{}, nil
}

// queueRepair puts data on the repair queue, but for data which is not wanted any more.
func (a *applier) queueRepair(c *metapb.QueueRepair) (*metapb.Result, error) {
	if err := a.checkIDs(c.DataIds); err != nil {
		return nil, err
	}
	for _, dataID := range c.DataIds {
		wanted, err := has(a.s, dataKey(dataID), "data record")
		if err != nil {
			return nil, err
		}
		if !wanted {
			continue
		}
		if err := a.s.Set(repairKey(dataID), markValue); err != nil {
			return nil, err
		}
	}
	return &metapb.Result{}, nil
}
