package drive

import (
	"context"
	"errors"
	"sync"

	"holdfast/node/drive/index"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

// copyAhead bounds the bytes of copies on their way into the log.
const copyAhead = 4 << 20

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
