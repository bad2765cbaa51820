package replica

import "holdfast/node/drive/log"

// Log is what a replica needs of its drive's raft log; *log.Log has it.
type Log interface {
	// Append makes a record durable and calls done in the order of Append, on the writer's
	// goroutine. The parts must not change before done.
	Append(kind uint8, payload [][]byte, done func(log.Pos, error))
	// Read returns the record at p with its checksum verified; payload may use dst's room.
	Read(p log.Pos, dst []byte) (kind uint8, payload []byte, err error)
	Segments() []log.SegmentInfo
	RemoveBefore(segment uint64) error
	Close() error
}

// Replay is handed every record of a log that is opened, in order.
type Replay func(p log.Pos, kind uint8, payload []byte) error
