package nodetest

import (
	"context"
	"time"

	"holdfast/internal/kind"
	"holdfast/node"
)

// Op is a kind of call to a drive.
type Op int

// The calls that can go wrong.
const (
	Create Op = iota
	Write
	Commit
	Read
	Stat
	Verify
	Delete
	List
	ops
)

// fault is what a call suffers, in this order: it is delayed, it is held, it fails.
type fault struct {
	delay time.Duration
	hold  chan struct{} // closed when the calls may go on
	err   error
	after int // calls that pass before the error strikes
}

// enter counts a call and makes it suffer.
func (d *Drive) enter(ctx context.Context, op Op) error {
	d.mu.Lock()
	f := &d.faults[op]
	d.calls[op]++
	delay, hold, err, out := f.delay, f.hold, f.err, d.out
	if err != nil && f.after > 0 {
		f.after--
		err = nil
	}
	d.mu.Unlock()
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return kind.Wrap(kind.Canceled, ctx.Err(), "nodetest: canceled")
		}
	}
	if hold != nil {
		<-hold // like a system call on a hung disk, it knows no context
	}
	if out {
		return kind.New(kind.Unavailable, "nodetest: the drive is out")
	}
	return err
}

// Fail makes calls of op return err, after so many have passed; nil ends it.
func (d *Drive) Fail(op Op, err error, after int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[op].err, d.faults[op].after = err, after
}

// Slow makes calls of op take so much longer, or until their context ends.
func (d *Drive) Slow(op Op, delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[op].delay = delay
}

// Hang makes calls of op hang, deaf to their context, until the returned function is called.
func (d *Drive) Hang(op Op) (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.faults[op].hold = hold
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.faults[op].hold == hold {
			d.faults[op].hold = nil
		}
		close(hold)
	}
}

// SetOut takes the drive out, or back in.
func (d *Drive) SetOut(out bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = out
}

// Calls counts the calls of op so far.
func (d *Drive) Calls(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[op]
}

// Census is the shards that are stored, and the number of writers that were neither committed nor
// aborted.
func (d *Drive) Census() (shards []node.Shard, open int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.shards {
		shards = append(shards, s)
	}
	return shards, d.open
}

// edit replaces a stored shard by a changed copy; reads under way keep the old one.
func (d *Drive) edit(s node.Shard, change func(*stored)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.shards[s]
	if old == nil {
		return false
	}
	next := &stored{spec: old.spec, sums: append([]uint64(nil), old.sums...)}
	for _, b := range old.blocks {
		next.blocks = append(next.blocks, append([]byte(nil), b...))
	}
	change(next)
	d.shards[s] = next
	return true
}

// Flip inverts one bit of the byte at off of a stored block. Like those below it reports whether
// there was anything to damage.
func (d *Drive) Flip(s node.Shard, block, off int) bool {
	done := false
	return d.edit(s, func(st *stored) {
		if block < len(st.blocks) && off < len(st.blocks[block]) {
			st.blocks[block][off] ^= 1 << (off % 8)
			done = true
		}
	}) && done
}

// Truncate drops the last block.
func (d *Drive) Truncate(s node.Shard) bool {
	return d.edit(s, func(st *stored) {
		if last := len(st.blocks) - 1; last >= 0 {
			st.blocks = st.blocks[:last]
		}
	})
}

// Zero clears every block.
func (d *Drive) Zero(s node.Shard) bool {
	return d.edit(s, func(st *stored) {
		for _, b := range st.blocks {
			clear(b)
		}
		clear(st.sums)
	})
}

// Restamp changes what the drive believes of the shard's geometry: a shard of another version.
func (d *Drive) Restamp(s node.Shard, change func(*node.Spec)) bool {
	return d.edit(s, func(st *stored) { change(&st.spec) })
}

// Misdirect puts the record of shard from, as it is, where shard to should be.
func (d *Drive) Misdirect(from *Drive, s, to node.Shard) bool {
	st, err := from.get(s)
	if err != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shards[to] = st
	return true
}

// Drop forgets a shard.
func (d *Drive) Drop(s node.Shard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.shards, s)
}
