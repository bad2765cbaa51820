// Bench measures Put, Get, Stat and List against an S3 endpoint, and against a second one in turns,
// with what the servers' processes cost meanwhile. What is measured, and how far to trust it:
//
// The client is a small HTTP/1.1 client of its own (conn.go) over crypto/tls, with the signer of
// api/sigv4. Client and server share the cores, so whatever the client burns, the server lacks,
// and a heavy client makes all servers look alike. This one spends 30 to 60 microseconds on a small
// request, most of it in the kernel; the table has the figure. Bodies of Put are sent as
// UNSIGNED-PAYLOAD, as the MinIO clients do over TLS, or (--payload trailer) as aws-chunked with a
// CRC32C trailer, as the AWS SDKs do. The same bytes go to both endpoints.
//
// Each object begins with a hash of its key; every Get compares that, and one in --verify all of
// the body. Every answer but 200 is an error and ends the run: a server that refuses fast would
// otherwise look fast. So is a listing that does not have all keys.
//
// A case runs against the endpoints in turns, for some rounds, and medians of the rounds are
// reported: the machine's own drift then hits both. Before each measurement the program waits for
// both servers to be idle, so that one does not pay for what the other left to its background
// work. It begins to count when each client has made one operation, and goes on until there are two of
// each, however long that takes, so that many clients with large objects are not counted by
// the burst; the objects of a Put case are deleted after each measurement, which is not measured.
//
// Server CPU is user plus system time of the processes (and their children) from
// /proc/PID/stat, in ticks of 10 ms; memory is the largest sum of VmRSS and of RssAnon seen in
// /proc/PID/status, sampled ten times a second. Work that a server does for a case after its end
// is not counted to it.
//
// With --nodes, both servers are clusters, and the network is one of namespaces on this machine
// (scripts/faults/netns): a bridge without delay or limit, with a host for each node and one for the
// client. Both clusters run for the whole time, as two single servers do, and what the one that is not
// measured uses counts as the machine's other work. A connection goes to the node whose turn it is and
// stays there, as behind a load balancer; with 4, 8 or 64 clients, each of four nodes has as many.
// Server CPU and memory are the sums of all nodes; the idle ones are shown a node, too.
package main
