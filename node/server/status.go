package server

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/node"
	"holdfast/node/wire"
	"holdfast/proto/nodepb"
)

// statusPatience is how long a drive may take to say how it is. One that takes longer hangs in a system
// call, and is out as far as peers are concerned.
const statusPatience = time.Second

// statusCheck asks a drive for its status, one question at a time however long it takes.
type statusCheck struct {
	mu      sync.Mutex
	pending chan struct{} // closed when the question under way is answered; nil: there is none
	last    node.Status
}

// ask returns the drive's status; ok is false when it did not answer in time, and the status an old one.
func (c *statusCheck) ask(ctx context.Context, d node.Drive) (s node.Status, ok bool) {
	c.mu.Lock()
	if c.pending == nil {
		done := make(chan struct{})
		c.pending = done
		go func() {
			s := d.Status()
			c.mu.Lock()
			c.last, c.pending = s, nil
			c.mu.Unlock()
			close(done)
		}()
	}
	pending := c.pending
	c.mu.Unlock()
	select {
	case <-pending:
		ok = true
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, ok
}

// statuses answers how all drives are.
func (s *Server) statuses(ctx context.Context, _ *nodepb.Empty) (*nodepb.Statuses, error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	answer := &nodepb.Statuses{Node: s.cfg.Node[:]}
	var (
		mu  sync.Mutex
		all sync.WaitGroup
	)
	for _, l := range s.allLanes() {
		all.Go(func() {
			status, ok := l.status.ask(ctx, l.drive)
			if !ok {
				status.ID, status.Out, status.Reason = l.name, true, "the drive does not answer"
			}
			mu.Lock()
			defer mu.Unlock()
			answer.Drives = append(answer.Drives, wire.FromStatus(status))
		})
	}
	all.Wait()
	slices.SortFunc(answer.Drives, func(a, b *nodepb.Status) int { return bytes.Compare(a.Id, b.Id) })
	return answer, nil
}
