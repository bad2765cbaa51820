// Package rebalance brings shards and metadata replicas to where placement wants them: onto a drive that
// has joined, off one that is to leave. Repair is for what is lost; what is moved here is whole, before,
// after and in between.
//
//	survey     walks the data records of the groups led here and compares the drives of each with those that
//	           placement would choose among all that stay, alive or not
//	relocate   copies shard i from drive a to drive b (or rebuilds it, where a does not answer), swaps
//	           the drives in the record, and leaves the old shard for a while
//	leftovers  deletes what was left behind
//	replicas   moves replicas of the groups led here, one at a time
//	drained    retires a drive that was to leave when nothing names it any more
//
// There is no state but the records: a process that ends, or a group that is led elsewhere, is gone on
// with by whoever leads the group next, from what the records say.
//
//  1. Sets are compared, not places in a row: a shard on a drive that placement wants for any shard of the
//     data stays. So no more moves than has to.
//  2. A drive that stays is a target of placement while it is down or full, and nothing is moved to it then.
//     So nothing moves for an absence and back after it. What must leave a drive goes elsewhere instead.
//  3. The old shard is deleted after ReclaimAfter, not at once: readers that looked the record up before
//     the swap may still read there. The group is asked that the record does not name it (it could have gone
//     back), and the drive that it names that the shard is there (a sweep that was held up may have
//     deleted it). If the process ends first, the sweep finds the old shard.
//  4. A replica moves only when its drive is to leave, when that spreads the group further, or when its
//     drive has two replicas more than the other; towards what placement wants alone, and only in a group
//     that is whole. Each such move brings the group nearer to that, so they come to an end.
//  5. A move that another leader began, whose learner is there, is gone on with unless that would make the drives
//     less level than they are; one that nobody wants any more is undone.
package rebalance
