package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// Propose sends an encoded command through the group's log and returns what it came to. Errors:
// ErrNotLeader and ErrOverloaded (nothing happened), *UnknownError, or ctx's (may have happened).
func (h *Host) Propose(ctx context.Context, group uint32, data []byte) (*metapb.Result, error) {
	if len(data) == 0 || len(data) > MaxCommand {
		return nil, fmt.Errorf("replica: command of %d bytes", len(data))
	}
	lead := h.leader(group)
	if lead == nil {
		return nil, ErrNotLeader
	}
	return h.ProposeIn(ctx, group, lead.term, data)
}

// ProposeIn is Propose to the leader of a term, and to no later one: whoever has no answer can find
// out by Outcome what became of the command, for it cannot come to anything once that term is over.
func (h *Host) ProposeIn(ctx context.Context, group uint32, term uint64, data []byte) (*metapb.Result, error) {
	if len(data) == 0 || len(data) > MaxCommand {
		return nil, fmt.Errorf("replica: command of %d bytes", len(data))
	}
	lead := h.leader(group)
	if lead == nil || lead.term != term {
		return nil, ErrNotLeader
	}
	p := newProposal(group, data)
	p.term, p.after = term, lead.r.applied.Load()
	taken, open := lead.l.in.propose(p)
	if !open {
		return nil, ErrNotLeader
	}
	if !taken {
		return nil, ErrOverloaded
	}
	select {
	case o := <-p.done:
		return o.result, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// confirm returns the leader's replica after it was confirmed to lead, with everything applied that
// had been committed when confirm was called.
func (h *Host) confirm(ctx context.Context, group uint32) (*leadership, error) {
	lead := h.leader(group)
	if lead == nil {
		return nil, ErrNotLeader
	}
	q := &read{group: group, done: make(chan readOutcome, 1)}
	taken, open := lead.l.in.read(q)
	if !open {
		return nil, ErrNotLeader
	}
	if !taken {
		return nil, ErrOverloaded
	}
	select {
	case o := <-q.done:
		if o.err != nil {
			return nil, o.err
		}
		if o.replica != lead.r {
			return nil, ErrReadLost
		}
		return lead, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Ask answers a query: linearizable, from one read transaction at the leader's replica.
func (h *Host) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	lead, err := h.confirm(ctx, group)
	if err != nil {
		return nil, err
	}
	var a *metapb.Answer
	err = lead.l.view(lead.r, func(s fsm.Reader) (err error) {
		a, err = h.cfg.Answer(s, group, q)
		return err
	})
	if errors.Is(err, ErrReadLost) {
		return nil, err
	}
	if err != nil {
		return nil, h.mistrust(lead, err)
	}
	return a, nil
}

// mistrustFor is how long a replica that handed over because it could not read its own state
// answers with the error if it leads again: else a query that no replica can answer would chase the
// leadership around.
const mistrustFor = 10 * time.Second

// mistrust deals with a leader that cannot read what it once wrote: the others have it too. It
// hands over, and counts as missing until it is rebuilt. The caller tries again.
func (h *Host) mistrust(lead *leadership, err error) error {
	r := lead.r
	since := time.Now().UnixNano()
	if before := r.suspect.Load(); before != 0 && since-before < int64(mistrustFor) || !r.suspect.CompareAndSwap(before, since) {
		return fmt.Errorf("replica: group %d on drive %s: %w", r.group, lead.l.drive.ID, err)
	}
	h.cfg.Logger.Error("replica cannot read its state", "drive", lead.l.drive.ID, "group", r.group, "error", err)
	h.damaged(lead.l.drive.ID, err)
	h.transfer(r.group, r.id)
	return ErrReadLost
}

// view runs f on the replica's range as it is now.
func (l *loop) view(r *replica, f func(fsm.Reader) error) error {
	if !l.enter() {
		return ErrReadLost
	}
	defer l.leave()
	for {
		rangeID := r.rangeID.Load()
		txn := l.drive.KV.Begin(false)
		if r.rangeID.Load() != rangeID { // swapped in between: what txn sees of either is not sure
			txn.Discard()
			continue
		}
		defer txn.Discard()
		err := f(&ranged{txn: txn, prefix: rangePrefix(rangeID)})
		if damage := txn.Err(); damage != nil {
			return damage
		}
		return err
	}
}

// Outcome finds out what became of a proposal after an UnknownError: its result; or known and no
// result if it is certain that it never takes effect; or not known, if that is too long ago.
func (h *Host) Outcome(ctx context.Context, u *UnknownError) (result *metapb.Result, known bool, err error) {
	if !u.traceable() {
		return nil, false, nil
	}
	if u.Index == 0 {
		return h.trace(ctx, u)
	}
	lead, err := h.confirm(ctx, u.Group)
	if err != nil {
		return nil, false, err
	}
	if lead.term <= u.Term {
		return nil, false, ErrNotLeader // not yet replaced
	}
	kept, found := lead.r.results.at(u.Index)
	switch {
	case found && kept.at.term == u.Term:
		return kept.result, true, nil
	case found:
		return nil, true, nil // another entry took its place
	case lead.r.applied.Load() < u.Index:
		// The leader has committed an entry of its own, later term below this index: nothing of an
		// earlier term can follow it.
		return nil, true, nil
	}
	return nil, false, nil
}

// WaitReady returns when every group has a leader here that can answer or, as far as a replica here
// knows, a leader elsewhere. Of groups without a replica here nothing is known, if there are
// other processes.
func (h *Host) WaitReady(ctx context.Context) error {
	for {
		changed := h.Changed()
		ready := true
		for i := range h.groups {
			ready = ready && h.ready(&h.groups[i])
		}
		if ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *Host) ready(g *groupState) bool {
	if lead := g.leader.Load(); lead != nil {
		return lead.settled
	}
	_, led := g.hinted()
	return h.cfg.Transport != nil && (led || g.replicas.Load() == 0)
}
