package replica

import (
	"fmt"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// decodedSlots is the size of the cache of decoded commands. At 5,000 commands a second the
// replicas of a group, a message apart, need far fewer.
const decodedSlots = 512

// decoded shares decoded commands between the replicas of a process: they apply the very same
// entries, and all but the first find the command here. The state machine does not modify it.
type decoded struct {
	slots [decodedSlots]atomic.Pointer[decodedCommand]
}

type decodedCommand struct {
	entry *pb.Entry // keeps the address taken
	cmd   *metapb.Command
}

func (d *decoded) get(e *pb.Entry) (*metapb.Command, error) {
	slot := &d.slots[(e.GetIndex()*31+uint64(len(e.GetData())))%decodedSlots]
	if c := slot.Load(); c != nil && c.entry == e {
		return c.cmd, nil
	}
	cmd := &metapb.Command{}
	if err := proto.Unmarshal(e.GetData(), cmd); err != nil {
		return nil, fmt.Errorf("decode command: %w: %w", fsm.ErrDamaged, err)
	}
	slot.Store(&decodedCommand{e, cmd})
	return cmd, nil
}
