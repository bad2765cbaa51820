package log

import (
	"errors"
	"fmt"
	"slices"
)

// tornMax bounds what one unfinished write can have left behind the last acknowledged record.
const tornMax = max(maxBatch, MaxPayload) + 1<<20

// chain is what the next record's header must refer to; unknown at the start and behind damage.
type chain struct {
	sum   uint64
	known bool
}

// recovery is the state of one Open.
type recovery struct {
	*Log
	ids    []uint64
	from   Pos
	replay func(Pos, uint8, []byte) error
	chain  chain
}

// recover finds the segments, replays the records from from on and sets the writer behind the last.
func (l *Log) recover(from Pos, replay func(Pos, uint8, []byte) error) error {
	r := &recovery{Log: l, from: from, replay: replay}
	if err := r.find(); err != nil {
		return err
	}
	start, err := r.start()
	if err != nil {
		return err
	}
	for i := start; i < len(r.ids); i++ {
		if i > 0 && r.ids[i] != r.ids[i-1]+1 {
			if !r.cfg.Gaps {
				return fmt.Errorf("%w: a segment is missing between %d and %d", ErrDamaged, r.ids[i-1], r.ids[i])
			}
			r.chain.known = false
		}
		if err := r.segment(r.ids[i], i == len(r.ids)-1); err != nil {
			return err
		}
	}
	r.goBehind(from)
	return nil
}

// goBehind sees to it that new records come behind everything the caller has seen, should the end
// of the log have been lost: it goes on in a new segment.
func (r *recovery) goBehind(from Pos) {
	w := &r.w
	if w.seg != nil && (Pos{w.seg.id, w.pos}).Less(from) {
		r.cfg.Logger.Error("the end of the log is lost", "dir", r.cfg.Dir, "found", w.pos, "seen", from.String())
		w.sealed, w.before = true, from
		r.files.update(w.seg, w.pos, true)
	}
}

// find lists the segments and drops those that were filled ahead and never used.
func (r *recovery) find() error {
	names, err := r.cfg.FS.ReadDir(r.cfg.Dir)
	if err != nil {
		return fmt.Errorf("log: list %s: %w", r.cfg.Dir, err)
	}
	for _, e := range names {
		id, ok := parseName(e.Name())
		if !ok && !isSpare(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("log: stat %s: %w", e.Name(), err)
		}
		if ok {
			r.ids = append(r.ids, id)
			r.files.add(id, nil, info.Size(), true)
		} else if err := r.files.adoptSpare(e.Name(), info.Size()); err != nil {
			return err
		}
	}
	slices.Sort(r.ids)
	for len(r.ids) > 0 {
		last := r.ids[len(r.ids)-1]
		unused, err := r.unused(last)
		if err != nil {
			return err
		}
		if !unused {
			break
		}
		if err := r.files.drop(last); err != nil {
			return err
		}
		r.ids = r.ids[:len(r.ids)-1]
	}
	return nil
}

// unused reports whether nothing in a segment was ever acknowledged: no head, and no witness that
// there had been one.
func (r *recovery) unused(id uint64) (bool, error) {
	s, done, err := r.scanner(id)
	if err != nil {
		return false, err
	}
	defer done()
	if _, _, err := s.record(0); err == nil {
		return false, nil
	} else if !errors.Is(err, ErrDamaged) {
		return false, err
	}
	at, err := s.find(0, s.size, func(h header) bool { return h.synced > 0 })
	return at < 0, err
}

func (r *recovery) scanner(id uint64) (*scanner, func(), error) {
	seg, err := r.files.acquire(id)
	if err != nil {
		return nil, nil, err
	}
	size, err := seg.file.Size()
	if err != nil {
		r.files.release(seg)
		return nil, nil, fmt.Errorf("log: size of segment %d: %w", id, err)
	}
	return &scanner{file: seg.file, seed: r.seed, id: id, size: size}, func() { r.files.release(seg) }, nil
}

// start is the index of the segment in which the replay begins.
func (r *recovery) start() (int, error) {
	i, found := slices.BinarySearch(r.ids, r.from.Segment)
	if r.from.IsZero() || found {
		return i, nil
	}
	// The caller has seen records of a segment that is gone.
	if !r.cfg.Gaps {
		return 0, fmt.Errorf("%w: segment %d is missing", ErrDamaged, r.from.Segment)
	}
	if i == len(r.ids) { // new records must come behind those seen before
		r.w.before = r.from
	}
	return i, nil
}

// segment checks one segment and replays it; last is the one that the writer continues.
func (r *recovery) segment(id uint64, last bool) error {
	s, done, err := r.scanner(id)
	if err != nil {
		return err
	}
	defer done()
	for off := int64(0); ; {
		h, payload, err := s.record(off)
		if err == nil {
			err = r.check(h, payload, Pos{id, off})
		}
		switch {
		case err != nil && !errors.Is(err, ErrDamaged):
			return err
		case err != nil:
			next, err := r.bad(s, off, h, last, err)
			if err != nil || next < 0 {
				return err
			}
			off = next
			continue
		case h.form == formMark:
			return r.tail(s, off, h, last)
		case h.form == formData && !(Pos{id, off}).Less(r.from):
			if err := r.replay(Pos{id, off}, h.kind, payload); err != nil {
				return err
			}
		}
		r.chain = chain{h.sum, true}
		off += h.size()
		if h.form == formEnd {
			if last {
				r.resume(s, off, true, false)
			}
			return nil
		}
	}
}

// check holds a whole record against the one before.
func (r *recovery) check(h header, payload []byte, p Pos) error {
	if r.chain.known && h.previous != r.chain.sum {
		return fmt.Errorf("%w: chain broken at %s", ErrDamaged, p)
	}
	if (h.form == formHead) != (p.Offset == 0) {
		return fmt.Errorf("%w: head out of place at %s", ErrDamaged, p)
	}
	if h.form != formHead {
		return nil
	}
	_, err := decodeHeadInfo(payload)
	return err
}

// bad decides what a record that does not check out means: the end of the log, a torn tail, or
// damage. It returns the place to go on from, or -1 at the end.
func (r *recovery) bad(s *scanner, off int64, h header, last bool, cause error) (int64, error) {
	if last {
		witness, err := s.find(off, s.size, func(h header) bool { return int64(h.synced) > off })
		if err != nil {
			return 0, err
		}
		if witness < 0 {
			return -1, r.tail(s, off, header{}, last)
		}
	}
	next := off + align
	if h.sum != 0 { // the header is whole: its payload is not searched
		next = off + h.size()
	}
	next, err := s.find(next, s.size, func(h header) bool { return h.form != formMark || last })
	if err != nil {
		return 0, err
	}
	to := Pos{s.id, next}
	if next < 0 {
		to.Offset = s.size
	}
	if r.cfg.Salvage == nil {
		return 0, cause
	}
	r.cfg.Salvage(Pos{s.id, off}, to, cause)
	r.chain.known = false
	if next < 0 && last {
		return 0, fmt.Errorf("log: no place to go on in segment %d: %w", s.id, cause)
	}
	return next, nil
}

// tail ends the log at off: the headers that a batch which was never acknowledged left behind are
// zeroed, so that they can never be taken for records that follow. What else lies there is no record:
// parts of one, or of another segment.
func (r *recovery) tail(s *scanner, off int64, mark header, last bool) error {
	if !last {
		_, err := r.bad(s, off, header{}, last, fmt.Errorf("%w: segment %d ends early at %d", ErrDamaged, s.id, off))
		return err
	}
	keep := off
	if mark.form == formMark {
		keep += headerLen
	}
	end, err := s.leftover(keep, keep+tornMax)
	if err != nil {
		return err
	}
	if end > keep {
		r.cfg.Logger.Warn("torn tail cut", "dir", r.cfg.Dir, "segment", s.id, "offset", off, "bytes", end-keep)
		if err := zero(s, keep, end); err != nil {
			return err
		}
	}
	r.resume(s, off, false, mark.form == formMark)
	return nil
}

func zero(s *scanner, from, to int64) error {
	zeros := make([]byte, min(window, to-from))
	for off := from; off < to; off += window {
		if _, err := s.file.WriteAt(zeros[:min(window, to-off)], off); err != nil {
			return fmt.Errorf("log: cut segment %d: %w", s.id, err)
		}
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("log: cut segment %d: %w", s.id, err)
	}
	return nil
}

// resume sets the writer to go on at off of the last segment.
func (r *recovery) resume(s *scanner, off int64, sealed, marked bool) {
	seg, err := r.files.acquire(s.id)
	if err != nil { // it is open and pinned by the scan
		panic(err)
	}
	w := &r.w
	w.seg, w.size, w.pos = seg, s.size, off
	w.previous, w.sealed, w.marked = r.chain.sum, sealed, marked
	r.files.update(seg, off, sealed)
}
