// Package vfs is the little of a file system that Holdfast's own formats need, so that a test can
// stand between them and the disk. There are three implementations: OS; Mem, in memory, which knows
// what a power cut would leave; and Faulty, which wraps another and fails, shortens or fakes the calls
// that a test picks.
//
// Invariants every implementation keeps:
//
//   - File.Sync is fdatasync: the bytes and the length, not the times.
//   - A created, renamed or removed name is durable only after SyncDir of its directory.
//   - A failed Sync must be taken as the loss of everything unsynced: the kernel marks the pages
//     clean, so asking again would lie. Callers take the drive out; nothing here retries.
package vfs
