package repair

import (
	"bytes"
	"context"
	"slices"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

func compareDrives(a, b id.Drive) int { return bytes.Compare(a[:], b[:]) }

// losses is what the worker remembers of lost drives, so that the groups' records are not walked at
// each look: only the leader of a group walks them, twice a drive as a rule.
type losses struct {
	scans    map[driveGroup]scanned
	left     map[uint32]int64 // data IDs on the queue of a group after the last look
	named    map[id.Drive]uint32
	retireAt map[id.Drive]time.Time
}

type driveGroup struct {
	drive id.Drive
	group uint32
}

// scanned is the last walk of a group's records for those that name a lost drive.
type scanned struct {
	at    time.Time
	clean bool // there were none; none will be added, for nothing is placed on a lost drive
}

const (
	// scanAgain is when records are walked again although the queue is not empty.
	scanAgain = 10 * time.Minute
	// retireAgain is how long after a drive was found named its retirement is looked at again.
	retireAgain = time.Minute
)

// lostDrives are those of which records may still have to be changed.
func (r *Repairer) lostDrives() []id.Drive {
	var all []id.Drive
	f := r.fleet()
	r.mu.Lock()
	for d := range r.given {
		if f == nil || f.Drive(d) == nil {
			all = append(all, d)
		}
	}
	r.mu.Unlock()
	if f != nil {
		for i := range f.View.Drives {
			if d := &f.View.Drives[i]; d.State == metapb.Drive_GONE {
				all = append(all, d.ID)
			}
		}
	}
	slices.SortFunc(all, compareDrives)
	return all
}

// queueLost queues the data of lost drives in the groups led here, and retires those that no record
// names any more. clean is false when something could not be asked.
func (r *Repairer) queueLost(ctx context.Context) (clean bool) {
	lost := r.lostDrives()
	r.forgetFound(lost)
	clean, idle := true, true
	for _, d := range lost {
		queued, err := r.queueDrive(ctx, d)
		switch {
		case err != nil:
			clean, idle = false, false
			r.cfg.Logger.Debug("looking for the shards of a lost drive failed and is tried again", "drive", d, "error", err)
		case queued:
			idle = false
		case !r.leads(meta.SystemGroup):
		default:
			if err := r.retire(ctx, d); err != nil {
				r.cfg.Logger.Debug("retiring a lost drive failed and is tried again", "drive", d, "error", err)
			}
		}
	}
	r.mu.Lock()
	r.idle = idle
	r.mu.Unlock()
	return clean
}

// forgetFound drops what is known of drives that are not lost any more.
func (r *Repairer) forgetFound(lost []id.Drive) {
	l := &r.lost
	if l.scans == nil {
		l.scans, l.left, l.named, l.retireAt = map[driveGroup]scanned{}, map[uint32]int64{}, map[id.Drive]uint32{}, map[id.Drive]time.Time{}
	}
	gone := func(d id.Drive) bool {
		_, is := slices.BinarySearchFunc(lost, d, compareDrives)
		return !is
	}
	for k := range l.scans {
		if gone(k.drive) || !r.leads(k.group) { // who leads again looks again
			delete(l.scans, k)
		}
	}
	for d := range l.named {
		if gone(d) {
			delete(l.named, d)
		}
	}
	for d := range l.retireAt {
		if gone(d) {
			delete(l.retireAt, d)
		}
	}
}

// queueDrive puts all data of the groups led here that have a shard on a drive on the repair queues.
// queued is whether there is, or may be, such data.
func (r *Repairer) queueDrive(ctx context.Context, d id.Drive) (queued bool, err error) {
	total, now := 0, r.cfg.Now()
	for _, g := range r.led() {
		key := driveGroup{d, g}
		last, known := r.lost.scans[key]
		if last.clean {
			continue
		}
		if known && r.lost.left[g] > 0 && now.Sub(last.at) < scanAgain {
			queued = true // they are being repaired
			continue
		}
		n := 0
		err := upkeep.EachPage(ctx, r.cfg.Metadata, g, upkeep.ScanData(d), func(page []*metapb.DataRecord) error {
			ids := make([][]byte, len(page))
			for i := range page {
				ids[i] = page[i].DataId
			}
			n += len(ids)
			return r.enqueue(ctx, g, ids)
		})
		if err != nil {
			return true, err
		}
		r.lost.scans[key] = scanned{at: now, clean: n == 0}
		total += n
	}
	if total > 0 {
		r.cfg.Logger.Info("the shards of a lost drive are queued for repair", "drive", d, "data_ids", total)
	}
	return queued || total > 0, nil
}

// retire notes that nothing names a lost drive any more, when that is so in all groups.
func (r *Repairer) retire(ctx context.Context, d id.Drive) error {
	if at, waits := r.lost.retireAt[d]; waits && r.cfg.Now().Before(at) {
		return nil
	}
	if has, err := r.hasReplica(ctx, d); has || err != nil {
		return err
	}
	r.lost.retireAt[d] = r.cfg.Now().Add(retireAgain)
	if named, err := r.named(ctx, d); named || err != nil {
		return err
	}
	var err error
	switch {
	case r.cfg.Retire != nil:
		err = r.cfg.Retire(ctx, d)
	case r.eye != nil:
		err = upkeep.SetState(ctx, r.cfg.Metadata, r.cfg.Now().UnixMilli(), d, r.fleet().Removed(d), metapb.Drive_RETIRED, metapb.Drive_GONE)
	}
	if err != nil && !kind.Is(err, kind.Conflict) {
		return err
	}
	r.cfg.Logger.Info("no record names the lost drive any more", "drive", d)
	r.mu.Lock()
	delete(r.given, d)
	r.mu.Unlock()
	return nil
}

// named reports whether any record names a drive. The group that did last is asked first: asking all
// is a walk through all records.
func (r *Repairer) named(ctx context.Context, d id.Drive) (bool, error) {
	groups := []uint32{r.lost.named[d]}
	for g := uint32(1); g <= r.cfg.Metadata.Groups(); g++ {
		if g != groups[0] {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		if g == meta.SystemGroup {
			continue
		}
		if named, err := upkeep.Named(ctx, r.cfg.Metadata, g, d); named || err != nil {
			r.lost.named[d] = g
			return named, err
		}
	}
	return false, nil
}

// hasReplica reports whether a group counts on its replica on a drive. A group that does not say is
// no evidence that it does not.
func (r *Repairer) hasReplica(ctx context.Context, d id.Drive) (bool, error) {
	if r.cfg.Groups == nil {
		return false, nil
	}
	members := r.members(ctx)
	for g := range r.cfg.Metadata.Groups() + 1 {
		if len(members[g]) == 0 {
			return false, kind.New(kind.Unavailable, "group %d does not say who is in it", g)
		}
		if slices.Contains(members[g], d) {
			return true, nil
		}
	}
	return false, nil
}

func (r *Repairer) members(ctx context.Context) map[uint32][]id.Drive {
	if r.cfg.Members != nil {
		return r.cfg.Members(ctx)
	}
	return upkeep.MembersOf(r.cfg.Groups.Status(ctx).Groups)
}
