// Package drive keeps shards on one directory of one file system: the unit of failure, of placement
// and of metadata replication.
//
// # Layout
//
//	drive.json   JSON: format, cluster ID, drive ID, when it was made. An older program refuses a
//	             newer format; a drive of another cluster is refused.
//	lock         held by flock while a process uses the drive
//	clean        there only after a clean stop; Open removes it first
//	shards/      the shard log (package log): small shards, and a record for each large one
//	blobs/       one file for each large shard (package blob)
//	raft/        the log of the group replicas on this drive (package log)
//	badger/      the shard index (package index), and what the group replicas applied
//	*.damaged    what was moved aside because it did not open
//
// # The shard log
//
// Two kinds of record (headers and trailers: package shard).
//
//	1 shard     header, 80 bytes | block 0 | trailer, 64 bytes | block 1 | …
//	            a shard in a blob file has the header alone. A header with an origin is a copy that
//	            garbage collection made of the record that stood there
//	2 delete    40 bytes a shard: data ID 16 | index 1 | zero 7 | at: segment u64, offset u64
//	            at: the place of the deletion if this is a copy of it; else zero
//
// # What is acknowledged is durable
//
//   - A shard in the log: one fdatasync of the log, shared with whatever waits beside it.
//   - A shard in a blob file: one fdatasync of the file, whose name was made durable ahead, and then
//     one, shared, of the log.
//   - Deletions: one record for up to 1,024 shards, one shared fdatasync.
//   - The index is written behind that, many records a transaction, without any fsync.
//
// # Badger, and what its users must heed
//
// Badger's own write-ahead log is never synced and never believed: Open deletes *.mem before Badger
// sees it. After an unclean stop the database is therefore exactly what its tables hold, and that is
// a prefix of its history in the order of commit versions: memtables are flushed in that order, a
// transaction is never split over two, and a table is synced before the manifest names it. Each user
// replays the rest from a log of its own. The shard index does it from shards/, the group replicas
// from raft/. For that:
//
//   - A user writes the position of its log in the same transaction as the effects up to it.
//   - A user cuts its log only behind what the tables hold. After Commit it takes v := Version(), which
//     is at or above the version of that transaction; once Flushed() >= v, the transaction and
//     every one before it are in tables, whoever wrote them. Versions are those of the whole
//     database (Txn.ReadTs), shared by all its users; both figures only grow while the drive is
//     open. Versions mean nothing after a restart: what a user finds in Badger when the drive
//     opens is in tables, all of it.
//   - Values are at most 1 MiB (Badger's limit for keeping them in tables), a transaction at most 15 %
//     of a memtable (2.4 MB, about 25,000 keys): ErrTxnTooBig beyond that.
//   - Keys of the index begin with 's'; those of the replicas with 'g' or 'r'. No key has two
//     writers, for conflict detection is off.
//   - All users stop before Drive.Close. Close flushes the memtables, so that the next Open
//     replays nothing.
//   - If Badger is missing or does not open, a new one takes its place and Fresh() is true. The
//     shard index is rebuilt from shards/ and blobs/; a replica must begin anew, under a new raft ID.
//   - An error of Badger that is not the user's own fault is an error of the drive: call Fail.
//
// # Failure
//
// An fsync that fails, or EIO and its like from anything, takes the drive out: all calls answer
// kind.Unavailable until the process starts again. Nothing is retried. A full file system is no
// failure: below Config.ReserveBytes the drive refuses new shards (kind.Full), but serves reads and deletes,
// which go on writing to the log and to Badger out of the reserve.
//
// Damage in the shard log costs the shards in it, not the drive: Open goes on behind it, reads of those
// shards answer kind.Damaged or kind.NotFound, and the cluster rebuilds them.
package drive
