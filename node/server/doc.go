// Package server lends the drives of this process to its peers (node/client is the other side).
//
//	Server   the service; knows the drives of this process, and never another's
//	lane     one drive's calls: at most so many are in the drive, so that one that hangs holds
//	         memory and goroutines of its own alone
//
// A block is copied once between the connection and the drive, into an aligned buffer of a pool with
// room for the drive's trailer, so that it goes to disk by O_DIRECT. What waits to be copied is bounded by
// the flow-control window of its stream.
//
// A shard is there once its stream has ended without an error. A stream that breaks, whatever the reason,
// aborts the shard.
package server
