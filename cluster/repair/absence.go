package repair

import (
	"context"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// absences is for how long this process has seen drives absent. Only time in which it looked counts:
// a process that was paused, or a clock that was put forward, finds nobody absent for having slept
// itself. It begins anew with each start.
type absences struct {
	for_ map[id.Drive]time.Duration
	last time.Time // of the last look
}

// maxGap is how much one look may add, in intervals.
const maxGap = 3

func (r *Repairer) watchLoop(ctx context.Context) {
	if r.eye == nil {
		return
	}
	for wait(ctx, r.cfg.Interval, nil) {
		r.watch(ctx)
	}
}

// watch takes in who is absent, and gives up drives that were for too long.
func (r *Repairer) watch(ctx context.Context) {
	f := r.fleet()
	r.observe(f)
	for i := range f.View.Drives {
		d := &f.View.Drives[i]
		switch fate := f.Fate(d.ID); {
		case fate == upkeep.Lost:
			r.warnStale(f, d.ID)
		case r.awayFor(d.ID) >= r.repairAfter() && r.leads(meta.SystemGroup):
			r.giveUp(ctx, f, d.ID)
		}
	}
}

func (r *Repairer) observe(f *upkeep.Fleet) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.absent
	var passed time.Duration
	if !a.last.IsZero() {
		passed = max(0, min(now.Sub(a.last), maxGap*r.cfg.Interval))
	}
	a.last = now
	for i := range f.View.Drives {
		d := f.View.Drives[i].ID
		if f.Fate(d) == upkeep.Lost || f.Alive(d) {
			delete(a.for_, d)
			continue
		}
		if since, seen := a.for_[d]; seen {
			a.for_[d] = since + passed
		} else {
			a.for_[d] = 0
		}
	}
}

// awayFor is for how long a drive was seen absent, until now.
func (r *Repairer) awayFor(d id.Drive) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.absent.for_[d]
}

// repairAfter is the cluster's setting, else that of the configuration.
func (r *Repairer) repairAfter() time.Duration {
	if f := r.fleet(); f != nil && f.View.Settings.GetRepairAfterMs() > 0 {
		return time.Duration(f.View.Settings.GetRepairAfterMs()) * time.Millisecond
	}
	return r.cfg.RepairAfter
}

// giveUp writes down that a drive is gone, so that its shards are rebuilt elsewhere. Where there are too
// few other drives for that it would only make the drive's shards stale: then it is waited for.
func (r *Repairer) giveUp(ctx context.Context, f *upkeep.Fleet, d id.Drive) {
	shards, others := f.View.Scheme.Shards(), 0
	for i := range f.View.Drives {
		if other := f.View.Drives[i].ID; other != d && f.Takes(other) {
			others++
		}
	}
	if others < shards {
		r.say(d, "a drive is absent, and its shards cannot be rebuilt: add a drive, or bring it back", "path", f.Drive(d).Status.Path,
			"for", r.awayFor(d).Round(time.Second).String(), "drives", others, "shards", shards)
		return
	}
	// One that was to be emptied stays out when it returns; the state that this says of it is expected.
	state := f.Drive(d).State
	err := upkeep.SetState(ctx, r.cfg.Metadata, r.cfg.Now().UnixMilli(), d, state == metapb.Drive_DRAINING, metapb.Drive_GONE, state)
	switch {
	case err == nil:
		r.cfg.Logger.Warn("a drive was absent for too long; what it held is rebuilt on others", "drive", d, "path", f.Drive(d).Status.Path,
			"for", r.awayFor(d).Round(time.Second).String())
		r.Kick()
	case ctx.Err() == nil && !kind.Is(err, kind.Conflict):
		r.cfg.Logger.Debug("giving up an absent drive failed and is tried again", "drive", d, "error", err)
	}
}

// warnStale says what becomes of a drive of this node that the cluster has given up: nothing goes to it,
// and the sweep deletes what it held as soon as no record names it.
func (r *Repairer) warnStale(f *upkeep.Fleet, d id.Drive) {
	v := f.Drive(d)
	if !v.Local || !v.Alive || !v.Removed || v.State == metapb.Drive_RETIRED && v.Status.Shards == 0 { // one that was given up for its absence registers again
		return
	}
	r.say(d, "this drive was removed from the cluster: what it holds was rebuilt elsewhere and is deleted. To use it again, stop the server, empty its directory, and start: it joins as a new drive",
		"path", v.Status.Path)
}

// sayAgain is how long a warning about a drive is not repeated.
const sayAgain = time.Hour

func (r *Repairer) say(d id.Drive, message string, args ...any) {
	if at, said := r.warned[d]; said && r.cfg.Now().Sub(at) < sayAgain {
		return
	}
	r.warned[d] = r.cfg.Now()
	r.cfg.Logger.Warn(message, append([]any{"drive", d}, args...)...)
}
