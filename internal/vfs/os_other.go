//go:build unix && !linux

package vfs

import "os"

// directFlag 0: these systems have no O_DIRECT, or one with other rules.
const directFlag = 0

// datasync is os.File.Sync, which on Darwin is F_FULLFSYNC.
func datasync(f *os.File) error { return f.Sync() }

func writeVec(f *os.File, bufs [][]byte, off int64) (int64, error) {
	var total int64
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func readVec(f *os.File, bufs [][]byte, off int64) (int64, error) {
	var total int64
	for _, b := range bufs {
		n, err := f.ReadAt(b, off+total)
		total += int64(n)
		if n < len(b) {
			return total, err
		}
	}
	return total, nil
}
