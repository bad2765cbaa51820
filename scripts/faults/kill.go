package main

import (
	"context"
	"fmt"
	"time"
)

// killRounds lets writers run, kills the server after a random while, starts it again and
// reads back every key of the ledger.
func killRounds(ctx context.Context, r *run) error {
	for round := range r.rounds {
		burst, cancel := context.WithCancel(ctx)
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			r.load.Write(burst, 1_000_000)
		}()
		after := time.Duration(50+r.rand.IntN(1500)) * time.Millisecond
		moment := time.NewTimer(after)
		select {
		case <-moment.C:
		case <-ctx.Done():
		}
		moment.Stop()
		r.srv.kill()
		cancel()
		<-finished
		begin := time.Now()
		if err := r.srv.start(ctx); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		ready := time.Since(begin)
		if err := r.load.Verify(ctx, "at rest"); err != nil {
			return fmt.Errorf("round %d, killed after %s: %w", round, after, err)
		}
		fmt.Printf("round %d: killed after %s, ready again in %s, %d acknowledged so far\n",
			round, after, ready.Round(time.Millisecond), r.load.Ledger().Acked.Load())
	}
	return r.srv.stop()
}
