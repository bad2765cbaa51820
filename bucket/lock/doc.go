// Package lock is object lock: the bucket's ObjectLockConfiguration, a version's Retention and
// LegalHold, and the rules what they forbid. Whatever is not understood forbids.
//
// The clock comes with the question. A lock ends by the time of day alone, so a clock that jumps
// back makes it last longer, never end sooner; a new retention is counted from the latest time
// that was ever seen (Default.Retention), so that a clock that is behind does not make it shorter.
package lock
