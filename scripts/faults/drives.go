package main

import (
	"context"
	"fmt"
	"os"
)

// driveCount and parity are what `holdfast dev` sets up by default: six drives, 4+2.
const (
	driveCount = 6
	parity     = 2
)

// loseDrives deletes any two of six drives of a stopped server, reads everything, waits for
// repair, and goes on with another pair: only if the repair was complete does the next loss
// leave everything readable.
func loseDrives(ctx context.Context, r *run) error {
	r.load.Write(ctx, 60)
	if err := r.load.Verify(ctx, "at rest"); err != nil {
		return fmt.Errorf("before any loss: %w", err)
	}
	var pairs [][parity]int
	for a := 1; a <= driveCount; a++ {
		for b := a + 1; b <= driveCount; b++ {
			pairs = append(pairs, [parity]int{a, b})
		}
	}
	r.rand.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	for _, pair := range pairs[:min(r.rounds, len(pairs))] {
		if err := r.srv.stop(); err != nil {
			return err
		}
		for _, d := range pair {
			if err := os.RemoveAll(r.srv.drive(d)); err != nil {
				return err
			}
		}
		if err := r.srv.start(ctx); err != nil {
			return fmt.Errorf("without drives %v: %w", pair, err)
		}
		if err := r.load.Verify(ctx, "at rest"); err != nil {
			return fmt.Errorf("without drives %v: %w", pair, err)
		}
		r.load.Write(ctx, 5)
		if err := r.srv.whole(ctx); err != nil {
			return fmt.Errorf("after the loss of drives %v: %w", pair, err)
		}
		fmt.Printf("drives %v lost: everything read, everything rebuilt (%.0f shards)\n", pair, r.srv.metric("holdfast_repair_rebuilt_shards_total"))
	}
	if err := r.load.Verify(ctx, "at rest"); err != nil {
		return err
	}
	return r.srv.stop()
}
