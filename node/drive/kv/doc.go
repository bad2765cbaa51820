// Package kv is the ordered store of a drive: a Badger, and a second look at its tables.
//
// Badger (4.9.6) takes a block that fails its checksum for "not here": a Get goes on to an older version or
// to "not found", an iterator leaves out what the rest of the table holds, and a compaction drops it for
// good and deletes the evidence. Metadata that is wrong in silence is worse than metadata that is gone:
// a record that is missing is answered, and applied, as if it had never been. So every read here is
// looked at twice. What Badger answers stands if the tables hold nothing that is newer.
//
// # How
//
// DB keeps a handle on every table of Badger's: a private mapping of the file, whose index and Bloom filter
// are checked once and then in memory of their own, and whose blocks are checked at every read.
//
//   - Get asks each table that may hold a version above the one that Badger found. That is a look into
//     Bloom filters for most reads, and for most that find nothing.
//   - An Iterator walks the tables beside Badger's iterator and compares.
//   - A table that is gone was compacted: its handle still holds it, and it is read and checked whole.
//
// What differs without damage is sorted out before anything is called damage: a deletion that is still in memory,
// and tables that came and went since the handles were last brought up to date (every refreshEvery).
//
// # What is left
//
// A table is not looked after between being written and the next refresh; and one that Badger made and
// compacted away within that time never is.
//
// Damage is final: the transaction that met it fails, every later one does, Damage tells, and
// a mark in the directory has the next Open of the drive begin a new database.
package kv
