// Package census counts what is on the drives of a cluster that does not run. It opens all of them in
// one process, lets their replicas form the groups again without any network, and compares: what the data
// records say, with the shards that are there, each read and verified; and the replicas of a group
// with each other, by a hash of all keys and values.
//
// It asks no server and believes no counter: redundancy is full when it is on the disks.
package census
