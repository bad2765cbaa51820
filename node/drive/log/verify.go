package log

import (
	"context"
	"errors"
	"fmt"
)

// Verify reads all that is on stable storage, and checks it as Open would. Damage is an error that
// wraps ErrDamaged. The log goes on meanwhile; what is appended or removed during the call may be
// left out.
func (l *Log) Verify(ctx context.Context) error {
	var c chain
	for _, info := range l.Segments() {
		last, err := l.verifySegment(ctx, info, c)
		switch {
		case errors.Is(err, ErrNoSegment): // removed since it was listed
			c = chain{}
			continue
		case err != nil:
			return err
		}
		c = last
	}
	return nil
}

// verifySegment checks a segment and returns its last sum. Of the one that is written to, what is
// synced is checked; a sealed one has to have its end.
func (l *Log) verifySegment(ctx context.Context, info SegmentInfo, c chain) (chain, error) {
	seg, err := l.files.acquire(info.ID)
	if err != nil {
		return c, err
	}
	defer l.files.release(seg)
	s := &scanner{file: seg.file, seed: l.seed, id: info.ID, size: info.Bytes}
	for off := int64(0); off < info.Bytes; {
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		p := Pos{info.ID, off}
		h, payload, err := s.record(off)
		if err != nil {
			return c, err
		}
		if c.known && h.previous != c.sum {
			return c, fmt.Errorf("%w: chain broken at %s", ErrDamaged, p)
		}
		if (h.form == formHead) != (off == 0) || h.form == formMark {
			return c, fmt.Errorf("%w: record of form %d out of place at %s", ErrDamaged, h.form, p)
		}
		if h.form == formHead {
			if _, err := decodeHeadInfo(payload); err != nil {
				return c, err
			}
		}
		c = chain{h.sum, true}
		off += h.size()
		if h.form == formEnd {
			return c, nil
		}
	}
	if info.Sealed {
		return c, fmt.Errorf("%w: segment %d has no end", ErrDamaged, info.ID)
	}
	return c, nil
}
