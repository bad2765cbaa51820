package replica

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
)

// configVersion is the first byte of an encoded groupConfig.
const configVersion = 1

// groupConfig says who is in a group: raft's configuration and the drive of each raft ID. It is
// part of the replicated state. A value is never changed once it is shared; see with.
type groupConfig struct {
	next    uint64              // the next raft ID to give out; those below it were given out
	members map[uint64]id.Drive // exactly the raft IDs in conf
	conf    *pb.ConfState
}

func emptyConfig() *groupConfig { return &groupConfig{conf: &pb.ConfState{}} }

// bootConfig is the configuration of a new group on drives, with the raft IDs 1, 2, ….
func bootConfig(drives []id.Drive) *groupConfig {
	c := &groupConfig{next: 1, members: make(map[uint64]id.Drive), conf: &pb.ConfState{}}
	for _, d := range drives {
		c.members[c.next] = d
		c.conf.Voters = append(c.conf.Voters, c.next)
		c.next++
	}
	return c
}

// has reports whether a raft ID is a member, in whatever role.
func (c *groupConfig) has(raftID uint64) bool { _, ok := c.members[raftID]; return ok }

// gone reports whether a raft ID was a member and is none any more. IDs are never used again,
// so this is final.
func (c *groupConfig) gone(raftID uint64) bool { return raftID < c.next && !c.has(raftID) }

func (c *groupConfig) isLearner(raftID uint64) bool {
	return slices.Contains(c.conf.Learners, raftID) || slices.Contains(c.conf.LearnersNext, raftID)
}

// isVoter reports whether a raft ID votes, in either half of a joint configuration.
func (c *groupConfig) isVoter(raftID uint64) bool {
	return slices.Contains(c.conf.Voters, raftID) || slices.Contains(c.conf.VotersOutgoing, raftID)
}

func (c *groupConfig) joint() bool { return len(c.conf.VotersOutgoing) > 0 }

// voters are the raft IDs that vote, ascending.
func (c *groupConfig) voters() []uint64 {
	all := slices.Concat(c.conf.Voters, c.conf.VotersOutgoing)
	slices.Sort(all)
	return slices.Compact(all)
}

// with is the configuration after raft switched to conf; added are the new members' drives.
func (c *groupConfig) with(conf *pb.ConfState, added map[uint64]id.Drive) *groupConfig {
	n := &groupConfig{next: c.next, members: make(map[uint64]id.Drive, len(c.members)+1), conf: conf}
	for _, raftID := range slices.Concat(conf.Voters, conf.Learners, conf.VotersOutgoing, conf.LearnersNext) {
		if d, ok := c.members[raftID]; ok {
			n.members[raftID] = d
		} else {
			n.members[raftID] = added[raftID]
		}
		n.next = max(n.next, raftID+1)
	}
	return n
}

// encode: version u8 | next u64 | members u32 × (raftID u64, drive 16) | voters | learners |
// outgoing | learners next (each u32 × u64) | auto leave u8.
func (c *groupConfig) encode() []byte {
	b := append(make([]byte, 0, 64+24*len(c.members)), configVersion)
	b = binary.LittleEndian.AppendUint64(b, c.next)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(c.members)))
	for _, raftID := range slices.Sorted(maps.Keys(c.members)) {
		b = binary.LittleEndian.AppendUint64(b, raftID)
		d := c.members[raftID]
		b = append(b, d[:]...)
	}
	for _, ids := range [][]uint64{c.conf.Voters, c.conf.Learners, c.conf.VotersOutgoing, c.conf.LearnersNext} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(ids)))
		for _, raftID := range ids {
			b = binary.LittleEndian.AppendUint64(b, raftID)
		}
	}
	if c.conf.GetAutoLeave() {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeConfig(b []byte) (*groupConfig, error) {
	d := decoder{buf: b}
	if v := d.u8(); v != configVersion {
		return nil, fmt.Errorf("%w: group configuration of version %d", errRecord, v)
	}
	c := &groupConfig{next: d.u64(), members: make(map[uint64]id.Drive), conf: &pb.ConfState{}}
	for n := int(d.u32()); n > 0 && d.err == nil; n-- {
		raftID := d.u64()
		if raw := d.bytes(id.Size); raw != nil {
			c.members[raftID] = id.Drive(raw)
		}
	}
	for _, ids := range []*[]uint64{&c.conf.Voters, &c.conf.Learners, &c.conf.VotersOutgoing, &c.conf.LearnersNext} {
		for n := int(d.u32()); n > 0 && d.err == nil; n-- {
			*ids = append(*ids, d.u64())
		}
	}
	if d.u8() == 1 {
		c.conf.AutoLeave = new(true)
	}
	if d.err != nil || d.off != len(b) {
		return nil, fmt.Errorf("%w: group configuration", errRecord)
	}
	return c, nil
}

// encodeAdded is the context of a configuration change: the drives of the raft IDs it adds.
func encodeAdded(raftID uint64, d id.Drive) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+id.Size), raftID)
	return append(b, d[:]...)
}

func decodeAdded(b []byte) (map[uint64]id.Drive, error) {
	if len(b) == 0 {
		return nil, nil
	}
	d := decoder{buf: b}
	raftID, drive := d.u64(), d.bytes(id.Size)
	if d.err != nil || d.off != len(b) {
		return nil, fmt.Errorf("%w: context of a configuration change", errRecord)
	}
	return map[uint64]id.Drive{raftID: id.Drive(drive)}, nil
}
