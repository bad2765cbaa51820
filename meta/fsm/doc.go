// Package fsm is the state machine of a metadata group: commands in, records changed, answers out.
// It does no I/O of its own, reads no clock and no randomness (times, identifiers and the order of
// commands come with them), and it writes the same bytes on every replica.
//
// # Nouns
//
// A key of a bucket has versions, ordered by sequence: the index in the group's log of the command
// that made them. The newest is the current one; it may be a delete marker. At most one version is
// the null version, the one that a bucket without versioning (or with suspended versioning)
// replaces. Data is a run of stripes on drives; parts of versions and of unfinished uploads refer
// to it, and a data record counts these references. Data without any is garbage until its shards
// are deleted.
//
// # Records
//
// The keys of a group, after the prefix that the replica puts before them. KEY is the S3 key with
// each byte 00 followed by FF, and 00 01 at the end: so encoded keys sort as the S3 keys do, and
// none is a prefix of another. BUCKET is the 16-byte incarnation, not the name. Integers are
// big-endian; values are messages of metapb, encoded with sorted maps, unless said otherwise.
//
//	object groups
//	+-----+--------+-----+----------------------+---------------------------------------------+
//	| 'c' | BUCKET | KEY |                      | Current: all that a LIST needs              |
//	| 'v' | BUCKET | KEY | ^sequence (8)        | Manifest, parts as stored; newest first     |
//	| 'm' | BUCKET | KEY | ^sequence (8) n (4)  | Manifest: more parts of that version        |
//	| 'i' | BUCKET | KEY | version ID (16)      | sequence (8); only versions below the top   |
//	| 'n' | BUCKET | KEY |                      | sequence (8) of the null version, if below  |
//	| 'u' | BUCKET | KEY | upload ID (16)       | Upload                                      |
//	+-----+--------+-----+----------------------+---------------------------------------------+
//	| 'p' | upload ID (16)  | number (4)        | Part as stored, the last attempt            |
//	| 'd' | data ID (16)                        | Placement with refs > 0                     |
//	| 'g' | data ID (16)                        | Garbage                                     |
//	| 'r' | data ID (16)                        | 01: on the repair queue                     |
//	| 'U' | BUCKET                              | Usage: objects, versions, bytes, quota      |
//	| 'x' | BUCKET                              | 01: closed, takes no writes any more        |
//	| 'z' | raft index (8)  | number (4)        | Release: references still to be dropped     |
//	| 'Z' |                                     | number of 'z' records (8); absent if none   |
//	+-----+-------------------------------------+---------------------------------------------+
//	the system group
//	+-----+-------------------------------------+---------------------------------------------+
//	| 'B' | name                                | Bucket                                      |
//	| 'D' | drive ID (16)                       | Drive                                       |
//	| 'C' |                                     | Cluster                                     |
//	| 'N' | node ID (16)                        | Node                                        |
//	| 'S' |                                     | Settings                                    |
//	| 'L' |                                     | raft index (8) of the last command that     |
//	|     |                                     | changed a Drive, Cluster, Node or Settings  |
//	| 'T' | collection 00 name                  | Document                                    |
//	| 'W' | collection                          | raft index (8) of its last change           |
//	+-----+-------------------------------------+---------------------------------------------+
//
// No value is larger than 320 KiB, but for a Bucket, of 512 KiB with all its settings: parts beyond 256 KiB go into 'm' records, whose number the
// manifest says (part_records). A part as stored has no placement (queries join it from 'd') and no stream ID if that is the
// data ID. A version on top has neither 'i' nor 'n': the fresh key of the common case is two
// records, and replacing it reads one.
//
// # Invariants
//
//  1. A key has a Current if and only if it has a version; it describes the newest, and says
//     whether there are older ones (older) and whether the newest has data records (inlined).
//  2. 'i' names every version but the newest. 'n' is there if and only if the null version is not
//     the newest.
//  3. refs of a data record is the number of parts that name it in manifests, in the parts of
//     uploads and in Release records. Data IDs begin with the number of the group.
//  4. No data ID is data and garbage at once; the repair queue holds data only.
//  5. A closed bucket has no versions. So a command that found one need not look for 'x'.
//  6. A refused command (Result.kind is not 0) has written nothing. The one exception is
//     CloseBucket that answers Unavailable: it aborted as many uploads as one command may.
//  7. A command writes at most 2.4 MiB and 20,000 records, whatever it does: it must fit into one
//     transaction of Badger with memtables of 16 MiB. What would be more goes into Release
//     records, of which later commands each drop a batch (AckGarbage, even an empty one, several).
//  8. References to be added are counted before those to be dropped.
//
// # Object lock
//
// A version that is under retention or a legal hold is not removed, by its ID or by a null version in its place,
// and a retention is never made shorter or weaker, but for governance with the caller's bypass. Apply judges it, by
// the command's clock; what it does not understand protects. The Current says whether the rules have to be looked
// at (locked), so that they cost nothing elsewhere.
//
// # Commands said twice
//
// A proposal whose fate is unknown may be proposed again. PutVersion, DeleteVersion that makes a
// marker, PutPart, CompleteUpload and AbortUpload know their own work by version ID, data ID and
// upload ID as long as it is there; a PutVersion or PutPart with data which was replaced since, is a
// Conflict while that data is garbage. But a version that was replaced in the meantime leaves no
// trace that lasts: whoever proposes again must do so soon, within the time that garbage is kept,
// and must not have been told of an answer. The same holds for SwapDrives between drives that a
// shard moves to and fro, for AckGarbage, and for deletions without a version.
//
// # Not here
//
// Which group owns a key, whether a bucket exists and is versioned, and who may do what is decided
// before a command is proposed. ListObjects looks at every delete marker that it passes, and the
// filters of ScanData look at every data record: their cost is not bounded by the page.
package fsm
