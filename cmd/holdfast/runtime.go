package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcPercent trades memory for time: the live heap is small beside what requests allocate, so
	// the collector may wait until it is five times as large. Measured: over four processes this
	// helped small writes more than anything else.
	gcPercent = 400
	// defaultMemoryLimit (bytes) is where the collector stops waiting, so that a burst of uploads
	// does not make the process five times its size. It is soft: nothing fails above it.
	defaultMemoryLimit = 512 << 20
	// limitEvery is how often the default limit is looked at again.
	limitEvery = time.Second
)

// tuneMemory sets the collector up until ctx ends, unless GOGC or GOMEMLIMIT say how. limit is --memory-limit.
func tuneMemory(ctx context.Context, limit string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if limit == "" {
		if os.Getenv("GOMEMLIMIT") == "" {
			debug.SetMemoryLimit(defaultMemoryLimit)
			go raiseLimit(ctx)
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

// raiseLimit keeps the default limit half above what is in use: many drives under small writes need more than it
// (tables in the making), and a collector that can free nothing runs all the time: a third of the CPU, measured.
func raiseLimit(ctx context.Context) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(limitEvery)
	defer tick.Stop()
	for set := int64(defaultMemoryLimit); ; {
		select {
		case <-tick.C:
			metrics.Read(live)
			if want := memoryLimit(live[0].Value.Uint64()); want != set {
				set = want
				debug.SetMemoryLimit(set)
			}
		case <-ctx.Done():
			return
		}
	}
}

// memoryLimit is the limit for a heap of which the last collection left live bytes.
func memoryLimit(live uint64) int64 {
	return max(defaultMemoryLimit, int64(min(live, 1<<40))*3/2)
}
