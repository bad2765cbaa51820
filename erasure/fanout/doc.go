// Package fanout moves erasure-coded data to and from many drives at once. It knows data IDs,
// schemes and drives, and neither bucket nor key nor plaintext.
//
// # Put
//
//	caller's goroutine          encoder           one goroutine a shard       inspector (optional)
//	read stripe n+1 from src ─► encode stripe n ─► write block of stripe n    hash what was read
//	straight into k blocks      m parity blocks    … commit (fsync)
//
// Data of one stripe at most is read and encoded before a drive is asked, and needs neither encoder
// nor inspector goroutine. The shards' goroutines stay even there, because their commits wait for
// disks and must wait at the same time.
//
//  1. Put returns drives when at least K+Margin shards are durable, else an error; then nothing of
//     the data stays on any drive that answers within Config.Grace, and what comes later is deleted
//     when it comes. A drive that does not answer at all leaves an orphan for the sweep.
//  2. A drive that is missing or fails before it has taken a stripe is replaced by a spare; data of
//     one stripe, even when it fails later. Else its shard is lost and the others go on.
//  3. A drive that is slower than a quorum of the others may hold the write up for Grace and
//     GraceShare of the time the write has taken, over its whole length. Then it is abandoned: its
//     shard is reported missing and what it makes durable later is deleted. Only M-Margin can be.
//  4. Once a write has memory for a stripe it keeps it to the end, so it waits for no other write.
//     A block that an abandoned drive still holds is never used for anything else; a drive that
//     holds Config.MaxStuck of them is passed over.
//  5. Padding is zero, whatever the buffers held before.
//  6. src is read to exactly Length bytes, by the caller's goroutine. Its error aborts the write,
//     also when it comes together with the last bytes.
//
// # Get
//
//		stripe n:   ReadBlock of the wanted spans ─► all there: hand to sink
//		            an error, damage, or late (hedge): the hull of the wanted spans from other shards,
//		            until K have it ─► decode what is missing ─► hand to sink
//		stripe n+1: is read while sink has stripe n
//
//	 1. Only the blocks that the range touches are read, and of them only the range. Drives verify
//	    whole blocks and compare the shard's geometry with what is asked, so a stale, swapped or
//	    rotten shard is an error here and never bytes.
//	 2. A drive without a way to it is not asked. An error is answered at once by reading another
//	    shard; slowness after a delay: the median of what the drives' reads seldom exceed (mean and four
//	    deviations), within bounds. A drive far slower than the median is asked last, but for a probe
//	    now and then. Each shard is asked once a stripe, so there are at most M spare reads.
//	 3. A damaged block does not condemn its shard, it is only asked later: a stripe is readable as
//	    long as any K of its blocks are.
//	 4. A read holds one stripe, or two while memory is plentiful. When the sink takes longer than
//	    StallAfter for a stripe, the read lets go of all but the block that the sink has and goes on a
//	    sealed chunk at a time, so that slow clients do not starve the others.
//
// An error has kind Unavailable when drives that do not answer could make it good, Damaged when they
// could not, Full when all drives are, Canceled when the context ended.
package fanout
