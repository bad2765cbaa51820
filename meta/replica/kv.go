package replica

import (
	"context"
	"errors"

	"holdfast/meta/fsm"
)

// ErrTxnTooBig says that the transaction cannot take this write. It must be discarded, and what
// it did done again in several.
var ErrTxnTooBig = errors.New("replica: transaction too big")

// KV is the ordered store under the replicas of a drive: the drive's Badger (see NewBadger), or a
// map in tests. It is never trusted to keep what was committed until Flushed covers it, but what
// survives is always a prefix of the transactions, each of them whole.
type KV interface {
	// Begin opens a transaction. A writing one sees its own writes; there is no conflict
	// detection, writers keep to keys of their own.
	Begin(write bool) Txn
	// Flushed is the highest version up to which every transaction survives a power cut.
	Flushed() uint64
	// Flush returns when Flushed has reached version, and makes that happen.
	Flush(ctx context.Context, version uint64) error
}

// Txn is a transaction on a KV. Slices handed in must not change until it ends.
type Txn interface {
	fsm.Store
	// Version is a version not below that of any transaction committed before Begin.
	Version() uint64
	// Err is what the transaction met that makes all it has read worthless, iterators that ended early among it.
	Err() error
	// Commit ends the transaction; if it returns nil, later transactions see its writes. It fails with Err.
	Commit() error
	// Discard drops it; after Commit it does nothing.
	Discard()
}
