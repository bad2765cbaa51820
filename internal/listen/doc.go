// Package listen serves TLS and plain HTTP on one port. A Listener looks at the first byte of each
// connection: 0x16 begins a TLS handshake and no HTTP request. Accept returns a *tls.Conn or a plain
// connection, so that http.Server sets Request.TLS as it should.
//
// # Invariants
//
//   - Accept never waits for a client that says nothing: each new connection is sorted on a goroutine
//     of its own, for PeekTimeout at most.
//   - At most MaxPending connections wait to be sorted. One more closes the one that has been silent
//     longest, so idle connections cannot shut others out.
//   - At most MaxConns connections are open; one more is closed at once.
//   - Close closes what has not been handed out; what has belongs to the server.
//   - HTTP/2 is not offered: one TCP window for many large transfers is slower than many connections,
//     and S3 clients speak HTTP/1.1.
//
// # Large writes
//
// crypto/tls begins each connection with records of one packet (DynamicRecordSizing) and writes each
// record of at most 16 KiB by a system call of its own. Here records are full from the start, and full
// records are held and joined:
//
//	tls.Conn.Write ─► record ─► record ─► … ─► cork, room for 8 full records ─► one write
//
// A record that is not full ends a message and takes what is held along at once. A message that ends
// with a full record leaves when the server says that the connection is idle (ConnState), or after
// HoldTime, whatever comes first; so what is held never waits for a client.
package listen
