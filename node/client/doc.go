// Package client finds the drive behind a drive ID. Drives of this process are called directly: no copy
// and no marshalling lies between a front and its own disks. A drive of another node is a Remote, which
// speaks with package node/server there.
//
//	Drives   routes by drive ID
//	Remote   a drive of another node
//	writer   a shard of several blocks on its way to a Remote: one stream
//	single   a shard of at most one block: kept until Commit, then one call
//
// What holds of a Remote beside what holds of every drive:
//
//   - No call takes longer than its time in Config, whatever the peer does. A drive whose status says Out is
//     not asked at all.
//   - The first block of a writer returns when the drive has taken it: a drive that is full, out or gone
//     says so while the shard can still go elsewhere. Later blocks return when they are on their way; how
//     many there can be is bounded by the stream's flow-control window, and what goes wrong with them
//     surfaces at the next call, at the latest at Commit.
//   - A Commit that fails with kind.Timeout or kind.Unavailable may have happened.
package client
