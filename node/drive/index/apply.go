package index

import (
	"context"
	"errors"
	"fmt"

	"holdfast/node"
	"holdfast/node/drive/kv"
	"holdfast/node/drive/log"
)

// ErrClosed: the index was closed.
var ErrClosed = errors.New("index: closed")

// replay is what applying needs to know while the log is replayed.
type replay struct {
	from    log.Pos // records up to here were applied before
	deleted map[node.Shard]log.Pos
}

// Replay takes the next record of the log during Open. Those applied before are skipped.
func (x *Index) Replay(op Op) error {
	if !x.replaying.from.Less(op.Pos) {
		return nil
	}
	x.pending = append(x.pending, op)
	if len(x.pending) < maxTxnOps {
		return nil
	}
	return x.drain()
}

// drain applies all that is pending, on the caller's goroutine.
func (x *Index) drain() error {
	for {
		batch, ok := x.nextBatch()
		if !ok {
			return nil
		}
		if err := x.apply(batch); err != nil {
			return err
		}
	}
}

// Submit takes the next record of the log. It is called in the order of the log.
func (x *Index) Submit(op Op) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch op.Kind {
	case Put:
		x.overlay[op.Shard.Shard] = overlaid{op.Pos, op.entry()}
	case Delete:
		for _, d := range op.Deleted {
			if d.At == op.Pos { // else it repeats one that was seen before
				x.overlay[d.Shard] = overlaid{op.Pos, nil}
			}
		}
	}
	x.pending = append(x.pending, op)
	switch {
	case len(x.pending) >= applyAt:
		x.wake()
	case !x.armed && x.timer != nil:
		x.armed = true
		x.timer.Reset(applyAfter)
	}
}

func (x *Index) wake() {
	select {
	case x.kick <- struct{}{}:
	default:
	}
}

// Admit waits while too much is pending. Call it before a record goes to the log.
func (x *Index) Admit(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.pending) > maxPending && x.failed == nil && !x.closed {
		stop := context.AfterFunc(ctx, func() { x.mu.Lock(); x.changed.Broadcast(); x.mu.Unlock() })
		x.changed.Wait()
		stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return x.failed
}

// Flush waits until all that was submitted is in Badger.
func (x *Index) Flush() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for (len(x.pending) > 0 || x.busy) && x.failed == nil && !x.closed {
		x.wake()
		x.changed.Wait()
	}
	return x.failed
}

// Close applies what is pending and ends the applier.
func (x *Index) Close() error {
	if !x.started {
		return nil
	}
	err := x.Flush()
	x.mu.Lock()
	x.closed = true
	x.changed.Broadcast()
	x.mu.Unlock()
	x.wake()
	<-x.done
	x.timer.Stop()
	return err
}

// run is the applier.
func (x *Index) run() {
	defer close(x.done)
	for range x.kick {
		x.mu.Lock()
		x.armed = false
		stop := x.closed || x.failed != nil
		x.mu.Unlock()
		if stop {
			return
		}
		if err := x.drain(); err != nil {
			x.fail(err)
			return
		}
	}
}

func (x *Index) fail(err error) {
	x.mu.Lock()
	x.failed = fmt.Errorf("index: stopped: %w", err)
	x.changed.Broadcast()
	x.mu.Unlock()
	if x.cfg.OnFailure != nil {
		x.cfg.OnFailure(err)
	}
}

// nextBatch takes the ops of the next transaction.
func (x *Index) nextBatch() ([]Op, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, keys := 0, 0
	for n < len(x.pending) && n < maxTxnOps && (n == 0 || keys+len(x.pending[n].Deleted) < maxTxnKeys) {
		keys += 1 + len(x.pending[n].Deleted)
		n++
	}
	if n == 0 {
		return nil, false
	}
	batch := x.pending[:n:n]
	x.pending = x.pending[n:]
	if len(x.pending) == 0 {
		x.pending = nil // so that the array is not kept for ever
	}
	x.busy = true
	return batch, true
}

// changes is what a transaction will have done to the index's own figures.
type changes struct {
	txn     *kv.Txn
	state   state
	figures map[uint64]Figures // differences
	gone    []uint64
	freed   []uint64
	stale   []Deletion
	bytes   int64 // of the records
	dead    bool
}

func (c *changes) count(segment uint64, d Figures) { c.figures[segment] = c.figures[segment].plus(d) }

func (x *Index) apply(batch []Op) error {
	txn := x.cfg.DB.Begin(true)
	defer txn.Discard()
	c := &changes{txn: txn, figures: make(map[uint64]Figures)}
	x.mu.Lock()
	c.state, c.gone, x.gone = x.state, x.gone, nil
	x.mu.Unlock()
	for i := range batch {
		c.bytes += batch[i].Bytes
		if err := x.applyOp(c, &batch[i]); err != nil {
			return err
		}
	}
	c.state.applied = batch[len(batch)-1].Pos
	if err := x.writeFigures(c); err != nil {
		return err
	}
	for _, n := range c.freed {
		if err := x.cfg.FreeBlob(n); err != nil {
			return err
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("index: commit: %w", err)
	}
	x.applied(batch, c)
	return nil
}

// writeFigures puts the figures into the transaction.
func (x *Index) writeFigures(c *changes) error {
	for _, segment := range c.gone {
		if err := c.txn.Delete(figuresKey(segment)); err != nil {
			return fmt.Errorf("index: segment %d: %w", segment, err)
		}
	}
	for segment, d := range c.figures {
		x.mu.RLock()
		f := x.figures[segment].plus(d)
		x.mu.RUnlock()
		if err := c.txn.Set(figuresKey(segment), f.encode()); err != nil {
			return fmt.Errorf("index: segment %d: %w", segment, err)
		}
	}
	if err := c.txn.Set([]byte(stateKey), c.state.encode()); err != nil {
		return fmt.Errorf("index: position: %w", err)
	}
	return nil
}

// applied takes over the figures of a committed transaction and drops what the overlay held.
func (x *Index) applied(batch []Op, c *changes) {
	x.mu.Lock()
	x.state = c.state
	for segment, d := range c.figures {
		x.figures[segment] = x.figures[segment].plus(d)
	}
	for i := range batch {
		op := &batch[i]
		if op.Kind == Put {
			x.uncover(op.Shard.Shard, op.Pos)
		}
		for _, d := range op.Deleted {
			x.uncover(d.Shard, op.Pos)
		}
	}
	x.busy = false
	x.changed.Broadcast()
	x.mu.Unlock()
	if x.replaying != nil {
		return
	}
	for _, s := range c.stale {
		if x.cfg.OnStale != nil {
			x.cfg.OnStale(s)
		}
	}
	if x.cfg.OnApplied != nil {
		x.cfg.OnApplied(c.bytes)
	}
	if c.dead && x.cfg.OnDead != nil {
		x.cfg.OnDead()
	}
}

func (x *Index) uncover(s node.Shard, pos log.Pos) {
	if o, ok := x.overlay[s]; ok && o.pos == pos {
		delete(x.overlay, s)
	}
}

func (x *Index) applyOp(c *changes, op *Op) error {
	if op.Kind == Delete {
		c.count(op.Pos.Segment, Figures{Deletions: op.Bytes})
		for _, d := range op.Deleted {
			if err := x.applyDeletion(c, d); err != nil {
				return err
			}
		}
		return nil
	}
	e := op.entry()
	c.state.nextBlob = max(c.state.nextBlob, e.Blob+1)
	old, err := get(c.txn, e.Shard)
	if err != nil {
		return err
	}
	if op.Kind == Copy && !x.stands(e, old) {
		if old == nil {
			c.stale = append(c.stale, Deletion{e.Shard, log.Pos{Segment: e.Origin.Segment, Offset: e.Origin.Offset + 1}})
		}
		return nil
	}
	if old != nil {
		c.forget(old, e.Blob)
	}
	c.count(e.Place.Segment, Figures{Shards: int64(e.Bytes)})
	c.state.shards++
	if err := c.txn.Set(entryKey(e.Shard), e.encode()); err != nil {
		return fmt.Errorf("index: set %s: %w", e.Shard, err)
	}
	return nil
}

// stands decides whether a copy counts; see doc.go.
func (x *Index) stands(e, old *Entry) bool {
	r := x.replaying
	if r == nil || !r.from.Less(e.Origin) {
		return old != nil && old.Origin == e.Origin
	}
	return !e.Origin.Less(r.deleted[e.Shard]) && (old == nil || !e.Origin.Less(old.Origin))
}

func (x *Index) applyDeletion(c *changes, d Deletion) error {
	if r := x.replaying; r != nil && r.deleted[d.Shard].Less(d.At) {
		r.deleted[d.Shard] = d.At
	}
	old, err := get(c.txn, d.Shard)
	if err != nil || old == nil || !old.Origin.Less(d.At) {
		return err
	}
	c.forget(old, 0)
	if err := c.txn.Delete(entryKey(d.Shard)); err != nil {
		return fmt.Errorf("index: delete %s: %w", d.Shard, err)
	}
	return nil
}

// forget takes an entry out of the figures; its blob is freed unless it is keep.
func (c *changes) forget(e *Entry, keep uint64) {
	c.count(e.Place.Segment, Figures{Shards: -int64(e.Bytes)})
	c.dead = true
	c.state.shards--
	if e.Blob != 0 && e.Blob != keep {
		c.freed = append(c.freed, e.Blob)
	}
}
