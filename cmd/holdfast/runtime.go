package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

const (
	// gcPercent trades memory for time: the live heap is small beside what requests allocate, so
	// the collector may wait until it is five times as large. Measured: over four processes this
	// helped small writes more than anything else.
	gcPercent = 400
	// defaultMemoryLimit (bytes) is where the collector stops waiting, so that a burst of uploads
	// does not make the process five times its size. It is soft: nothing fails above it.
	defaultMemoryLimit = 512 << 20
)

// tuneMemory sets the collector up, unless GOGC or GOMEMLIMIT say how. limit is --memory-limit.
func tuneMemory(limit string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if limit == "" {
		if os.Getenv("GOMEMLIMIT") == "" {
			debug.SetMemoryLimit(defaultMemoryLimit)
		}
		return nil
	}
	n, err := byteSize(limit)
	if err != nil {
		return fmt.Errorf("--memory-limit: %w", err)
	}
	if n < 64<<20 {
		return fmt.Errorf("--memory-limit %s: at least 64MiB", limit)
	}
	debug.SetMemoryLimit(n)
	return nil
}
