// Package repair keeps what is stored whole and what is not needed gone.
//
//	reaper    deletes the shards of data that apply has put on the garbage list, after a grace
//	          in which readers that had already found the version may finish
//	worker    takes data IDs from the groups' repair queues, from lost drives and from the scrub,
//	          looks at all k+m shards, rebuilds what is missing and swaps it in
//	scrub     walks the drives and verifies every byte, walks the groups and misses every shard
//	sweep     deletes shards that no group knows: asked twice, a grace period apart
//	replicas  moves metadata replicas off lost drives
//	watch     gives up drives that are absent for too long
//
// In a cluster each queue is worked by the node that leads its group, scrub and sweep by each node for
// its own drives, and a drive is given up, and retired when nothing names it any more, by the
// node that leads the system group. So nothing is done once a node that looks.
//
// All of them are queues in front of the one primitive "shard i of data ID d from drive a to drive
// b". All are idempotent: two processes that do the same at once waste work and harm nothing,
// because a swap is conditional on what its proposer saw and a rebuilt shard equals the lost one.
//
// Nothing is ever deleted for want of evidence: an unreachable group or drive stops the step.
package repair
