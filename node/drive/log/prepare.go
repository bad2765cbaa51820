package log

import (
	"fmt"
	"os"

	"holdfast/internal/vfs"
)

// fillStep is how many zeros are written and synced at a time: little enough that the fdatasync of
// another file, which may have to wait for the same journal commit, is not held up for long.
const fillStep = 1 << 20

// prepared is a segment ready for use, or why there is none.
type prepared struct {
	id   uint64
	size int64
	file vfs.File
	err  error
}

// segmentSize is the size of the segment after one of the given size.
func (l *Log) segmentSize(before int64) int64 {
	if before == 0 {
		return min(firstSegmentBytes, l.cfg.SegmentBytes)
	}
	return min(before*segmentGrowth, l.cfg.SegmentBytes)
}

// prepare makes a segment in the background; its result arrives on l.next. One at a time.
func (l *Log) prepare(id uint64, size int64) {
	go func() {
		p := prepared{id: id, size: size}
		if p.file, p.err = l.files.reuse(id, size); p.file == nil && p.err == nil {
			p.file, p.err = l.fill(id, size)
		}
		l.next <- p
	}()
}

func (l *Log) fill(id uint64, size int64) (vfs.File, error) {
	path := l.files.path(id)
	f, err := l.cfg.FS.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: make segment %d: %w", id, err)
	}
	zeros := make([]byte, min(size, fillStep))
	for off := int64(0); off < size && err == nil; off += fillStep {
		if _, err = f.WriteAt(zeros[:min(size-off, fillStep)], off); err == nil {
			err = f.Sync()
		}
	}
	if err == nil {
		err = l.cfg.FS.SyncDir(l.cfg.Dir)
	}
	if err != nil {
		f.Close()
		_ = l.cfg.FS.Remove(path) // it holds nothing
		return nil, fmt.Errorf("log: fill segment %d: %w", id, err)
	}
	return f, nil
}
