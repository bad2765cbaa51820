package replica

import (
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// onStorageApply hands committed entries to the applier. Changes of configuration take effect on
// raft here, being committed and durable on this drive, and in the KV when the applier gets there.
func (l *loop) onStorageApply(r *replica, m *pb.Message) {
	j := applyJob{r: r, entries: m.GetEntries(), responses: m.GetResponses()}
	for _, e := range j.entries {
		if e.GetType() == pb.EntryNormal {
			continue
		}
		if c := l.changeConfig(r, e); c != nil {
			if j.configs == nil {
				j.configs = make(map[uint64]*groupConfig)
			}
			j.configs[e.GetIndex()] = c
		}
	}
	j.proposals = r.claim(j.entries)
	l.apply.push(j)
}

// changeConfig applies a committed change of configuration to raft. It returns nil for one that is
// refused, by the same rule on every replica.
func (l *loop) changeConfig(r *replica, e *pb.Entry) *groupConfig {
	cc := &pb.ConfChangeV2{}
	if e.GetType() != pb.EntryConfChangeV2 || proto.Unmarshal(e.GetData(), cc) != nil {
		return nil
	}
	added, err := decodeAdded(cc.GetContext())
	if err != nil {
		return nil
	}
	for raftID := range added {
		if raftID < r.config.next {
			return nil // two proposers took the same ID; the second loses
		}
	}
	for _, c := range cc.GetChanges() {
		if t := c.GetType(); t != pb.ConfChangeRemoveNode && !r.config.has(c.GetNodeId()) {
			if _, ok := added[c.GetNodeId()]; !ok {
				return nil
			}
		}
	}
	old := r.config
	r.config = old.with(r.node.ApplyConfChange(cc), added)
	r.noteRemoved(old)
	return r.config
}

// onApplied goes on after the applier.
func (l *loop) onApplied(d *applyDone) error {
	if d.driveErr != nil {
		return d.driveErr
	}
	r := d.r
	if r.gone {
		return nil
	}
	if d.err != nil {
		l.cfg.Logger.Error("replica stopped", "drive", l.drive.ID, "group", r.group, "error", d.err)
		l.halt(r, d.err)
		return nil
	}
	if d.install != nil {
		l.installed(r, d.install)
		return nil
	}
	for _, m := range d.responses {
		l.respond(r, m)
		if e := m.GetEntries(); len(e) > 0 {
			r.stepped = max(r.stepped, e[len(e)-1].GetIndex())
		}
	}
	r.releaseReads()
	if r.termStart != 0 && r.applied.Load() >= r.termStart {
		r.termStart = 0
		l.host.settled(l, r)
	}
	return nil
}
