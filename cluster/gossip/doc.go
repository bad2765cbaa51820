// Package gossip tells the nodes of a cluster who else is there, by hashicorp/memberlist. What it
// says is a hint and never the truth: it speeds up what timeouts would find out anyway, and decides
// neither membership nor placement.
//
// # Nouns
//
// A node is known by its ID; each start of its process is a member of its own, so that a node which
// returns with another address is not taken for an impostor. A node is alive while any of its
// starts is.
//
// # Invariants
//
//  1. All packets and streams are encrypted and authenticated with AES-256-GCM under a key derived from
//     the cluster secret. A peer with another secret is not understood, and the log says so.
//  2. A member of another cluster ID is ignored, and refused when it joins, on both sides.
//  3. Seeds and nodes that are known but dead are tried again for ever, so that two halves of a
//     partition find each other however long it lasted.
//
// # What a member says of itself
//
//	version 1 | cluster ID 16 | node ID 16 | flags 1 (bit 0: storage) | name | zone | peer address | S3 address
//
// Each text is a length (one byte) and that many bytes; what follows is of a newer version and is
// ignored. At most 512 bytes in all, by memberlist.
package gossip
