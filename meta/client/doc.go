// Package client is how everything above the metadata groups talks to them: it finds a group's
// leader, waits out elections, and turns outcomes into errors with kinds.
//
// # When a command is tried again
//
// Apply encodes a command, with a random request ID, and may propose it several
// times. It does so only when it is certain that the attempt before did not take effect and never
// will, so that a command takes effect at most once whatever happens to leaders:
//
//  1. the attempt was refused before it got into a log (no leader there, queue full); or
//  2. the leader went away with the command in its log at (index, term), a later leader has
//     committed an entry of its own, and that one's log has something else at index, or nothing; or
//  3. the node that had it died or fell silent before it said where in the log it stands, and a
//     later leader's log has no such request ID where the one of that term could have put it, or the same
//     leader has promised to refuse it. It is then proposed under another ID.
//
// In the last two, if the command is there after all, the replica remembers its result (for the
// newest few hundred entries) and Apply returns that. What remains is a command whose outcome
// nobody can tell: the deadline passed first (kind.Timeout), or it is too long ago (kind.Unavailable). Callers must treat both as "may have happened".
//
// Queries change nothing and are tried again until the deadline.
package client
