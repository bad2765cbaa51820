// Package blob keeps each large shard in a file of its own.
//
// Files are numbered, and made before they are needed: a batch of empty files, then one fsync of
// their directory, off the path of any write. A shard takes the next number and the log records
// which one, so a commit costs one fdatasync of the file and one, shared, of the log, and never one
// of a directory.
//
// # Format
//
//	blobs/DD/NNNNNNNNNNNNNNNN   number in hex; DD = number / 4096, at least two digits
//
//	0      80      shard header (package shard), its Blob is the file's own number
//	80     4016    zero
//	4096   slot    block 0: payload, trailer (package shard), zeros up to a multiple of 4096
//	…      slot    block 1 …
//
// A slot is BlockLen + 64 bytes rounded up to 4096. Blocks are written with O_DIRECT from the
// caller's buffer, the trailer in the room behind it; read through the page cache.
//
// # Invariants
//
//   - A number is given out once; a file is never written again after Writer.Commit.
//   - A file without a whole header and all of its blocks was never committed.
//   - The zeros behind a trailer are written as zeros: buffers are used again and may have held
//     anything.
package blob
