package replica

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"holdfast/internal/id"
	"holdfast/node/drive/log"
)

// trimmer is the loop's state of cutting its log.
type trimmer struct {
	next    uint64 // tick of the next look
	rewrote uint64 // batch with what was written forward; nothing is cut until it is durable
	cut     uint64 // segment below which the log was asked to be cut
	stuck   int    // looks in a row at which the KV held it up
}

const (
	// trimTicks is how often the log is looked at.
	trimTicks = 10
	// maxRewriteBytes is what is written forward at once to free old segments, and at most a
	// quarter of LogBytes: else the log would fill with what is written forward.
	maxRewriteBytes = 4 << 20
	// stuckLooks is how many looks the KV may hold up a log twice its size before its memtable
	// is pushed out.
	stuckLooks = 3
)

// maintain runs at every tick.
func (l *loop) maintain() {
	if l.tick < l.trim.next {
		return
	}
	l.trim.next = l.tick + trimTicks
	select {
	case l.looks <- struct{}{}: // answered by onLook
	default: // the janitor is still busy with the last one
	}
	l.askWhetherGone()
	l.noteFull()
	l.confessLost()
	for _, r := range l.replicas {
		l.settleMembers(r)
	}
	if l.tick%balanceTicks < trimTicks || l.leaves(l.drive.ID) {
		l.balance()
	}
}

// leaves reports whether a drive is to be emptied.
func (l *loop) leaves(d id.Drive) bool { return l.cfg.Leaves != nil && l.cfg.Leaves(d) }

// askWhetherGone has replicas that nobody talks to ask the others whether they are still members. A
// voter asks by campaigning; a learner that was removed would wait forever.
func (l *loop) askWhetherGone() {
	for _, r := range l.replicas {
		if r.leads() || l.tick-r.heard < 3*uint64(l.cfg.ElectionTicks) {
			continue
		}
		for raftID, drive := range r.config.members {
			if raftID != r.id && drive != l.drive.ID {
				l.out.add(Message{Group: r.group, From: l.drive.ID, To: drive, Ask: r.id})
			}
		}
	}
}

// noteFull tells the host which of the groups led here have no quorum of drives with room.
func (l *loop) noteFull() {
	for _, r := range l.replicas {
		if !r.leads() {
			continue
		}
		roomy := 0
		for _, raftID := range r.config.conf.Voters {
			if !l.isFull(r.config.members[raftID]) {
				roomy++
			}
		}
		l.host.groups[r.group].full.Store(roomy <= len(r.config.conf.Voters)/2)
	}
}

// balanceTicks is how often leaders on this drive ask whether another should lead.
const balanceTicks = 100

// keepTicks is how long a leader keeps a group before it hands it to another for balance's sake: time
// for what it was made the leader for, such as a move of the one who led before.
const keepTicks = 600

// balance hands groups to their first voter that is to stay, so that after a drive came back the
// leaders are spread again, and one that is emptied leads nothing. Only to one that has everything: the
// hand-over then takes one message.
func (l *loop) balance() {
	for _, r := range l.replicas {
		if !r.leads() || r.config.joint() || len(r.config.conf.Voters) < 2 {
			continue
		}
		voters := r.config.voters()
		at := slices.IndexFunc(voters, func(raftID uint64) bool { return !l.leaves(r.config.members[raftID]) })
		if at < 0 || voters[at] == r.id || l.tick-r.ledFrom < keepTicks && !l.leaves(l.drive.ID) {
			continue
		}
		first := voters[at]
		ready := false
		r.node.WithProgress(func(raftID uint64, _ raft.ProgressType, p tracker.Progress) {
			if raftID == first {
				ready = l.active(r, first) && p.State == tracker.StateReplicate && p.Match == r.st.last()
			}
		})
		if ready {
			r.node.TransferLeader(first)
			l.touch(r)
		}
	}
}

// look is how the drive stands: found out by the janitor, as it may take a disk.
type look struct {
	flushed  uint64
	segments []log.SegmentInfo
}

// lookAround is the janitor's part.
func (l *loop) lookAround() {
	l.apply.history.now(l.drive.KV)
	l.full.Store(l.drive.Full != nil && l.drive.Full())
	found := look{l.drive.KV.Flushed(), l.log.Segments()}
	l.in.call(func(l *loop) {
		l.compact(found.flushed)
		l.cutLog(found.segments)
	})
}

// compact forgets entries that neither this drive nor, probably, a follower needs.
func (l *loop) compact(flushed uint64) {
	l.apply.history.flushed(flushed, func(r *replica, index uint64) { r.flushed = max(r.flushed, index) })
	for _, r := range l.replicas {
		if keep := l.cfg.KeepEntries; !r.installing && r.stepped > keep {
			r.st.compact(min(r.flushed, r.stepped-keep))
		}
	}
}

// cutLog removes old segments. A replica that was idle has its hard state and its few entries in
// them: these are written again at the end of the log first.
func (l *loop) cutLog(segments []log.SegmentInfo) {
	if l.trim.rewrote > l.durable {
		return
	}
	var total int64
	for _, s := range segments {
		if s.Sealed {
			total += s.Bytes
		}
	}
	var cut uint64 // the first segment to stay
	for _, s := range segments {
		if !s.Sealed || total <= l.cfg.LogBytes {
			cut = s.ID
			break
		}
		total -= s.Bytes
	}
	if cut == 0 || cut <= l.trim.cut {
		return
	}
	pinned, size := l.pinned(cut)
	if len(pinned) == 0 && (len(l.dead) == 0 || l.deadPos >= cut) {
		l.trim.cut, l.trim.stuck = cut, 0
		select {
		case l.cuts <- cut:
		default:
			l.trim.cut = 0 // the janitor is busy: again next time
		}
		return
	}
	if size > min(maxRewriteBytes, l.cfg.LogBytes/4) {
		l.heldUp()
		return
	}
	l.rewrite(pinned)
}

// pinned are the replicas that need something before segment cut, and the bytes of their entries,
// after everything flushed was forgotten.
func (l *loop) pinned(cut uint64) ([]*replica, int64) {
	var out []*replica
	var size int64
	for _, r := range l.replicas {
		if r.st.oldest().Segment >= cut || r.installing {
			continue
		}
		r.st.compact(min(r.flushed, r.stepped))
		if r.st.oldest().Segment < cut {
			out = append(out, r)
			size += r.st.bytes
		}
	}
	return out, size
}

// heldUp: the KV has not flushed for long what the log still holds. That takes many commands of
// little effect. The memtable is pushed out.
func (l *loop) heldUp() {
	l.trim.stuck++
	if l.trim.stuck < stuckLooks {
		return
	}
	l.trim.stuck = 0
	l.host.background.Go(func() {
		if !l.enter() {
			return
		}
		defer l.leave()
		read := l.drive.KV.Begin(false)
		version := read.Version()
		read.Discard()
		if err := l.drive.KV.Flush(l.life, version); err != nil {
			l.cfg.Logger.Warn("memtable not pushed out", "drive", l.drive.ID, "error", err)
		}
	})
}

// rewrite puts the state of replicas, and which ones are dead, at the end of the log.
func (l *loop) rewrite(pinned []*replica) {
	for _, r := range pinned {
		entries, err := r.st.Entries(r.st.base.index+1, r.st.last()+1, maxRewriteBytes*2)
		if r.st.last() == r.st.base.index {
			entries, err = nil, nil
		}
		if err != nil || len(entries) != len(r.st.refs) {
			l.cfg.Logger.Warn("log not rewritten", "drive", l.drive.ID, "group", r.group, "error", err)
			return
		}
		b := l.current()
		r.kept = r.hard
		s := section{
			flags: hasBase | hasConfig | hasHard, group: r.group, raftID: r.id, hard: r.hard,
			base: r.st.base, config: r.baseConfig,
		}
		b.record.begin(&s, len(entries))
		part := sectionPart{r: r, hard: true}
		for _, e := range entries {
			part.entries = append(part.entries, placedEntry{entryID{e.GetIndex(), e.GetTerm()}, b.record.entry(e)})
		}
		b.parts = append(b.parts, part)
		r.lastSeq, l.trim.rewrote = b.seq, b.seq
		if b.record.size >= maxRecordBytes {
			l.submit()
		}
	}
	b := l.current()
	for group, d := range l.dead {
		d.write(&b.record, group)
	}
	b.dead = true
	l.trim.rewrote = b.seq
}
