package fanout

import (
	"context"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// lagWatch measures how long a caller waits for drives that are slower than the others.
type lagWatch struct {
	start time.Time // zero while nobody lags
	timer *time.Timer
}

func (l *lagWatch) watch(behind bool) {
	switch {
	case !behind:
		l.start = time.Time{}
	case l.start.IsZero():
		l.start = time.Now()
	}
}

func (l *lagWatch) on() bool { return !l.start.IsZero() }

func (l *lagWatch) since() time.Duration {
	if !l.on() {
		return 0
	}
	return time.Since(l.start)
}

// wait waits for a change, for the context, or while drives lag until patience ends.
func (l *lagWatch) wait(ctx context.Context, wake <-chan struct{}, patience time.Duration) error {
	var expired <-chan time.Time
	if l.on() {
		if l.timer == nil {
			l.timer = time.NewTimer(patience)
		} else {
			l.timer.Reset(patience)
		}
		expired = l.timer.C
	}
	select {
	case <-wake:
	case <-expired:
	case <-ctx.Done():
		return kind.Wrap(kind.Canceled, ctx.Err(), "fanout: write")
	}
	return nil
}

func (l *lagWatch) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// patience is how much longer this write may wait for slow drives when it has done so for lag.
func (p *put) patience(lag time.Duration) time.Duration {
	waited := p.lagged + lag
	worked := time.Since(p.began) - waited
	return p.f.cfg.Grace + time.Duration(p.f.cfg.GraceShare*float64(worked)) - waited
}

// wait waits until every shard is durable or lost; once enough are durable, for the slow ones
// only as long as allowed.
func (p *put) wait(ctx context.Context) error {
	var lag lagWatch
	defer lag.stop()
	for {
		p.mu.Lock()
		if err := p.fatal(); err != nil {
			p.mu.Unlock()
			return err
		}
		if p.count(writing) == 0 {
			p.mu.Unlock()
			return nil
		}
		lag.watch(p.count(committed) >= p.quorum)
		left := p.patience(lag.since())
		if lag.on() && left <= 0 {
			p.abandon(func(*shard) bool { return true })
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		if err := lag.wait(ctx, p.wake, left); err != nil {
			return err
		}
	}
}

// finish ends the write: nobody touches a block afterwards but who holds one as its own.
func (p *put) finish(ctx context.Context, err error) ([]id.Drive, error) {
	if err != nil {
		p.retreat()
	}
	p.helpers.Wait()
	p.mu.Lock()
	p.over = true
	for _, st := range p.stripes {
		p.reclaim(st)
		p.f.freeStripe(st)
	}
	p.f.puts.release(int64(len(p.stripes)) * p.stripeBytes())
	drives := make([]id.Drive, len(p.shards))
	missed := 0
	for i := range p.shards {
		if p.shards[i].state == committed {
			drives[i] = p.shards[i].drive
		} else {
			missed++
		}
	}
	p.mu.Unlock()
	if err != nil {
		p.undo(ctx, drives)
		return nil, err
	}
	p.f.stats.missed.Add(uint64(missed))
	return drives, nil
}

// retreat stops the shards of a failed write and waits for their drives to have dropped them; a
// drive that takes too long does so later.
func (p *put) retreat() {
	p.cancel()
	p.mu.Lock()
	p.over, p.stop, p.failed = true, true, true
	p.encode.Signal()
	p.inspect.Signal()
	p.work.Broadcast()
	running := p.running
	p.mu.Unlock()
	if running == 0 {
		return
	}
	patience := time.NewTimer(p.f.cfg.Grace)
	defer patience.Stop()
	for running > 0 {
		select {
		case <-p.wake:
		case <-patience.C:
			p.mu.Lock()
			p.abandon(func(*shard) bool { return true })
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		running = p.running
		p.mu.Unlock()
	}
}

// undo deletes what a failed write has made durable, or may have.
func (p *put) undo(ctx context.Context, drives []id.Drive) {
	p.f.clean(ctx, func(ctx context.Context) { p.withdrawAll(ctx, drives) })
}

func (p *put) withdrawAll(ctx context.Context, drives []id.Drive) {
	p.f.discard(ctx, p.spec.Data, drives)
	p.mu.Lock()
	doubtful := p.doubtful
	p.mu.Unlock()
	for _, d := range doubtful {
		p.f.withdraw(ctx, d.drive, d.shard)
	}
}

// doubt is a shard whose Commit failed: it may be durable all the same.
type doubt struct {
	drive node.Drive
	shard node.Shard
}

// withdraw deletes a shard that nobody will name. What fails is left to the orphan sweep.
func (f *Fanout) withdraw(ctx context.Context, drive node.Drive, s node.Shard) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := drive.Delete(ctx, []node.Shard{s}); err != nil {
		f.cfg.Logger.Warn("a shard of no use was not deleted; the orphan sweep will", "shard", s, "error", err)
	}
}
