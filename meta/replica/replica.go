package replica

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// replica is one group's replica on one drive. But for the atomics it belongs to the drive's loop.
type replica struct {
	group uint32
	id    uint64 // raft ID
	node  *raft.RawNode
	st    *storage

	hard   hardState // raft's newest
	kept   hardState // what the log has, or is about to; commit may lag
	lead   uint64
	state  raft.StateType
	config *groupConfig
	// baseConfig is the encoded configuration at the base of the log. It matters while the base
	// is the group's beginning; later the KV has a newer one for certain.
	baseConfig []byte
	peers      map[uint64]id.Drive // where replicas that are not in config write from
	dirty      bool                // is in loop.dirty
	gone       bool                // was dropped: whatever still comes in for it is ignored
	lastSeq    uint64              // of the last batch that holds something of it

	incoming []*proposal // of this turn
	unplaced []*proposal // proposed, in order, not yet seen in the log
	awaiting []*proposal // in the log, ascending
	reads    []*read     // for the next question
	asking   []*read     // the question on its way
	question uint64
	// confirmed reads wait for the applier.
	confirmed []confirmedReads
	held      []*pb.Message // commit indexes to be sent with the next tick
	late      division      // a leader's followers

	heard       uint64            // tick of the last message
	heardLeader uint64            // and of the leader's
	campaignAt  uint64            // tick at which to campaign if there is no leader; 0 = never
	barred      barred            // a leader's: commands that it must not take any more
	suspects    map[id.Drive]bool // drives that are probably gone, the leader's among them
	// A leader's: when it last heard of members, and those that told that they are lost.
	heardFrom  map[uint64]uint64
	ledFrom    uint64 // tick since which it leads
	lost       map[uint64]bool
	spared     map[id.Drive]uint64 // drives that were told to go, and until which tick they are believed to
	unsettled  unsettled
	leaving    map[uint64]id.Drive // members that left, and are to be told when it is safe
	sparing    []*spareQuestion    // a follower's: on their way to the leader
	termStart  uint64              // leader: first index of its term, until it is applied
	staged     *stagedRange
	installing bool
	behind     []*pb.Message // storage messages that wait for an install
	sending    map[uint64]bool

	applied atomic.Uint64 // index, after its transaction committed
	rangeID atomic.Uint64
	suspect atomic.Int64 // when it last handed over because it could not read its state; Unix ns
	// The applier's: it found damage and applies nothing more; the newest snapshot swapped in.
	broken    bool
	installed uint64
	results   results
	stepped   uint64 // applied index that raft knows
	// flushed is the applied index that the KV's tables hold. Owned by the loop.
	flushed uint64
}

func (r *replica) leads() bool { return r.state == raft.StateLeader }

// newNode builds raft's part from what storage, config and applied say.
func (r *replica) newNode(cfg *Config, applied uint64) (err error) {
	defer func() { // the library panics on states that it cannot be in
		if p := recover(); p != nil {
			err = fmt.Errorf("replica: group %d: %v", r.group, p)
		}
	}()
	r.st.conf = r.config.conf
	r.st.hard = r.hard
	r.node, err = raft.NewRawNode(&raft.Config{
		ID:                        r.id,
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   r.st,
		Applied:                   applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             maxMessageBytes,
		MaxCommittedSizePerReady:  maxApplyingBytes,
		MaxUncommittedEntriesSize: maxUncommittedBytes,
		MaxInflightMsgs:           maxInflightMessages,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{log: cfg.Logger, group: r.group, id: r.id},
	})
	return err
}

func encodeQuestion(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func decodeQuestion(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// keptResults is how many results of applied entries a replica remembers: for proposers whose
// leader went away before it could answer.
const keptResults = 512

// results remembers what the newest entries came to.
type results struct {
	mu   sync.Mutex
	ring [keptResults]keptResult
}

type keptResult struct {
	at      entryID
	request requestID
	result  *metapb.Result
}

func (k *results) put(entries []*pb.Entry, results []*metapb.Result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, e := range entries {
		k.ring[e.GetIndex()%keptResults] = keptResult{entryID{e.GetIndex(), e.GetTerm()}, requestOf(e.GetData()), results[i]}
	}
}

// at is what was applied at an index, if it is still known.
func (k *results) at(index uint64) (keptResult, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.ring[index%keptResults]
	return e, e.at.index == index && index != 0
}
