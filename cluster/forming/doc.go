// Package forming makes one cluster of the first storage nodes, once. It is a two-phase commit:
//
//	hello    every node greets all addresses of --join, and those that it hears of from others
//	propose  when --expect nodes are in sight, the one with the lowest ID draws up a Plan: cluster ID,
//	         nodes, drive IDs, scheme; writes it down; and asks the others to accept it
//	accept   a node accepts one plan at a time, and writes that down before it says so
//	commit   when all have accepted, the coordinator writes that down: now the plan holds. It tells the
//	         others; who was away asks any of them
//	abort    a refusal, or a node that stays silent, ends a plan before that; it is tried anew
//
// A node that hears of a cluster that exists, and has accepted nothing, joins it instead.
//
// # Invariants
//
//  1. A plan holds if and only if its coordinator has written down that it does, and that only after
//     every node of it had accepted it on stable storage.
//  2. A node that has accepted a plan follows it until it learns from the coordinator that it was given
//     up, or from anyone that it holds. Only an answer to a question that was asked after the acceptance
//     counts: an older one, on its way for long, may speak of the time before.
//  3. So nodes that are fewer than twice --expect form one cluster at most, whoever stops whenever;
//     what is left undone goes on at the next start.
//
// # Files
//
// In every data directory, both JSON:
//
//	node.json     format 1, the node's ID. Of several the most frequent one is the node's.
//	forming.json  a Saved (formpb), with the format 1. Of several the one with the highest sequence counts.
package forming
