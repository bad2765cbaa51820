package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
)

var (
	errRefused = kind.New(kind.Conflict, "another change of the group's members is under way")
	errNoMove  = errors.New("replica: neither drive holds a replica of the group")
)

// MoveReplica gives the place of a group's replica on one drive to another drive; both may be the
// same one, if its replica is lost. The new replica joins as a learner under a raft ID of its own,
// catches up, and takes the place in one joint change of configuration. It returns when the old one
// is out. Interrupted, by ctx, a crash or another leader, it is to be called again, wherever the group
// is led by then, and goes on where it stood: with the learner that is on the drive already. Learners on
// other drives are removed. It works at the host that leads the group: kind.NotLeader says that another
// one does by now.
func (h *Host) MoveReplica(ctx context.Context, group uint32, from, to id.Drive) error {
	if int(group) >= len(h.groups) {
		return fmt.Errorf("replica: no group %d", group)
	}
	g := &h.groups[group]
	select { // one move of a group at a time
	case g.moving <- struct{}{}:
		defer func() { <-g.moving }()
	case <-ctx.Done():
		return ctx.Err()
	}
	poll := time.NewTicker(h.cfg.Tick)
	defer poll.Stop()
	var proof proof
	err := h.settleBy(ctx, group, poll.C, func() (bool, error) { return h.moveStep(ctx, group, from, to, &proof) })
	if err != nil {
		return err
	}
	return h.spread(ctx, group, poll.C)
}

// AbandonMove removes the learners of a group that is led here: what a move left that was interrupted,
// and that nobody wants any more. A leader does it by itself only after learnerTicks, as it does not know
// that. kind.Conflict says that a move is under way here.
func (h *Host) AbandonMove(ctx context.Context, group uint32) error {
	if int(group) >= len(h.groups) {
		return fmt.Errorf("replica: no group %d", group)
	}
	g := &h.groups[group]
	select {
	case g.moving <- struct{}{}:
		defer func() { <-g.moving }()
	default:
		return errRefused
	}
	poll := time.NewTicker(h.cfg.Tick)
	defer poll.Stop()
	return h.settleBy(ctx, group, poll.C, func() (bool, error) {
		v, err := h.lookAt(ctx, group)
		switch {
		case err != nil:
			return false, err
		case v.config.joint():
			return false, nil
		case len(v.config.conf.Learners) == 0:
			return true, nil
		}
		return false, h.proposeConfig(ctx, group, change(pb.ConfChangeRemoveNode, v.config.conf.Learners[0]), nil)
	})
}

// settleBy takes one step after the other, a tick apart, until the last is done, or one cannot be done here.
func (h *Host) settleBy(ctx context.Context, group uint32, poll <-chan time.Time, step func() (done bool, err error)) error {
	for {
		done, err := step()
		if done {
			return nil
		}
		if err != nil && (h.ledElsewhere(group) || !kind.Is(err, kind.NotLeader) && !kind.Is(err, kind.Unavailable) && !errors.Is(err, errRefused)) {
			return err
		}
		select {
		case <-poll:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-h.life.Done():
			return ErrClosed
		}
	}
}

// spread returns when every voter that can be heard knows that the present configuration is in force. The
// leader knows it first; should it vanish now, those who think the old one still counts would need
// the voices of members that are gone. An entry tells them: it carries the commit index.
func (h *Host) spread(ctx context.Context, group uint32, poll <-chan time.Time) error {
	var index, term uint64
	for {
		v, err := h.lookAt(ctx, group)
		if err == nil && v.term != term {
			if h.proposeNothing(ctx, group) {
				index, term = v.last+1, v.term
			}
		}
		if err == nil && term == v.term && v.spreadTo(index) {
			return nil
		}
		if err != nil && h.ledElsewhere(group) {
			return err
		}
		select {
		case <-poll:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-h.life.Done():
			return ErrClosed
		}
	}
}

func (v *groupView) spreadTo(index uint64) bool {
	n := 0
	for _, raftID := range v.config.conf.Voters {
		p := v.progress[raftID]
		if p.Match >= index {
			n++
		} else if v.active[raftID] {
			return false
		}
	}
	return n > len(v.config.conf.Voters)/2
}

// proposeNothing appends an empty entry; false if raft does not take it now, as while it hands over.
func (h *Host) proposeNothing(ctx context.Context, group uint32) bool {
	lead := h.leader(group)
	if lead == nil {
		return false
	}
	taken, _ := onLoop(ctx, lead.l, func(l *loop) bool {
		l.drain()
		r := l.replicas[group]
		if r == nil || !r.leads() {
			return false
		}
		err := r.node.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: new(r.id), Entries: []*pb.Entry{{}}})
		l.touch(r)
		return err == nil
	})
	return taken
}

// proof is an entry that a learner has to have before it gets a vote. What the leader remembers of it is
// not enough: its drive may have been lost since.
type proof struct {
	learner     uint64
	term, index uint64
}

// shown reports whether the learner has the entry; it is proposed first.
func (p *proof) shown(ctx context.Context, h *Host, v *groupView, learner uint64) bool {
	if p.learner == learner && p.term == v.term {
		return v.progress[learner].Match >= p.index
	}
	if h.proposeNothing(ctx, v.group) {
		*p = proof{learner, v.term, v.last + 1}
	}
	return false
}

// moveStep looks where the move stands and does what comes next.
func (h *Host) moveStep(ctx context.Context, group uint32, from, to id.Drive, proof *proof) (done bool, err error) {
	v, err := h.lookAt(ctx, group)
	if err != nil {
		return false, err
	}
	c := v.config
	if c.joint() {
		return false, nil // raft leaves the joint configuration by itself
	}
	for _, learner := range c.conf.Learners {
		if c.members[learner] != to || v.lost[learner] { // left over from a move that was given up, or dead on its drive
			return false, h.proposeConfig(ctx, group, change(pb.ConfChangeRemoveNode, learner), nil)
		}
	}
	old := c.voterOn(from)
	if from == to && old != 0 && h.alive(v, to, old) {
		return true, nil
	}
	learner := c.learnerOn(to)
	switch {
	case learner == 0 && c.voterOn(to) != 0 && from != to:
		if old == 0 {
			return true, nil
		}
		return false, fmt.Errorf("replica: drive %s has a replica of group %d already", to, group)
	case old == 0:
		return false, errNoMove
	case learner == 0 && v.leader == old && len(c.conf.Voters) > 1:
		// First, while the group is whole: should the new leader be elsewhere, it is its host that moves
		// the replica, from the beginning.
		h.transfer(group, old)
		return false, nil
	case learner == 0:
		if h.loopOf(to) == nil && h.cfg.Transport == nil {
			return false, fmt.Errorf("replica: no drive %s here", to)
		}
		return false, h.proposeConfig(ctx, group, change(pb.ConfChangeAddLearnerNode, c.next), encodeAdded(c.next, to))
	case !v.caughtUp(learner) || !proof.shown(ctx, h, v, learner):
		return false, nil
	case v.leader == old:
		h.transfer(group, old)
		return false, nil
	}
	changes := append(change(pb.ConfChangeAddNode, learner), change(pb.ConfChangeRemoveNode, old)...)
	return false, h.proposeConfig(ctx, group, changes, nil)
}

func change(t pb.ConfChangeType, raftID uint64) []*pb.ConfChangeSingle {
	return []*pb.ConfChangeSingle{{Type: t.Enum(), NodeId: new(raftID)}}
}

func (c *groupConfig) voterOn(d id.Drive) uint64 {
	i := slices.IndexFunc(c.conf.Voters, func(raftID uint64) bool { return c.members[raftID] == d })
	if i < 0 {
		return 0
	}
	return c.conf.Voters[i]
}

func (c *groupConfig) learnerOn(d id.Drive) uint64 {
	i := slices.IndexFunc(c.conf.Learners, func(raftID uint64) bool { return c.members[raftID] == d })
	if i < 0 {
		return 0
	}
	return c.conf.Learners[i]
}

// alive reports whether a drive runs the replica, and can read its state. Of drives of other processes it knows what the
// leader has heard.
func (h *Host) alive(v *groupView, drive id.Drive, raftID uint64) bool {
	l := h.loopOf(drive)
	if l == nil {
		return v.active[raftID] && !v.lost[raftID]
	}
	found, _ := onLoop(h.life, l, func(l *loop) bool {
		r := l.replicas[v.group]
		return r != nil && r.id == raftID && r.suspect.Load() == 0
	})
	return found
}

// transfer asks the leader to hand over to the voter that has most.
func (h *Host) transfer(group uint32, not uint64) {
	lead := h.leader(group)
	if lead == nil {
		return
	}
	lead.l.in.call(func(l *loop) {
		v := l.look(group)
		if v == nil {
			return
		}
		var best, match uint64
		for _, raftID := range v.config.conf.Voters {
			if p := v.progress[raftID]; raftID != not && v.active[raftID] && p.Match > match {
				best, match = raftID, p.Match
			}
		}
		if best != 0 {
			r := l.replicas[group]
			r.node.TransferLeader(best)
			l.touch(r)
		}
	})
}

// proposeConfig has a change of configuration committed and applied at the leader.
func (h *Host) proposeConfig(ctx context.Context, group uint32, changes []*pb.ConfChangeSingle, added []byte) error {
	lead := h.leader(group)
	if lead == nil {
		return ErrNotLeader
	}
	p := newProposal(group, nil)
	p.conf = &pb.ConfChangeV2{
		Transition: pb.ConfChangeTransitionAuto.Enum(), Changes: changes, Context: added,
	}
	if !lead.l.in.call(func(l *loop) { l.proposeChange(p) }) {
		return ErrNotLeader
	}
	select {
	case o := <-p.done:
		if o.err == nil && o.result == nil {
			return errRefused
		}
		return o.err
	case <-lead.l.stopped: // it may not have seen it
		return ErrReadLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ledElsewhere reports whether, as far as is known here, a drive of another process leads the group.
func (h *Host) ledElsewhere(group uint32) bool {
	drive, ok := h.LeaderHint(group)
	return ok && h.loopOf(drive) == nil && h.cfg.Transport != nil
}

// proposeChange proposes a change by itself. Raft puts an empty entry in the place of one that it
// does not allow now; that answers the proposal.
func (l *loop) proposeChange(p *proposal) {
	l.drain()
	r := l.replicas[p.group]
	if r == nil || !r.leads() {
		p.fail(ErrNotLeader)
		return
	}
	data, err := proto.Marshal(p.conf)
	if err != nil {
		p.fail(err)
		return
	}
	entry := &pb.Entry{Type: pb.EntryConfChangeV2.Enum(), Data: data}
	if err := r.node.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: new(r.id), Entries: []*pb.Entry{entry}}); err != nil {
		p.fail(ErrOverloaded)
		return
	}
	r.unplaced = append(r.unplaced, p)
	l.touch(r)
	l.drain()
	if i := slices.Index(r.unplaced, p); i >= 0 {
		r.unplaced = slices.Delete(r.unplaced, i, i+1)
		p.fail(errRefused)
	}
}
