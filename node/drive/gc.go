package drive

import (
	"context"
	"fmt"
	"sync/atomic"

	"holdfast/node/drive/index"
	"holdfast/node/drive/log"
)

const (
	// liveAtMost is the share of a sealed segment that may be live when it is collected, in
	// percent: what is rewritten at worst for each byte that is won.
	liveAtMost = 50
	// liveAtMostTight is the same when the file system is near its reserve.
	liveAtMostTight = 90
	// tightReserves is how many reserves of free space count as near.
	tightReserves = 2
)

// collector frees dead space of the shard log: it copies what is live of the emptiest sealed
// segment to the end of the log, and then drops the segment. It sleeps until something died.
type collector struct {
	d       *Drive
	tables  tables
	damaged map[uint64]int64 // segments that could not be emptied, and what was left
	kick    chan struct{}
	written atomic.Int64 // bytes of records that the index applied since Open
	cancel  context.CancelFunc
	stopped chan struct{}
}

// init comes before anything may call wake.
func (c *collector) init(d *Drive) {
	c.d = d
	c.damaged = make(map[uint64]int64)
	c.kick = make(chan struct{}, 1)
}

func (c *collector) start() {
	c.stopped = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.run(ctx)
	c.wake() // there may be dead space from before
}

func (c *collector) stop() {
	c.cancel()
	<-c.stopped
}

// wake tells the collector that something died.
func (c *collector) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *collector) run(ctx context.Context) {
	defer close(c.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		}
		if err := c.d.shortenReplay(); err != nil {
			c.d.log.Warn("pushing the index into Badger's tables failed", "error", c.d.answer(err))
		}
		for ctx.Err() == nil {
			again, err := c.d.collect(ctx)
			if err != nil && ctx.Err() == nil {
				c.d.log.Warn("garbage collection of the shard log failed", "error", c.d.answer(err))
			}
			if !again || err != nil {
				break
			}
		}
	}
}

// collect collects the emptiest segment that is worth it; false if there is none.
func (d *Drive) collect(ctx context.Context) (bool, error) {
	if err := d.Failed(); err != nil {
		return false, err
	}
	if err := d.index.Flush(); err != nil {
		return false, err
	}
	s, ok := d.emptiest()
	if !ok {
		return false, nil
	}
	return true, d.collectSegment(ctx, s)
}

// candidate is a sealed segment and what a collection would have to do.
type candidate struct {
	log.SegmentInfo
	figures       index.Figures
	keepDeletions bool
}

// needed is how many bytes would be written again.
func (c candidate) needed() int64 {
	if c.keepDeletions {
		return c.figures.Shards + c.figures.Deletions
	}
	return c.figures.Shards
}

// emptiest is the sealed segment of which the least is needed, if little enough.
func (d *Drive) emptiest() (best candidate, ok bool) {
	limit := int64(liveAtMost)
	if d.space.now().Free < tightReserves*d.space.reserve {
		limit = liveAtMostTight
	}
	figures := d.index.Figures()
	held := d.gc.tables.held(d)
	for i, s := range d.shard.Segments() {
		c := candidate{SegmentInfo: s, figures: figures[s.ID]}
		// A deletion is needed while a record that it deletes may be seen again: one in an
		// older segment, or any, by a replay that begins before it.
		c.keepDeletions = i > 0 || held.Segment <= s.ID
		if !s.Sealed || c.needed()*100 > s.Bytes*limit {
			continue
		}
		if left, tried := d.gc.damaged[s.ID]; tried && left == c.figures.Shards {
			continue
		}
		if !ok || c.needed() < best.needed() {
			best, ok = c, true
		}
	}
	return best, ok
}

// collectSegment copies what is needed of a segment and drops it.
func (d *Drive) collectSegment(ctx context.Context, c candidate) error {
	m := mover{d: d, ctx: ctx, keepDeletions: c.keepDeletions}
	m.room.L = &m.mu
	err := d.shard.Scan(c.ID, m.record)
	if werr := m.wait(); err == nil {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("drive: collect segment %d: %w", c.ID, err)
	}
	// The copies are durable, which is what counts; that the index knows them is for readers.
	if err := d.index.Flush(); err != nil {
		return err
	}
	if left := d.index.Figures()[c.ID].Shards; left > 0 {
		d.gc.damaged[c.ID] = left
		d.log.Warn("segment of the shard log is kept for records that are damaged", "segment", c.ID, "bytes", left)
		return nil
	}
	if err := d.shard.Remove(c.ID); err != nil {
		return err
	}
	delete(d.gc.damaged, c.ID)
	d.index.Retain(func(segment uint64) bool { return segment != c.ID })
	d.log.Debug("collected a segment of the shard log", "segment", c.ID, "bytes", c.Bytes, "copied", c.needed())
	return nil
}
