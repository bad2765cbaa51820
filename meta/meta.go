// Package meta holds what all parts of the metadata service share: the numbering of groups and
// which of them owns a key. The parts: fsm (the pure state machine), replica (Raft on a drive)
// and client (finds leaders).
package meta

import (
	"github.com/zeebo/xxh3"

	"holdfast/internal/id"
)

const (
	// SystemGroup owns buckets, users, drives and the layout.
	SystemGroup uint32 = 0
	// DefaultGroups is the number of groups that own object keys, numbered from 1.
	DefaultGroups uint32 = 16
)

// GroupOf is the group (1 to groups) that owns a key of a bucket: XXH3-64 of the bucket ID and
// the key, modulo groups. It is part of the format: a cluster's number of groups never changes.
func GroupOf(groups uint32, bucket id.Bucket, key string) uint32 {
	var buf [256]byte
	b := append(buf[:0], bucket[:]...)
	b = append(b, key...)
	return 1 + uint32(xxh3.Hash(b)%uint64(groups))
}
