package drive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"holdfast/node/drive/index"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

const (
	// liveAtMost is the share of a sealed segment that may be live when it is collected, in
	// percent: what is rewritten at worst for each byte that is won.
	liveAtMost = 50
	// liveAtMostTight is the same when the file system is near its reserve.
	liveAtMostTight = 90
	// tightReserves is how many reserves of free space count as near.
	tightReserves = 2
	// copyAhead bounds the bytes of copies on their way into the log.
	copyAhead = 4 << 20
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

// tables follows up to which position of the shard log Badger's tables hold the index.
type tables struct {
	pos     log.Pos // they do
	bytes   int64   // of the log, up to there
	next    log.Pos // they will when they hold version
	ahead   int64   // bytes of the log up to next
	version uint64
}

func (t *tables) held(d *Drive) log.Pos {
	if t.version > 0 && d.Flushed() >= t.version {
		t.pos, t.bytes, t.version = t.next, t.ahead, 0
	}
	if t.version == 0 {
		t.next, t.ahead = d.index.Applied(), d.gc.written.Load()
		t.version = d.Version()
	}
	return t.pos
}

const (
	// maxReplay is about how much of the shard log may have to be replayed after a crash, in
	// bytes: at 500 MB/s a few seconds.
	maxReplay = 1 << 30
	// replayStep is how often, in bytes of the log, the collector looks at that.
	replayStep = 128 << 20
	// fillerBytes is the size of the values that push the memtable out.
	fillerBytes = 512 << 10
)

// wrote counts the bytes of the records that the index applied.
func (c *collector) wrote(n int64) {
	if now := c.written.Add(n); now/replayStep != (now-n)/replayStep {
		c.wake()
	}
}

// shortenReplay sees to it that the index does not live in a memtable for too long. Badger flushes
// one when it is full, and the entries of many gigabytes of shards fit into one; so it is filled.
func (d *Drive) shortenReplay() error {
	if err := d.Failed(); err != nil {
		return nil
	}
	t := &d.gc.tables
	t.held(d)
	if d.gc.written.Load()-t.bytes < maxReplay {
		return nil
	}
	filler := make([]byte, fillerBytes)
	for range memTableBytes/fillerBytes + 1 {
		err := d.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(fillerKey), filler) })
		if err != nil {
			return fmt.Errorf("drive: fill memtable: %w", err)
		}
	}
	return nil
}

// mover copies the live records of a segment.
type mover struct {
	d             *Drive
	ctx           context.Context
	keepDeletions bool

	mu    sync.Mutex
	room  sync.Cond
	bytes int64 // on their way
	err   error
}

// record looks at one record of the segment.
func (m *mover) record(p log.Pos, recordKind uint8, payload []byte) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	op, err := decodeRecord(p, recordKind, payload)
	if errors.Is(err, shard.ErrDamaged) {
		return nil
	}
	if err != nil {
		return err
	}
	if op.Kind == index.Delete {
		return m.deletions(op.Deleted)
	}
	e, ok, err := m.d.index.Get(op.Shard.Shard)
	if err != nil || !ok || e.Place != p {
		return err
	}
	b := m.d.buffers.get(len(payload))
	copy(*b, payload)
	h := op.Shard
	h.Origin = e.Origin
	h.Encode(*b)
	return m.append(kindShard, *b, func(o *index.Op) { o.Kind, o.Shard = index.Copy, h }, func() { m.d.buffers.put(b) })
}

func (m *mover) deletions(list []index.Deletion) error {
	if !m.keepDeletions {
		return nil
	}
	return m.append(kindDelete, encodeDeletions(list), func(o *index.Op) { o.Kind, o.Deleted = index.Delete, list }, func() {})
}

// append hands a record to the log, once there is room.
func (m *mover) append(recordKind uint8, payload []byte, fill func(*index.Op), free func()) error {
	size := log.RecordSize(len(payload))
	m.mu.Lock()
	for m.bytes > 0 && m.bytes+size > copyAhead {
		m.room.Wait()
	}
	m.bytes += size
	err := m.err
	m.mu.Unlock()
	if err != nil {
		free()
		m.landed(size, nil)
		return err
	}
	if err := m.d.index.Admit(m.ctx); err != nil {
		free()
		m.landed(size, nil)
		return err
	}
	m.d.shard.Append(recordKind, [][]byte{payload}, func(p log.Pos, err error) {
		if err == nil {
			op := index.Op{Pos: p, Bytes: size}
			fill(&op)
			m.d.index.Submit(op)
		}
		free()
		m.landed(size, err)
	})
	return nil
}

// landed takes a copy off the count.
func (m *mover) landed(size int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes -= size
	if m.err == nil {
		m.err = err
	}
	m.room.Broadcast()
}

// wait returns when all copies are in the log.
func (m *mover) wait() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.bytes > 0 {
		m.room.Wait()
	}
	return m.err
}
