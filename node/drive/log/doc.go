// Package log is the one append-only log of Holdfast: a drive keeps its small shards in one and
// the entries of its Raft replicas in another.
//
// Nouns. A log is a directory of segments, a segment a file NNNNNN.log, a segment holds records.
// A record has a kind, which means something to the caller alone, and a payload. A batch is what
// one write and one fdatasync made durable together.
//
// # Format
//
// All integers are little endian. Records start at multiples of 8; the bytes between are zero.
//
//	offset  len
//	0       4    magic "HFL1"
//	4       1    kind
//	5       1    form: 0 data, 1 head, 2 end, 3 mark
//	6       2    zero
//	8       4    length of the payload, at most MaxPayload
//	12      4    synced: how far this segment was on stable storage before this batch was written
//	16      8    xxh3 of the payload
//	24      8    sum of the record before (chain); 0 for the first record of a log
//	32      8    sum: xxh3, seeded by the log's identity, of bytes 0 to 31, segment, offset
//	40      n    payload
//
//	segment:  head | data | data | … | end            sealed: another segment follows
//	          head | data | … | (mark) | no records … the last one
//
//	head's payload: version u32, zero u32, previous segment u64, where that one ended u64
//
// # A torn tail and damage
//
// A batch is acknowledged after its fdatasync, and the next one is written after that. A power cut
// can therefore leave any mix of old and new pages, but only behind the last acknowledged record.
// Every record says how far the segment was synced when its batch was written. So, at the first
// record that does not check out:
//
//   - if anything behind it (a record, or a later segment) proves that this place had been
//     synced, then acknowledged bytes were lost: ErrDamaged;
//   - else it is the torn tail of a batch that nobody was told of: it is cut, and its headers are zeroed.
//
// When the queue runs dry the writer leaves a mark behind the last record, without an fdatasync
// of its own, so that soon the last batch has such a witness too. Close syncs it. What remains
// undetectable is damage to the very last batch in the seconds after it if the power fails as well.
//
// # Invariants
//
//   - One writer goroutine; one fdatasync in flight; done callbacks in the order of Append.
//   - After a failed write or fdatasync nothing is acknowledged any more. Full is not a failure: what was
//     refused is as if it had never been asked for, and the log goes on when there is room.
//   - Segments are filled with zeros before they are used, off the writer's goroutine: to
//     overwrite is twice as fast to fdatasync as to grow. They grow from 1 MiB to SegmentBytes, so
//     that a young log is small. With Config.Spares removed segments are overwritten instead
//     (recycle.go): what lies behind the last record is then not zero, but no record either.
//   - No record is larger than MaxPayload, no batch than maxBatch or one record.
package log
