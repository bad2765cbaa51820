// Package upkeep holds what repair and rebalance share: walking data records, changing them so that
// no other change is lost, and what is to become of a drive.
//
// A move of shards has three steps: copy or rebuild, swap the drives in the data record, and, later,
// delete what was left behind. The record is the truth at any moment in between: a copy that no
// record names is an orphan, which the sweep takes if whoever made it cannot.
//
//  1. A swap holds for the whole record or not at all: it is refused when any shard of the data was
//     moved since the record was read, so that two who move at once never put two shards on a drive.
//  2. Nothing is deleted without the word of the group that owns the data.
//  3. A drive is lost when the layout says so, not because it does not answer.
package upkeep
