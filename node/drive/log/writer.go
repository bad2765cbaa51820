package log

import (
	"fmt"

	"github.com/zeebo/xxh3"

	"holdfast/internal/vfs"
)

const (
	// maxBatch bounds what one write and fdatasync carry, so that the first record of a burst
	// does not wait for all of it, and so that a torn tail is short.
	maxBatch = 4 << 20
	// copyBelow is the length of a part under which it is copied next to its neighbours instead
	// of taking an entry of the write vector.
	copyBelow = 16 << 10
	// pageBytes is the unit in which the system caches files.
	pageBytes = 4096
)

// writer is the state of the writer goroutine; nobody else touches it between Open and Close.
type writer struct {
	seg       *segment // pinned; nil before the first segment is there
	size      int64    // the segment's nominal size: no record starts behind it
	pos       int64    // where the next record goes; all before it is synced
	previous  uint64   // sum of the last record
	fresh     bool     // the segment has no head yet
	before    Pos      // where the segment before ended
	sealed    bool     // the segment has its end record
	preparing bool
	marked    bool
	failed    error

	stage   []byte   // headers and small parts of a batch
	flushed int      // how much of stage is in vec
	vec     [][]byte // the batch as it is written
	places  []Pos
}

// run is the writer goroutine.
func (l *Log) run() {
	defer close(l.stopped)
	for {
		batch := l.queue.take()
		if len(batch) == 0 {
			break
		}
		for rest := batch; len(rest) > 0; {
			rest = l.commit(rest)
		}
		clear(batch)
		if l.queue.empty() {
			l.mark()
		}
	}
	l.finish()
}

// commit makes the first records of batch durable and returns the others.
func (l *Log) commit(batch []entry) []entry {
	w := &l.w
	if w.failed == nil {
		if err := l.room(); err != nil {
			return refuse(batch, err)
		}
	}
	if w.failed != nil {
		return refuse(batch, w.failed)
	}
	b := l.gather(batch)
	if _, err := w.seg.file.WriteVec(w.vec, w.pos); err != nil {
		return l.unwritten(batch, b, err)
	}
	if err := w.seg.file.Sync(); err != nil {
		w.failed = l.fail(err)
		return refuse(batch, w.failed)
	}
	w.pos, w.previous, w.fresh, w.marked = b.end, b.previous, false, false
	w.sealed = b.sealed
	l.files.update(w.seg, w.pos, w.sealed)
	for i := range batch[:b.entries] {
		batch[i].done(w.places[i], nil)
	}
	if !w.preparing && (w.sealed || w.pos*2 >= w.size) {
		w.preparing = true
		l.prepare(w.seg.id+1, l.segmentSize(w.size))
	}
	return batch[b.entries:]
}

func refuse(batch []entry, err error) []entry {
	for i := range batch {
		batch[i].done(Pos{}, err)
	}
	return nil
}

// unwritten handles a failed write. A full file system is not the end: the place is erased, the
// batch refused, and the next one tries again.
func (l *Log) unwritten(batch []entry, b gathered, err error) []entry {
	w := &l.w
	if vfs.IsFull(err) {
		if _, eraseErr := w.seg.file.WriteAt(make([]byte, headerLen), w.pos); eraseErr == nil {
			return refused(batch, b, err)
		}
	}
	w.failed = l.fail(err)
	return refuse(batch, w.failed)
}

// refused fails the entries of one gathered batch and returns the others.
func refused(batch []entry, b gathered, err error) []entry {
	n := max(b.entries, 1)
	refuse(batch[:n], fmt.Errorf("log: write: %w", err))
	return batch[n:]
}

// room sees to it that the writer has a segment that takes records.
func (l *Log) room() error {
	w := &l.w
	if w.seg != nil && !w.sealed {
		return nil
	}
	before := w.before
	if w.seg != nil && before.Segment <= w.seg.id {
		before = Pos{Segment: w.seg.id, Offset: w.pos}
	}
	id := before.Segment + 1
	if !w.preparing {
		w.preparing = true
		l.prepare(id, l.segmentSize(w.size))
	}
	p := <-l.next
	w.preparing = false
	if p.err != nil {
		if !vfs.IsFull(p.err) {
			w.failed = l.fail(p.err)
			return w.failed
		}
		return p.err
	}
	if w.seg != nil {
		l.files.release(w.seg)
	}
	l.files.add(p.id, p.file, 0, false)
	seg, err := l.files.acquire(p.id)
	if err != nil {
		return err
	}
	w.seg, w.size, w.pos, w.fresh, w.sealed, w.before = seg, p.size, 0, true, false, before
	return nil
}

// gathered is a batch made ready for the disk.
type gathered struct {
	entries  int
	end      int64
	previous uint64
	sealed   bool
}

// gather lays the first entries of batch out in w.vec and w.places: as many as the segment and
// maxBatch take, at least one into a fresh segment.
func (l *Log) gather(batch []entry) gathered {
	w := &l.w
	b := gathered{end: w.pos, previous: w.previous}
	n, stage, full := w.fit(batch)
	stage += 2*(headerLen+headInfoLen) + pageBytes
	if cap(w.stage) < stage {
		w.stage = make([]byte, 0, stage)
	}
	w.stage, w.flushed, w.vec, w.places = w.stage[:0], 0, w.vec[:0], w.places[:0]
	if w.fresh {
		info := headInfo{version: Version, previous: w.before}.encode()
		l.lay(&b, header{form: formHead, payload: xxh3.Hash(info)}, [][]byte{info})
	}
	for i := range batch[:n] {
		w.places = append(w.places, Pos{w.seg.id, b.end})
		e := &batch[i]
		l.lay(&b, header{kind: e.kind, payload: e.sum}, e.parts)
	}
	b.entries = n
	if full {
		l.lay(&b, header{form: formEnd, payload: xxh3.Hash(nil)}, nil)
		b.sealed = true
	}
	w.pad(b.end)
	w.flushStage()
	return b
}

// fit counts the entries that go into the next write, the bytes of them that are staged, and
// whether the segment is full then.
func (w *writer) fit(batch []entry) (n, stage int, full bool) {
	pos, empty := w.pos, w.fresh
	if w.fresh {
		pos += RecordSize(headInfoLen)
	}
	start := pos
	for _, e := range batch {
		size := RecordSize(e.size)
		if !empty && pos+size+headerLen > w.size {
			return n, stage, true
		}
		if n > 0 && pos+size-start > maxBatch {
			return n, stage, false
		}
		empty = false
		pos += size
		n++
		stage += headerLen + align
		for _, p := range e.parts {
			if len(p) < copyBelow {
				stage += len(p)
			}
		}
	}
	return n, stage, false
}

// lay puts one record at b.end. w.stage never grows here: earlier vectors point into it.
func (l *Log) lay(b *gathered, h header, parts [][]byte) {
	w := &l.w
	for _, p := range parts {
		h.length += uint32(len(p))
	}
	h.synced, h.previous = uint32(w.pos), b.previous
	at := len(w.stage)
	w.stage = w.stage[:at+headerLen]
	h.encode(w.stage[at:], l.seed, Pos{w.seg.id, b.end})
	for _, p := range parts {
		if len(p) < copyBelow {
			w.stage = append(w.stage, p...)
			continue
		}
		w.flushStage()
		w.vec = append(w.vec, p)
	}
	for pad := h.size() - headerLen - int64(h.length); pad > 0; pad-- {
		w.stage = append(w.stage, 0)
	}
	b.end += h.size()
	b.previous = h.sum
}

// pad lays zeros up to the next page: the system then has no reason to read what a segment that is
// used again holds there.
func (w *writer) pad(end int64) {
	n := min((end+pageBytes-1)/pageBytes*pageBytes, w.size) - end
	if n <= 0 {
		return
	}
	at := len(w.stage)
	w.stage = w.stage[:at+int(n)]
	clear(w.stage[at:])
}

// flushStage moves what was staged since the last call into the write vector.
func (w *writer) flushStage() {
	if len(w.stage) > w.flushed {
		w.vec = append(w.vec, w.stage[w.flushed:])
		w.flushed = len(w.stage)
	}
}

// mark leaves the witness that all so far is synced. It needs no fdatasync: it protects against
// damage that comes later, and a later write carries it.
func (l *Log) mark() {
	w := &l.w
	if w.failed != nil || w.seg == nil || w.fresh || w.sealed || w.marked {
		return
	}
	var b [headerLen]byte
	h := header{form: formMark, payload: xxh3.Hash(nil), synced: uint32(w.pos), previous: w.previous}
	h.encode(b[:], l.seed, Pos{w.seg.id, w.pos})
	if _, err := w.seg.file.WriteAt(b[:], w.pos); err != nil && !vfs.IsFull(err) {
		w.failed = l.fail(err)
		return
	}
	w.marked = true
}

// finish ends the writer: the mark is made durable, the segment filled ahead is dropped.
func (l *Log) finish() {
	w := &l.w
	l.mark()
	if w.failed == nil && w.seg != nil && !w.fresh {
		if err := w.seg.file.Sync(); err != nil {
			w.failed = l.fail(err)
		}
	}
	if w.preparing {
		if p := <-l.next; p.err == nil {
			p.file.Close()
			_ = l.cfg.FS.Remove(l.files.path(p.id)) // empty; the next Open would drop it
		}
	}
	if w.seg != nil {
		l.files.release(w.seg)
	}
}
