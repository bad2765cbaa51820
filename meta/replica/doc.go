// Package replica runs the metadata groups: the Raft replicas on the drives of a process, by
// go.etcd.io/raft. What a group's state machine does is not its business (package fsm); who asks it,
// and when a command is tried again, neither (package client).
//
// # Nouns
//
// A group is one Raft group. It has members; each is a replica with a raft ID, on a drive. Raft IDs
// begin at 1 in each group and are never used again. A Host is the replicas of all drives of a
// process; drives come and go. A loop is a drive's goroutine for all of its replicas, the applier the goroutine that
// carries out what they committed, the janitor the one that deletes. The log is the drive's raft
// log (node/drive/log), the KV its Badger. A range is the content of one replica in the KV.
//
// # Duties
//
//  1. A loop never waits for a disk, with one exception: an entry that is no longer in memory is
//     read from the log, for a follower far behind or after a restart.
//  2. In one turn the loop takes everything from its inbox, steps all groups, sends what may go
//     at once, and hands the log one record with the entries and hard states of all groups. Many
//     records may be on their way; the log joins them in one fdatasync.
//  3. What depends on a record leaves when it is durable: to other drives from the log's
//     goroutine, to the own replicas through the inbox.
//  4. A bare commit index is not written: it goes with the next record. After a restart it is at
//     least the applied index, and the leader knows the rest.
//  5. The effects of an entry and the applied index are in one KV transaction, one for as many
//     entries of all groups as it takes. Then, and only then, proposers are answered.
//  6. Reads are confirmed by ReadIndex. One question a group is on its way; reads that come in
//     meanwhile join the next. They are answered from one KV transaction, on the caller's goroutine.
//  7. An answer is owed to everyone, exactly once: when a leader steps down, its term changes, the
//     loop or the host ends, or a queue is full, waiters get an error that says whether it may
//     still happen. Host.Outcome resolves those that may (see UnknownError).
//  8. Whatever waits is bounded: inbox (MaxPending, MaxQueuedBytes), uncommitted tail, messages and
//     bytes in flight, entries in memory (CacheBytes), entries in the log (KeepEntries, LogBytes).
//  9. A failed write or fdatasync, an error of the KV or a panic of the library takes the drive out. The
//     others forget leaders on it and campaign at once, by rank. So they do when it is removed,
//     after an attempt to hand over.
//  10. Whoever uses a drive on a goroutine other than its loop, applier and janitor holds the loop's
//     gate: when RemoveDrive returns nothing uses the drive any more.
//
// # What a drive may forget
//
// The log keeps every record that was reported durable; if it cannot, it says ErrDamaged. The KV
// keeps a prefix of its transactions (Flushed). So a replica is what the KV holds plus the entries
// behind its applied index, and:
//
//   - The log is cut only where the KV has flushed. Replicas that need older segments, because
//     they were idle, write their state forward first.
//   - A snapshot is acknowledged after it has been swapped in and flushed.
//   - A replica whose log is damaged or missing, or ends before what the KV has applied, may have
//     forgotten a vote. It does not start. Its raft ID is noted as dead on the drive, in a new
//     log; MoveReplica gives it a successor. Its state in the KV stays until then.
//   - An empty replica is begun only for a heartbeat from a leader to its learner that says that it
//     has nothing yet: what was wiped does not come back as if nothing had been.
//   - A replica that is lost, or cannot read its state, tells the leader, which may be in another
//     process (MsgUnreachable, see Message). It takes MoveReplica to give it a successor.
//
// # The raft log
//
// Records of kind 1. The payload is a row of sections; integers are little endian.
//
//	section: flags u8 | group u32 | raft ID u64 | parts, in this order, as flags say
//	  1  base:    index u64 | term u64       the log of this replica begins anew behind this entry
//	  2  config:  length u32 | configuration as of the base
//	  4  hard:    term u64 | vote u64 | commit u64
//	  8  entries: count u32 × (type u8 | term u64 | index u64 | length u32 | data)
//	              type and data are raft's; the data of a normal entry are a metapb.Command
//	  16 dead:    this raft ID, and those below it, must not come back on this drive
//	  32 lost:    with 16: it is dead because its log or state was lost
//
//	configuration: version u8 = 1 | next raft ID u64 | members u32 × (raft ID u64 | drive 16)
//	               | voters | learners | outgoing voters | next learners (each u32 × raft ID u64)
//	               | leave automatically u8
//
// A later section wins. The first section of a replica that is left after a cut need not have a
// base: its entries begin at or before what the KV has applied. A new group begins with base
// (1, term 1), and its configuration, on each of its drives.
//
//	| record ─────────────────────────────────────────────────────────────| record ────
//	| section g=3 id=1: hard, entries 17,18 | section g=9 id=4: hard      | section g=3 …
//
// # The KV
//
//	'g' | range ID (8, big endian) | key of the state machine  → its value
//	"rc" | group (4, big endian)   → range ID u64 | raft ID u64 | index of the last snapshot u64 | configuration
//	"ra" | group (4, big endian)   → raft ID u64 | applied index u64 | its term u64
//	"rp" | key | number (2, big endian) → a piece of a value above 768 KiB; under the key itself is a
//	                                 stub, marked by Badger's user byte 1: length u32
//	"rfil"                         → nothing: written over and over to push a memtable out
//
// A range without an owner, left by a snapshot that was not used or a replica that was dropped, is
// deleted by the janitor, or after the next start.
//
// # Snapshots
//
// The sender reads its range, applied index and configuration from one KV transaction and streams
// rows in chunks: key length u32 | value length u32 | key | value. The last row has no key; its value
// is the number of rows u64 and the XXH3 of all rows before u64. The receiver writes them under a
// new range ID and hands raft the message; if raft wants it, range, applied index and configuration
// are swapped in by one transaction, which is then flushed; if not, the range is deleted.
//
// # Membership
//
// MoveReplica adds a learner, lets it catch up, and swaps it in by one joint change. It works at the
// leader's host. The context
// of the change that adds a raft ID names its drive; a change that adds an ID that was given out
// already is void, by the same rule on every replica. A replica that left goes on voting for
// those who do not know it yet, until the leader tells it that a majority knows; then it drops
// itself. A leader gets its group out of a joint configuration. When leaders
// change, the owner of moves calls MoveReplica at the new one, which goes on with the learner that is there, or
// AbandonMove; learners that it does neither to are removed in the end.
package replica
