package drive

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"holdfast/node/drive/log"
)

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
	for range (memTableBytes+memTableSteps*memTableStep)/fillerBytes + 1 {
		err := d.db.Badger().Update(func(txn *badger.Txn) error { return txn.Set([]byte(fillerKey), filler) })
		if err != nil {
			return fmt.Errorf("drive: fill memtable: %w", err)
		}
	}
	return nil
}
