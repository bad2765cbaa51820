package replicatest

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"holdfast/meta/replica"
	"holdfast/node/drive/log"
)

// Disk keeps a raft log while no process has it open.
type Disk struct {
	mu      sync.Mutex
	records []memRecord
	segment uint64
	used    int64
	opened  *memLog

	// SegmentBytes is the size of a segment; default 1 GiB.
	SegmentBytes int64
	// Damaged makes Open fail in the middle, with log.ErrDamaged.
	Damaged bool
	// SyncTime is how long a sync takes; nil = no time.
	SyncTime func() time.Duration
	// Lies makes the log acknowledge records some time before it keeps them: a disk that no
	// protocol survives, to see that the tests notice.
	Lies bool
}

type memRecord struct {
	pos     log.Pos
	kind    uint8
	payload []byte
}

// NewDisk makes a disk without a log.
func NewDisk() *Disk {
	return &Disk{segment: 1, SegmentBytes: 1 << 30}
}

// Open opens the log on the disk.
func (d *Disk) Open(replay replica.Replay) (replica.Log, error) {
	d.mu.Lock()
	records, damaged := d.records, d.Damaged
	d.mu.Unlock()
	for i, r := range records {
		if damaged && i >= len(records)/2 {
			return nil, fmt.Errorf("%w: as the test wants", log.ErrDamaged)
		}
		if err := replay(r.pos, r.kind, bytes.Clone(r.payload)); err != nil {
			return nil, err
		}
	}
	l := &memLog{disk: d, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	d.mu.Lock()
	d.opened = l
	d.mu.Unlock()
	go l.run()
	return l, nil
}

// Reset throws the log away.
func (d *Disk) Reset() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records, d.Damaged = nil, false
	return nil
}

// Crash loses what was not synced; the open log fails what is asked of it from now on.
func (d *Disk) Crash() {
	d.mu.Lock()
	l := d.opened
	d.mu.Unlock()
	if l != nil {
		l.mu.Lock()
		l.dead = true
		l.mu.Unlock()
	}
}

// memLog is a Log whose writer takes a while for each sync.
type memLog struct {
	disk    *Disk
	mu      sync.Mutex
	queue   []memEntry
	dead    bool
	closed  bool
	wake    chan struct{}
	stopped chan struct{}
}

type memEntry struct {
	kind    uint8
	payload []byte
	done    func(log.Pos, error)
}

func (l *memLog) Append(kind uint8, payload [][]byte, done func(log.Pos, error)) {
	e := memEntry{kind, bytes.Join(payload, nil), done}
	if len(e.payload) > log.MaxPayload {
		done(log.Pos{}, fmt.Errorf("replicatest: record of %d bytes", len(e.payload)))
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		done(log.Pos{}, log.ErrClosed)
		return
	}
	l.queue = append(l.queue, e)
	l.mu.Unlock()
	l.signal()
}

func (l *memLog) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *memLog) run() {
	defer close(l.stopped)
	for range l.wake {
		l.mu.Lock()
		all, closed := l.queue, l.closed
		l.queue = nil
		l.mu.Unlock()
		if len(all) > 0 {
			l.sync(all)
		}
		if closed {
			return
		}
	}
}

func (l *memLog) sync(all []memEntry) {
	d := l.disk
	if d.Lies {
		go func() { time.Sleep(50 * time.Millisecond); l.keep(all) }()
		for _, e := range all {
			e.done(log.Pos{Segment: 1}, nil)
		}
		return
	}
	if d.SyncTime != nil {
		time.Sleep(d.SyncTime())
	}
	positions, err := l.keep(all)
	for i, e := range all {
		if err != nil {
			e.done(log.Pos{}, err)
		} else {
			e.done(positions[i], nil)
		}
	}
}

func (l *memLog) keep(all []memEntry) ([]log.Pos, error) {
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	if dead {
		return nil, ErrCrashed
	}
	d := l.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	var positions []log.Pos
	for _, e := range all {
		if d.used > d.SegmentBytes {
			d.segment, d.used = d.segment+1, 0
		}
		p := log.Pos{Segment: d.segment, Offset: d.used}
		d.records = append(d.records, memRecord{p, e.kind, e.payload})
		d.used += int64(len(e.payload)) + 40
		positions = append(positions, p)
	}
	return positions, nil
}

func (l *memLog) Read(p log.Pos, _ []byte) (uint8, []byte, error) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	for _, r := range l.disk.records {
		if r.pos == p {
			return r.kind, bytes.Clone(r.payload), nil
		}
	}
	return 0, nil, fmt.Errorf("no record at %s", p)
}

func (l *memLog) Segments() []log.SegmentInfo {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	var out []log.SegmentInfo
	for _, r := range l.disk.records {
		if n := len(out); n == 0 || out[n-1].ID != r.pos.Segment {
			out = append(out, log.SegmentInfo{ID: r.pos.Segment, Sealed: r.pos.Segment != l.disk.segment})
		}
		out[len(out)-1].Bytes += int64(len(r.payload)) + 40
	}
	return out
}

func (l *memLog) RemoveBefore(segment uint64) error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	for len(l.disk.records) > 0 && l.disk.records[0].pos.Segment < segment {
		l.disk.records = l.disk.records[1:]
	}
	return nil
}

func (l *memLog) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.signal()
	<-l.stopped
	return nil
}
