package vfs

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	directFlag = unix.O_DIRECT
	// vecMax is IOV_MAX: more buffers than this take another call.
	vecMax = 1024
)

func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			if err != nil {
				return fmt.Errorf("vfs: fdatasync %s: %w", f.Name(), err)
			}
			return nil
		}
	}
}

func writeVec(f *os.File, bufs [][]byte, off int64) (int64, error) {
	var total int64
	left := make([][]byte, 0, min(len(bufs), vecMax))
	for len(bufs) > 0 {
		left = append(left[:0], bufs[:min(len(bufs), vecMax)]...)
		bufs = bufs[len(left):]
		for len(left) > 0 {
			n, err := unix.Pwritev(int(f.Fd()), left, off+total)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return total, fmt.Errorf("vfs: pwritev %s: %w", f.Name(), err)
			}
			total += int64(n)
			left = skip(left, n)
		}
	}
	return total, nil
}

func readVec(f *os.File, bufs [][]byte, off int64) (int64, error) {
	var total int64
	left := append(make([][]byte, 0, len(bufs)), bufs...)
	for left = skip(left, 0); len(left) > 0; {
		n, err := unix.Preadv(int(f.Fd()), left[:min(len(left), vecMax)], off+total)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return total, fmt.Errorf("vfs: preadv %s: %w", f.Name(), err)
		}
		if n == 0 {
			return total, io.EOF
		}
		total += int64(n)
		left = skip(left, n)
	}
	return total, nil
}

// skip drops the first n bytes of bufs, and the empty buffers behind them.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}
