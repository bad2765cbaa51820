package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/meta/replica"
	"holdfast/node"
	"holdfast/node/drive"
)

// healer replaces what a drive keeps besides shards, its database and its raft log, when that is damaged,
// while the server runs. To open a drive is what heals it: damaged tables and logs are found and
// moved aside then, the index is rebuilt from the shards, and repair gives the groups new replicas. So the
// drive is taken out of service, closed, opened and taken in again; the others serve meanwhile.
type healer struct {
	s      *storage
	scheme atomic.Pointer[erasure.Scheme] // nil until the system group has told it
	// fleet is how all drives of the cluster are; serve takes a drive into service, in place of the one
	// with its ID.
	fleet  func() []node.Status
	serve  func(*drive.Drive)
	healed atomic.Int64

	life   context.Context
	cancel context.CancelFunc
	busy   chan struct{} // holds one while a drive is being healed: one at a time
	work   sync.WaitGroup

	mu        sync.Mutex
	stopped   bool
	suspected map[id.Drive]bool // are being looked at
	early     []id.Drive        // were suspected before start
	started   bool
}

const (
	// healPatience is how long a damaged drive waits until the others can do without it, as when
	// another one was healed just now and its replicas are still being rebuilt.
	healPatience = 15 * time.Minute
	// healPoll is how often it looks.
	healPoll = time.Second
	// closePatience bounds the closing of a drive, whose database writes its memory out.
	closePatience = time.Minute
)

func (h *healer) init(s *storage) {
	h.s, h.busy, h.suspected = s, make(chan struct{}, 1), map[id.Drive]bool{}
	h.life, h.cancel = context.WithCancel(context.Background())
	h.serve = func(d *drive.Drive) { s.routes.Add(d) }
	h.fleet = func() (all []node.Status) {
		for _, d := range s.routes.All() {
			all = append(all, d.Status())
		}
		return all
	}
}

// start lets suspicions be looked at: the replicas run.
func (h *healer) start() {
	h.mu.Lock()
	early := h.early
	h.started, h.early = true, nil
	h.mu.Unlock()
	for _, d := range early {
		go h.look(d)
	}
}

// stop ends what is under way and waits for it.
func (h *healer) stop() {
	h.cancel()
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.work.Wait()
}

// suspect is told of a drive with a replica that found damage, or that went out. It does not block.
func (h *healer) suspect(d id.Drive, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.started {
		h.early = append(h.early, d)
		return
	}
	go h.look(d)
}

// look examines a drive, once at a time.
func (h *healer) look(d id.Drive) {
	h.mu.Lock()
	if h.stopped || h.suspected[d] {
		h.mu.Unlock()
		return
	}
	h.suspected[d] = true
	h.work.Add(1)
	h.mu.Unlock()
	defer h.work.Done()
	if err := h.examine(h.life, d); err != nil && h.life.Err() == nil {
		h.s.cfg.Logger.Error("a drive is damaged and not healed: look at it, then restart the server, which tries again", "drive", d, "error", err)
	}
	h.mu.Lock()
	delete(h.suspected, d)
	h.mu.Unlock()
}

// examine verifies a drive of this process, and heals it if it is damaged. It returns nil if the
// drive is whole in the end.
func (h *healer) examine(ctx context.Context, d id.Drive) error {
	open := h.s.drive(d)
	if open == nil {
		return nil
	}
	if err := verify(ctx, open); err == nil || !kind.Is(err, kind.Damaged) {
		return err
	}
	select {
	case h.busy <- struct{}{}:
		defer func() { <-h.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if open = h.s.drive(d); open == nil {
		return nil
	}
	cause := verify(ctx, open) // another may have healed it meanwhile; and one look is not enough to give up replicas
	if cause == nil || !kind.Is(cause, kind.Damaged) {
		return cause
	}
	if err := h.awaitSpare(ctx, d, cause); err != nil {
		return err
	}
	return h.reopen(ctx, open, cause)
}

func verify(ctx context.Context, d *drive.Drive) error {
	if err := d.VerifyTables(ctx); err != nil {
		return err
	}
	return d.VerifyRaftLog(ctx)
}

// awaitSpare waits until everything goes on without the drive, and without the replicas on it.
func (h *healer) awaitSpare(ctx context.Context, d id.Drive, cause error) error {
	patience := time.NewTimer(healPatience)
	defer patience.Stop()
	poll := time.NewTicker(healPoll)
	defer poll.Stop()
	for told := false; ; {
		why := h.spare(ctx, d)
		if why == nil {
			return nil
		}
		if !told {
			told = true
			h.s.cfg.Logger.Warn("a drive is damaged; it is healed when the others can do without it", "drive", d, "damage", cause, "waiting", why)
		}
		select {
		case <-poll.C:
		case <-patience.C:
			return fmt.Errorf("%w; it was not healed, for the others could not do without it: %w", cause, why)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// spare says why the drive cannot be done without now.
func (h *healer) spare(ctx context.Context, d id.Drive) error {
	scheme := h.scheme.Load()
	if scheme == nil {
		return errors.New("the cluster's scheme is not known yet")
	}
	others := 0
	for _, st := range h.fleet() {
		if st.ID != d && !st.Out && !st.ReadOnly {
			others++
		}
	}
	if want := writeQuorum(*scheme); others < want {
		return fmt.Errorf("%d other drives take writes, %d are needed for scheme %s", others, want, scheme)
	}
	for group := range meta.DefaultGroups + 1 {
		if err := h.s.host.Spare(ctx, group, d); err != nil {
			return err
		}
	}
	return nil
}

// reopen takes the drive out of service, closes it, opens it and takes it in again. When that fails it
// stays out, and is shown as such.
func (h *healer) reopen(ctx context.Context, old *drive.Drive, cause error) error {
	s, d, path, begin := h.s, old.ID(), old.Status().Path, time.Now()
	s.cfg.Logger.Warn("a drive is damaged: it is taken out, and in again with a new database or raft log", "drive", d, "path", path, "damage", cause)
	s.routes.Remove(d)
	if err := s.host.RemoveDrive(d); errors.Is(err, replica.ErrClosed) {
		return err
	} else if err != nil {
		s.cfg.Logger.Warn("a damaged drive did not stop cleanly", "drive", d, "error", err)
	}
	fresh, err := h.openAgain(ctx, old)
	if ctx.Err() != nil {
		return ctx.Err() // the server is stopping
	}
	if err != nil {
		err = fmt.Errorf("%w; and it could not be opened again: %w", cause, err)
		old.Fail(err)
		h.serve(old) // refuses everything, and tells why
		return err
	}
	s.mu.Lock()
	s.drives[slices.Index(s.drives, old)] = fresh
	s.mu.Unlock()
	h.serve(fresh)
	h.healed.Add(1)
	s.cfg.Logger.Info("a damaged drive was opened anew; its metadata replicas are rebuilt where they were lost", "drive", d, "path", path,
		"took", time.Since(begin).Round(time.Millisecond).String())
	return nil
}

// openAgain closes a drive and opens it, for the replicas too.
func (h *healer) openAgain(ctx context.Context, old *drive.Drive) (*drive.Drive, error) {
	closed := make(chan error, 1)
	go func() { closed <- old.Close() }()
	select {
	case err := <-closed:
		if errors.Is(err, drive.ErrStuck) {
			return nil, err
		}
		if err != nil {
			h.s.cfg.Logger.Warn("a damaged drive did not close cleanly", "drive", old.ID(), "error", err)
		}
	case <-time.After(closePatience):
		return nil, fmt.Errorf("it did not close within %s", closePatience)
	}
	fresh, err := drive.Open(ctx, drive.Config{Path: old.Status().Path, Cluster: h.s.cluster, OnDamage: h.suspect, Logger: h.s.cfg.Logger})
	if err != nil {
		return nil, err
	}
	if fresh.ID() != old.ID() {
		return nil, errors.Join(fmt.Errorf("%s holds drive %s now, not %s", old.Status().Path, fresh.ID(), old.ID()), fresh.Close())
	}
	if err := h.s.host.AddDrive(ctx, replicaHandle(fresh)); err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	return fresh, nil
}
