package census

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/proto/metapb"
)

const pageLen = 1000

type shardKey = node.Shard

// countShards reads the shards of every data record.
func (c *census) countShards(ctx context.Context) error {
	if err := c.plan(); err != nil {
		return err
	}
	records := make(chan *metapb.DataRecord)
	var wg sync.WaitGroup
	for range max(2, runtime.NumCPU()) {
		wg.Go(func() {
			for r := range records {
				c.countRecord(ctx, r)
			}
		})
	}
	err := c.eachRecord(ctx, func(r *metapb.DataRecord) { records <- r })
	close(records)
	wg.Wait()
	return err
}

// plan finds out how even a spread the nodes allow.
func (c *census) plan() error {
	scheme := erasure.Scheme{K: int(c.layout.GetCluster().GetK()), M: int(c.layout.GetCluster().GetM())}
	if err := scheme.Validate(); err != nil {
		return fmt.Errorf("census: the cluster's scheme: %w", err)
	}
	c.report.Scheme = scheme
	c.report.nodeOf, c.report.states = map[id.Drive]string{}, map[id.Drive]metapb.Drive_State{}
	active := map[string]bool{}
	for _, d := range c.layout.GetDrives() {
		drive, err := id.FromBytes[id.Drive](d.Id)
		if err != nil {
			return fmt.Errorf("census: the layout: %w", err)
		}
		node := string(d.Node)
		c.report.nodeOf[drive], c.report.states[drive] = node, d.State
		if d.State == metapb.Drive_ACTIVE {
			c.report.ActiveDrives++
			active[node] = true
		}
	}
	c.report.ActiveNodes = len(active)
	if len(active) > 0 {
		c.report.perNode = (scheme.Shards() + len(active) - 1) / len(active)
	}
	return nil
}

// eachRecord walks the data records of all groups. Garbage is noted on the way: it may lie where it does.
func (c *census) eachRecord(ctx context.Context, visit func(*metapb.DataRecord)) error {
	for group := uint32(1); group <= c.meta.Groups(); group++ {
		err := c.pages(ctx, group, func(after []byte) *metapb.Query {
			return &metapb.Query{Op: &metapb.Query_ScanData{ScanData: &metapb.ScanData{After: after, Limit: pageLen}}}
		}, visit)
		if err != nil {
			return err
		}
		err = c.pages(ctx, group, func(after []byte) *metapb.Query {
			return &metapb.Query{Op: &metapb.Query_ScanGarbage{ScanGarbage: &metapb.ScanGarbage{After: after, Limit: pageLen}}}
		}, c.noteGarbage)
		if err != nil {
			return err
		}
		err = c.pages(ctx, group, func(after []byte) *metapb.Query {
			return &metapb.Query{Op: &metapb.Query_ScanRepair{ScanRepair: &metapb.ScanRepair{After: after, Limit: pageLen}}}
		}, func(*metapb.DataRecord) { c.report.Queued++ })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *census) pages(ctx context.Context, group uint32, query func(after []byte) *metapb.Query, visit func(*metapb.DataRecord)) error {
	for after := []byte(nil); ; {
		a, err := c.meta.Ask(ctx, group, query(after))
		if err != nil {
			return fmt.Errorf("census: read the records of group %d: %w", group, err)
		}
		for _, r := range a.Data {
			visit(r)
			after = bytes.Clone(r.DataId)
		}
		if !a.Truncated {
			return nil
		}
	}
}

// noteGarbage counts data that is to be deleted.
func (c *census) noteGarbage(r *metapb.DataRecord) {
	c.report.Garbage++
	data, err := id.FromBytes[id.Data](r.DataId)
	if err != nil {
		c.report.find("records", "garbage %x: %v", r.DataId, err)
		return
	}
	for i, b := range r.Placement.GetDrives() {
		if d, err := id.FromBytes[id.Drive](b); err == nil {
			c.name(d, shardKey{Data: data, Index: uint8(i)})
		}
	}
}

func (c *census) name(d id.Drive, s shardKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.named[d] == nil {
		c.named[d] = map[shardKey]bool{}
	}
	c.named[d][s] = true
}

// countRecord looks at all k+m shards of a data ID: each on a drive of its own, spread over the
// nodes, there and whole.
func (c *census) countRecord(ctx context.Context, r *metapb.DataRecord) {
	data, err := id.FromBytes[id.Data](r.DataId)
	layout, errLayout := erasure.FromProto(r.Placement.GetLayout())
	if err := errors.Join(err, errLayout); err != nil {
		c.report.find("records", "%x: %v", r.DataId, err)
		return
	}
	whole, used, nodes := 0, map[id.Drive]bool{}, map[string]int{}
	for i, b := range r.Placement.GetDrives() {
		if len(b) == 0 {
			c.report.find("shards", "%s.%d has not been written", data, i)
			continue
		}
		d, err := id.FromBytes[id.Drive](b)
		if err != nil || used[d] {
			c.report.find("records", "%s.%d: drive %x is named twice, or is none", data, i, b)
			continue
		}
		used[d] = true
		nodes[c.report.nodeOf[d]]++
		s := shardKey{Data: data, Index: uint8(i)}
		c.name(d, s)
		if n, err := c.look(ctx, layout, s, d); err != nil {
			c.report.find("shards", "%s on drive %s: %v", s, d, err)
		} else {
			whole++
			c.report.add(1, n)
		}
	}
	if whole < layout.K {
		c.report.find("LOST", "%s has %d of the %d shards that are needed", data, whole, layout.K)
	}
	c.report.record(layout.K+layout.M-whole, nodes, layout.M)
}

// look verifies one shard, and that its drive is one that is to keep it.
func (c *census) look(ctx context.Context, layout erasure.Layout, s shardKey, d id.Drive) (bytes int64, err error) {
	open, here := c.drives[d]
	switch state, known := c.report.states[d]; {
	case !here:
		return 0, errors.New("the drive is not among those that were opened")
	case !known:
		return 0, errors.New("the drive is not in the layout")
	case state != metapb.Drive_ACTIVE:
		return 0, fmt.Errorf("the drive is %s", state)
	}
	spec, err := open.Stat(ctx, s)
	if err != nil {
		return 0, err
	}
	if want := layout.Spec(s.Data, int(s.Index)); spec != want {
		return 0, fmt.Errorf("it is %+v, the record says %+v", spec, want)
	}
	return int64(spec.Length), open.Verify(ctx, s)
}

// countStrays lists every drive, for shards that no record names.
func (c *census) countStrays(ctx context.Context) error {
	for d, open := range c.drives {
		for after := (node.Shard{}); ; {
			page, err := open.List(ctx, after, pageLen)
			if err != nil {
				return fmt.Errorf("census: list drive %s: %w", d, err)
			}
			for _, s := range page {
				if !c.named[d][s.Shard] {
					c.report.Strays++
				}
				after = s.Shard
			}
			if len(page) < pageLen {
				break
			}
		}
	}
	return nil
}
