// Package cluster knows which nodes and drives there are and where shards go. Placement itself is
// the pure function of package placement; this package feeds it with the state of the drives.
//
// # Nouns
//
// The layout is what the system group has written down: nodes, drives, their states, settings. It
// is the truth about what exists and what is to become of it. A View joins it with what is known of
// the moment: gossip (package gossip) says which nodes are there, and each storage node is asked now
// and then what its drives say. A Directory keeps the View, and the ways to the drives.
//
// # Invariants
//
//  1. A View is never changed once it is published; whoever holds one may go on with it.
//  2. Only the layout says that a drive exists. Where it is, the node that has it says; the layout
//     is believed where no node claims the drive.
//  3. A drive is alive if its node is and says that it has the drive and that it is not out. A node
//     is alive if it answers. Gossip has it asked at once: a death that gossip tells of is believed when
//     one question fails, else two in a row must. A node that says that it goes is believed.
//  4. Ways to drives do not wait for the layout: without them no group of a cluster that has just
//     started could find a leader, and the layout is in one.
package cluster
