package replica

import (
	"errors"
	"fmt"

	"holdfast/internal/id"
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
// it may be committed or not. Host.Outcome finds out: by its place in the log, or, if the leader did not
// live to tell that (Index is 0), by the command's request ID.
type UnknownError struct {
	Group uint32
	// Index is its place in the log; 0: not known.
	Index uint64
	// Term is the only one in which it can have got into the log; 0: not known.
	Term uint64
	// After is an index that was committed before it was proposed: it is behind that, if anywhere.
	After uint64
	// Request is the command's request ID. Who proposed it fills it in.
	Request []byte
}

// traceable reports whether there is something to find the command by.
func (e *UnknownError) traceable() bool {
	return e.Index != 0 || e.Term != 0 && len(e.Request) == id.Size
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the outcome of a change to group %d is not known", e.Group)
}

// Unwrap gives it a kind.
func (e *UnknownError) Unwrap() error {
	return &kind.Error{Kind: kind.Unavailable, Message: "leader changed"}
}
