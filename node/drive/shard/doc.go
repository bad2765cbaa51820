// Package shard is the format of a shard at rest: the header that names it and the trailer behind
// each of its blocks. Shards in the log and shards in blob files share both.
//
// All integers are little endian, all checksums xxh3-64.
//
//	header (80 bytes)                          trailer (64 bytes, right behind its block's payload)
//	0   4   magic "HFS1"                       0   4   magic "HFB1"
//	4   1   index                              4   1   index
//	5   1   k                                  5   1   k
//	6   1   m                                  6   1   m
//	7   1   zero                               7   1   zero
//	8   16  data ID                            8   16  data ID
//	24  4   block length of the shard          24  4   block length of the shard
//	28  4   zero                               28  4   number of this block
//	32  8   length                             32  8   length of the shard
//	40  8   number of the blob file that       40  4   length of this block
//	        holds the blocks; 0: they follow   44  4   zero
//	48  8   origin: segment and offset of      48  8   sum of the payload
//	56  8   the first record of the shard,     56  8   sum of bytes 0 to 55
//	        if this is a copy; else zero
//	64  8   zero
//	72  8   sum of bytes 0 to 71
//
// Both carry the whole Spec, so that a block of another shard, of another index or of another
// geometry is never taken for the one asked for.
package shard
