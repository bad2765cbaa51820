// Package index remembers where each shard of a drive is: in which record of the shard log or in
// which blob file. It lives in the drive's Badger and follows the shard log: whatever it holds can
// be found again by replaying the log from the position that is stored with it.
//
// Nouns. An Op is one record of the shard log as the index sees it: a shard put, a copy of one that
// garbage collection made, or a set of deletions. An Entry is a shard and its place.
//
// # Keys and values in Badger (all begin with 's'; integers big endian in keys, little in values)
//
//	"se" data ID [16] index [1]   entry, 64 bytes:
//	     0 version  1 k  2 m  3 zero  4 block length u32  8 length u64  16 blob u64
//	     24 place: segment u64, offset u64  40 origin: segment u64, offset u64
//	     56 bytes of the record in the log u32  60 zero u32
//	"sg" segment [8]              what of that segment is needed, in bytes of records:
//	                              shards u64, deletions u64
//	"sp"                          position of the last record applied (segment u64, offset u64),
//	                              number of shards u64, next blob number u64
//	"sz"                          nothing: filler, see package drive
//
// # Invariants
//
//   - The position is written in the same transaction as the effects of all records up to it.
//   - Ops are applied in the order of the log. Until they are, the overlay answers for them, so a shard
//     is visible as soon as Submit returned.
//   - Submit never blocks and never reads; Admit is where a caller waits when too much is pending.
//   - One goroutine applies; many commits share one transaction. It sleeps when there is nothing.
//
// # Copies and deletions
//
// The origin of a shard is the place of its first record; a copy carries it along. A deletion at
// place D removes a shard whose origin is before D. So the outcome does not depend on which of a
// shard's copies are still there, or whether a record is seen twice. During a replay a copy whose
// origin lies before the replay's start stands only if the index has that very shard (else it was
// deleted before); one whose origin lies behind it stands unless a deletion in the replay says no.
package index
