package replica

import (
	"errors"
	"fmt"

	"holdfast/internal/kind"
)

// What becomes of a request that was not answered. NotLeader and Overloaded mean that it surely
// did not and will not take effect.
var (
	// ErrNotLeader: the replica asked does not lead its group, or there is none.
	ErrNotLeader = kind.New(kind.NotLeader, "not the leader of the group")
	// ErrOverloaded: a queue or raft's uncommitted tail is full.
	ErrOverloaded = kind.New(kind.Unavailable, "too many requests wait for the group")
	// ErrClosed: the host is closing, or the drive is out.
	ErrClosed = errors.New("replica: closed")
	// ErrReadLost: the leader changed while a read waited. It may be asked again.
	ErrReadLost = kind.New(kind.NotLeader, "the leader changed before the read was confirmed")
)

// UnknownError says that the leader changed, or its drive went out, while a proposal was on its way:
// it may be committed or not. Host.Outcome finds out by its place in the log.
type UnknownError struct {
	Group       uint32
	Index, Term uint64
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the outcome of a change to group %d is not known", e.Group)
}

// Unwrap gives it a kind.
func (e *UnknownError) Unwrap() error {
	return &kind.Error{Kind: kind.Unavailable, Message: "leader changed"}
}
