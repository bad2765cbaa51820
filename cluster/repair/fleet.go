package repair

import (
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
)

// fleet is the cluster's drives now, or nil without a layout.
func (r *Repairer) fleet() *upkeep.Fleet {
	if r.eye == nil {
		return nil
	}
	return r.eye.Fleet()
}

// isLost reports whether a drive will not come back with its shards. A layout decides; without one, a
// drive of this process that is out or not there will not.
func (r *Repairer) isLost(d id.Drive) bool {
	r.mu.Lock()
	_, given := r.given[d]
	r.mu.Unlock()
	f := r.fleet()
	switch {
	case f != nil:
		return f.Fate(d) == upkeep.Lost
	case given:
		return true
	}
	return !r.reachable(d)
}

// reachable reports whether a drive can be asked.
func (r *Repairer) reachable(d id.Drive) bool {
	drive, ok := r.cfg.Drives.Drive(d)
	return ok && !drive.Status().Out
}

// takes reports whether a drive can be given a shard or a replica that was elsewhere.
func (r *Repairer) takes(d id.Drive) bool {
	f := r.fleet()
	return r.reachable(d) && (f == nil || f.Takes(d))
}
