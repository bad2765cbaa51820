// Package placement says which drives the shards of a data ID go to. It is a pure function of the
// drives and the ID: no state, no clock, no randomness, so every front decides alike and a test
// can ask it about a million IDs.
//
// Each drive gets a score from hash(data ID, drive ID) and its weight, such that the lowest score
// falls on a drive with a probability proportional to its weight (weighted rendezvous hashing: an
// exponential race). Shards are then dealt one by one to the healthy drive that is
//
//  1. in the zone with the fewest shards of this data ID so far, then
//  2. on the node with the fewest, then
//  3. of the lowest score.
//
// So shards spread over zones, then nodes, then drives; two shards never share a drive. Scores of
// the other drives do not change when a drive comes or goes, so little moves. Spreading goes before
// weight: a small zone is not spared by it, it is left out when its drives report that they are full.
//
// The replicas of the metadata groups spread in the same way (Replicas). There are few groups, so that
// chance alone would share them unequally: drives that have their share are passed over.
package placement
