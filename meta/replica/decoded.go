package replica

import (
	"fmt"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

const (
	// decodedSlots is the size of the cache of commands. At 5,000 commands a second the
	// replicas of a group, a message apart, need far fewer.
	decodedSlots = 512
	// maxEffects is up to how many bytes what a command writes is kept for the other replicas.
	maxEffects = 32 << 10
)

// decoded shares the work on commands between the replicas of a process. Group, term and index name an
// entry for ever, each replica applies it to the state that the entries before it have made, and the state machine is
// pure: the first replica decodes a command and runs it, the others write what it wrote.
type decoded struct {
	slots [decodedSlots]atomic.Pointer[decodedCommand]
}

type decodedCommand struct {
	group   uint32
	at      entryID
	cmd     *metapb.Command // the state machine does not modify it
	effects atomic.Pointer[effects]
}

// effects is what a command does to the store, with keys relative to the range, and its answer.
type effects struct {
	writes []write
	result *metapb.Result
}

// write is one Set; a Delete if value is nil. No stored value is empty.
type write struct{ key, value []byte }

func (d *decoded) get(group uint32, e *pb.Entry) (*decodedCommand, error) {
	at := entryID{e.GetIndex(), e.GetTerm()}
	slot := &d.slots[(at.index*31+uint64(group))%decodedSlots]
	if c := slot.Load(); c != nil && c.group == group && c.at == at {
		return c, nil
	}
	cmd := &metapb.Command{}
	if err := proto.Unmarshal(e.GetData(), cmd); err != nil {
		return nil, fmt.Errorf("decode command: %w: %w", fsm.ErrDamaged, err)
	}
	c := &decodedCommand{group: group, at: at, cmd: cmd}
	slot.Store(c)
	return c, nil
}

type applyFunc = func(s fsm.Store, group uint32, index uint64, cmd *metapb.Command) (*metapb.Result, error)

// run applies the command to a replica's state.
func (c *decodedCommand) run(s *ranged, apply applyFunc) (*metapb.Result, error) {
	if known := c.effects.Load(); known != nil {
		return known.result, known.replay(s)
	}
	r := &recorder{ranged: s}
	res, err := apply(r, c.group, c.at.index, c.cmd)
	// What was read from a damaged store is nobody else's business.
	if err == nil && s.txn.Err() == nil && r.bytes <= maxEffects {
		c.effects.Store(&effects{r.writes, res})
	}
	return res, err
}

func (e *effects) replay(s fsm.Store) error {
	for _, w := range e.writes {
		var err error
		if w.value == nil {
			err = s.Delete(w.key)
		} else {
			err = s.Set(w.key, w.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recorder notes what the state machine writes; its slices stay as they are.
type recorder struct {
	*ranged
	writes []write
	bytes  int
}

// Set implements fsm.Store.
func (r *recorder) Set(key, value []byte) error { return r.note(key, value, r.ranged.Set(key, value)) }

// Delete implements fsm.Store.
func (r *recorder) Delete(key []byte) error { return r.note(key, nil, r.ranged.Delete(key)) }

func (r *recorder) note(key, value []byte, err error) error {
	if r.bytes += len(key) + len(value); r.bytes <= maxEffects {
		r.writes = append(r.writes, write{key, value})
	}
	return err
}
