package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"holdfast/internal/id"
	"holdfast/meta/fsm"
	"holdfast/proto/metapb"
)

// DriveHandle is what the replicas on a drive need of it.
type DriveHandle struct {
	// ID names the drive.
	ID id.Drive
	// KV is the drive's Badger.
	KV KV
	// OpenLog opens the drive's raft log and replays all of it.
	OpenLog func(replay Replay) (Log, error)
	// ResetLog moves a damaged raft log aside, so that OpenLog begins an empty one. nil: a drive
	// with a damaged log takes no part.
	ResetLog func() error
	// Fail takes the drive out for everyone, after an error of its log or KV.
	Fail func(error)
	// Failed is not nil once the drive is out; asked at every tick.
	Failed func() error
	// Full reports whether the drive has reached its reserve; asked about once a second. nil: never.
	Full func() bool
}

// Config says what a Host does.
type Config struct {
	// Drives are those of this process. A host may have none.
	Drives []DriveHandle
	// Groups is the number of object groups; they are numbered from 1, the system group is 0.
	Groups uint32
	// Apply and Answer are the state machine: fsm.Apply and fsm.Answer, outside tests.
	Apply  func(s fsm.Store, group uint32, index uint64, cmd *metapb.Command) (*metapb.Result, error)
	Answer func(r fsm.Reader, group uint32, q *metapb.Query) (*metapb.Answer, error)
	// Beginning, at the first start of a cluster, is what its groups begin with; written to the
	// drives here unless they have started already. Whoever sets it knows (by the drives'
	// identity files) that the cluster is new: drives that have all lost their logs look new too.
	Beginning *Beginning
	// Transport carries messages to drives of other processes; nil: there are none.
	Transport Transport
	// OnDamage, if set, is told on a goroutine of its own that a replica on a drive found damage
	// in what it keeps, or that the drive went out of its groups because of an error.
	OnDamage func(drive id.Drive, err error)
	// Full reports whether a drive of another process has reached its reserve; nil: none has.
	Full func(drive id.Drive) bool
	// Leaves reports whether a drive is to be emptied: it should lead no group. nil: none is.
	Leaves func(drive id.Drive) bool
	// Logger takes what operators should know; default none.
	Logger *slog.Logger

	// Tick is raft's unit of time. All groups of a process tick together, so that their
	// heartbeats leave together. Default 100 ms.
	Tick time.Duration
	// HeartbeatTicks between a leader's heartbeats. Default 5: two may be lost before anyone
	// campaigns, and an idle group costs next to nothing.
	HeartbeatTicks int
	// ElectionTicks without a heartbeat, and up to twice as many, make a follower campaign; a
	// leader that hears no quorum for so long steps down. Default 10.
	ElectionTicks int

	// CacheBytes bounds the entries a replica keeps in memory for its followers, in bytes of
	// their data. In one process the replicas of a group share them. Default 512 KiB.
	CacheBytes int
	// KeepEntries is how many applied entries a replica keeps in its log for slow followers;
	// one that needs older ones gets a snapshot. Default 4096.
	KeepEntries uint64
	// ChunkBytes is about the size of a snapshot's chunks, each a transaction at the receiver; at
	// most what a transaction takes. Default 512 KiB.
	ChunkBytes int
	// LogBytes is what sealed segments may hold before old ones are cut off, in bytes.
	// Default 64 MiB.
	LogBytes int64
	// MaxPending bounds the proposals and, apart from them, the reads that wait in a drive's
	// inbox. Default 4096.
	MaxPending int
	// MaxQueuedBytes bounds the messages from other replicas in a drive's inbox, in bytes;
	// more are dropped, which raft survives. Default 64 MiB.
	MaxQueuedBytes int
}

func (c *Config) validate() error {
	if c.Apply == nil || c.Answer == nil || c.Groups == 0 {
		return errors.New("replica: Config needs Apply, Answer and Groups")
	}
	if c.Beginning != nil {
		if err := c.Beginning.validate(); err != nil {
			return err
		}
	}
	seen := map[id.Drive]bool{}
	for _, d := range c.Drives {
		if d.ID.IsZero() || seen[d.ID] || d.KV == nil || d.OpenLog == nil {
			return fmt.Errorf("replica: drive %s is given twice or without KV or OpenLog", d.ID)
		}
		seen[d.ID] = true
	}
	fill(&c.Tick, 100*time.Millisecond)
	fill(&c.HeartbeatTicks, 5)
	fill(&c.ElectionTicks, 10)
	fill(&c.CacheBytes, 512<<10)
	fill(&c.KeepEntries, 4096)
	fill(&c.ChunkBytes, 512<<10)
	fill(&c.LogBytes, 64<<20)
	fill(&c.MaxPending, 4096)
	fill(&c.MaxQueuedBytes, 64<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ElectionTicks <= c.HeartbeatTicks {
		return errors.New("replica: ElectionTicks must be above HeartbeatTicks")
	}
	return nil
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Limits of raft, the same for every group.
const (
	// maxMessageBytes bounds the entries of one append message.
	maxMessageBytes = 1 << 20
	// maxApplyingBytes bounds what a group may have at the applier.
	maxApplyingBytes = 4 << 20
	// maxUncommittedBytes bounds a leader's uncommitted tail; beyond it proposals are refused.
	maxUncommittedBytes = 16 << 20
	// maxInflightMessages and maxInflightBytes bound what a leader sends to one follower
	// without an answer.
	maxInflightMessages = 256
	maxInflightBytes    = 8 << 20
	// maxProposalBytes bounds the entries of one proposal message.
	maxProposalBytes = 1 << 20
)
