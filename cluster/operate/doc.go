// Package operate is what an operator can see of a cluster and do to it, without HTTP: package
// api/admin serves it, as api/s3 serves package object.
//
//	Status     one picture of nodes, drives, groups, redundancy and the work under way
//	Drain      have drives emptied; Undrain calls that off; Remove takes them out
//	Rebalance  pause, resume, rate: settings of the cluster
//	Scrub      verify everything now
//	Service    what a node answers others about itself, so that any node can answer for all
//
// What always holds:
//
//   - All that is decided is a record of the system group. An Operator keeps nothing but what makes a
//     scrub's progress readable: any node can take over from the one that was asked first.
//   - A change is conditional on the state that it was decided by, and said twice it is done once.
//   - What would leave too few drives for a piece of data, or a group without a majority, is refused
//     (Refused), with the numbers and what to do instead. Two changes at once are no way around that:
//     each looks again after it was made, and is taken back.
//   - What a node that does not answer would add is missing from the figures; Status says of whom.
package operate
