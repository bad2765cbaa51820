// Package wire carries the traffic of metadata groups between nodes, over gRPC (internal/rpc). What the
// messages mean is package replica's business; when a command is tried again, package client's.
//
// # Nouns
//
// A Transport sends replicas' messages and snapshots to other nodes. A Service takes them, and answers
// requests. A Router sends requests to whichever node leads a group: it is the Host of package client. A
// lane is the way of messages to one node, a caller the way of requests. A frame is what goes out at
// once: as many items as wait. A seat is the remembered leader of a group; a hint is what a node knows
// of leaders.
//
// # Duties
//
//  1. Transport.Send never blocks and may drop. A lane's queue is bounded and drops the oldest; one
//     goroutine a lane empties it, all that waits at once.
//  2. A request that was taken into a frame may have happened, one that was not has not. An answer
//     that never comes is an unknown outcome to a command (*replica.UnknownError): it is not sent again,
//     by nobody in this package. Queries are, to another node. A command is sent to the leader of one
//     term, as soon as that is known: so the next leader can tell what became of it.
//  3. Requests and answers are written by whoever has one and finds nobody writing; there is no
//     goroutine between. What gathers meanwhile goes with the next frame.
//  4. A node that owes answers says so every quarter of a second, and up to which request it has heard
//     the caller. One that says nothing for Config.Silence, or does not tell of what was sent, hangs or is
//     cut off, be it one way: what can be asked elsewhere is, the fate of commands too, and nothing
//     new is sent to it but hints' questions, until it is heard of again.
//  5. Who leads is a hint, and a wrong one costs time: the leader itself refuses (not leader), or
//     confirms with a quorum, as replica does for every request.
//  6. Nobody asks around more often than every 25 ms, and one search serves all who wait. A search costs
//     one request a node, whatever the number of groups.
//  7. Nothing that comes in is kept beyond its frame without a copy.
//
// # Frames
//
// Integers are little endian. A frame begins with version u8 = 1. It travels as one or more gRPC
// messages (rpc.Frame): all but the last have the header byte 1.
//
// Messages (stream "Messages", one way, between storage nodes): rows of
//
//	run:     to 16 | from 16 | count u16 | messages
//	message: flags u8 | group u32 | gone u64, if 2 | ask u64, if 4 | length u32, raft message, if 8
//	         flag 1: to is a learner. The raft message is a raftpb.Message in protobuf.
//
// Requests (stream "Calls", from storage nodes and fronts) and their answers, in any order:
//
//	request: number u64 | op u8 | timeout ms u32 | group u32 | length u32 | payload
//	answer:  number u64 | status u8 | flags u8 | term u64, committed u64, if 2 | group u32 | length u32 | payload
//	         flag 1: the group's drives are full; 2: it is led there, in this term
//
// Ops and statuses are in call.go, with their payloads. Op 5 has an answer for each of its groups.
//
// Snapshots (stream "Snapshot", between storage nodes): first a frame with the head,
//
//	version u8 | group u32 | flags u8 | from 16 | to 16 | raft message
//
// then a frame for each chunk, without a version; the receiver answers with an empty frame when its
// replica has all of it.
package wire
