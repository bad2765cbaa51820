package replica

import (
	"context"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// A command whose leader fell silent before it said where in the log it stands is found by its request
// ID. It was proposed to the leader of one term only, behind an index that is known. A later leader has
// all entries of that term that ever count below the first entry of its own: what it does not find
// there never happens. If the same leader is back, it bars the command first: what has not come in until
// then will not be taken.

// requestID is that of a command; zero: none.
type requestID [id.Size]byte

// requestField is the number of metapb.Command.request_id, which is encoded first.
const requestField = 1

// requestOf is the request ID of an encoded command.
func requestOf(command []byte) (out requestID) {
	number, kind, n := protowire.ConsumeTag(command)
	if n < 0 || number != requestField || kind != protowire.BytesType {
		return out
	}
	if raw, n := protowire.ConsumeBytes(command[n:]); n >= 0 && len(raw) == len(out) {
		copy(out[:], raw)
	}
	return out
}

// barred are commands that a leader must not take any more.
type barred []requestID

// maxBarred bounds them; they are forgotten with the term.
const maxBarred = 1024

func (b barred) has(command []byte) bool {
	return len(b) > 0 && slices.Contains(b, requestOf(command))
}

// trace is Outcome for a command of which only the request ID is known.
func (h *Host) trace(ctx context.Context, u *UnknownError) (result *metapb.Result, known bool, err error) {
	request := requestID(u.Request)
	if lead := h.leader(u.Group); lead != nil && lead.term == u.Term {
		if err := lead.bar(ctx, request); err != nil {
			return nil, false, err
		}
	}
	lead, err := h.confirm(ctx, u.Group)
	if err != nil {
		return nil, false, err
	}
	if lead.term < u.Term {
		return nil, false, ErrNotLeader // one that does not know yet that it is over
	}
	kept, found, sure := lead.r.results.find(request, u.Term, u.After, lead.r.applied.Load())
	if found {
		return kept.result, true, nil
	}
	return nil, sure, nil
}

// bar has the leader refuse a command from now on. It returns ErrNotLeader while the command is in the
// log and its outcome open, and when the leader cannot remember more.
func (lead *leadership) bar(ctx context.Context, request requestID) error {
	err, answered := onLoop(ctx, lead.l, func(*loop) error { return lead.r.bar(lead.term, request) })
	if !answered {
		return ErrNotLeader
	}
	return err
}

func (r *replica) bar(term uint64, request requestID) error {
	if !r.leads() || r.hard.term != term {
		return ErrNotLeader
	}
	if !slices.Contains(r.barred, request) {
		if len(r.barred) == maxBarred {
			return ErrNotLeader
		}
		r.barred = append(r.barred, request)
	}
	for _, ps := range [][]*proposal{r.awaiting, r.unplaced} {
		for _, p := range ps {
			if requestOf(p.data) == request {
				return ErrNotLeader
			}
		}
	}
	return nil
}

// find looks among what was applied, up to an index, for a command that was proposed behind another
// index and in a term. sure: if it was not found, it will never take effect.
func (k *results) find(request requestID, term, after, applied uint64) (kept keptResult, found, sure bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for index := after + 1; index <= applied; index++ {
		e := k.ring[index%keptResults]
		if e.at.index != index {
			return keptResult{}, false, false // forgotten
		}
		if e.at.term > term {
			break
		}
		if e.at.term == term && e.request == request {
			return e, true, true
		}
	}
	return keptResult{}, false, true
}

// Led is the term in which a replica here leads the group, and an index that is committed; zeros if none
// does.
func (h *Host) Led(group uint32) (term, committed uint64) {
	lead := h.leader(group)
	if lead == nil {
		return 0, 0
	}
	return lead.term, lead.r.applied.Load()
}
