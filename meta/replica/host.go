package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/id"
)

// Host runs the replicas of all drives of a process.
type Host struct {
	cfg       Config
	transport Transport
	loops     atomic.Pointer[map[id.Drive]*loop] // never changed, but replaced: look-ups take no lock
	groups    []groupState                       // by group
	decoded   decoded

	life   context.Context // ends with Close
	cancel context.CancelFunc
	ticked chan struct{} // closed when the ticker has ended

	// background counts the goroutines that use a drive besides loops, appliers and janitors.
	background sync.WaitGroup
	closing    sync.Once
	closeErr   error

	changing sync.Mutex // held while drives come or go
	mu       sync.Mutex
	changed  chan struct{} // closed and made anew when a leader changed
	drives   []id.Drive    // also those that did not open, in the order in which they came
	ended    map[id.Drive]error
}

// groupState is what requests need to know of a group.
type groupState struct {
	leader atomic.Pointer[leadership]
	hints  atomic.Pointer[[]hint] // whom the replicas here follow; replaced under Host.mu
	moving chan struct{}          // holds one while a replica is moved
	full   atomic.Bool            // fewer than a quorum of its drives have room
	// replicas counts those on the drives here.
	replicas atomic.Int32
}

// leadership says that a replica here leads its group.
type leadership struct {
	l       *loop
	r       *replica
	raftID  uint64
	term    uint64
	settled bool // it has applied the first entry of its term
}

// Open recovers the replicas of the drives and sets them going. A drive that cannot be opened is
// left out (see Status), and taken out by its Fail.
func Open(ctx context.Context, cfg Config) (*Host, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, groups: make([]groupState, cfg.Groups+1),
		ticked: make(chan struct{}), changed: make(chan struct{}), ended: map[id.Drive]error{},
	}
	for i := range h.groups {
		h.groups[i].moving = make(chan struct{}, 1)
	}
	h.life, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	h.transport = router{h}
	drives := h.openDrives()
	if b := cfg.Beginning; b != nil {
		if err := b.write(drives); err != nil {
			for _, o := range drives {
				_ = o.l.log.Close()
			}
			return nil, err
		}
	}
	loops := map[id.Drive]*loop{}
	for _, o := range drives {
		o.restore()
		loops[o.l.drive.ID] = o.l
	}
	h.loops.Store(&loops)
	for _, l := range loops {
		l.start()
	}
	go h.ticks()
	return h, nil
}

// openDrives replays the logs of all drives, side by side.
func (h *Host) openDrives() []*opening {
	all := make([]*opening, len(h.cfg.Drives))
	var wg sync.WaitGroup
	for i, d := range h.cfg.Drives {
		h.drives = append(h.drives, d.ID)
		wg.Go(func() {
			o, err := openDrive(h, d)
			if err == nil {
				all[i] = o
				return
			}
			h.cfg.Logger.Error("no replicas on this drive", "drive", d.ID, "error", err)
			h.noteEnded(d.ID, err)
			if d.Fail != nil {
				d.Fail(err)
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(all, func(o *opening) bool { return o == nil })
}

// ticks is the clock of all loops.
func (h *Host) ticks() {
	defer close(h.ticked)
	t := time.NewTicker(h.cfg.Tick)
	defer t.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case <-t.C:
			for _, l := range h.here() {
				l.in.tick()
			}
		}
	}
}

// Close stops everything. What was proposed and not answered is failed; the drives are not closed.
func (h *Host) Close() error {
	h.closing.Do(func() { h.closeErr = h.close() })
	return h.closeErr
}

func (h *Host) close() error {
	h.changing.Lock()
	defer h.changing.Unlock()
	loops := h.here()
	for _, l := range loops {
		l.in.call(func(l *loop) { l.stopping = true })
	}
	for _, l := range loops {
		<-l.stopped
	}
	h.mu.Lock()
	h.cancel() // under mu: see enter
	h.mu.Unlock()
	<-h.ticked
	h.background.Wait()
	var errs []error
	for _, l := range loops {
		errs = append(errs, l.end())
	}
	return errors.Join(errs...)
}

// enter counts the caller as background work, unless the host is closing.
func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life.Err() != nil {
		return false
	}
	h.background.Add(1)
	return true
}

// here are the loops of the drives that are here, also of those that ended.
func (h *Host) here() map[id.Drive]*loop { return *h.loops.Load() }

// loopOf is the loop of a drive, also of one that ended; nil if the drive is not here.
func (h *Host) loopOf(drive id.Drive) *loop { return h.here()[drive] }

// Deliver takes messages that came from another process for drives of this one. It does not
// block, and drops what it cannot take.
func (h *Host) Deliver(msgs []Message) {
	for len(msgs) > 0 {
		n := 1
		for n < len(msgs) && msgs[n].To == msgs[0].To {
			n++
		}
		if l := h.loopOf(msgs[0].To); l != nil {
			l.in.send(msgs[:n])
		}
		msgs = msgs[n:]
	}
}

// broadcast wakes all who wait for a change of leaders.
func (h *Host) broadcast() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wake()
}

// wake is broadcast with mu held.
func (h *Host) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// Changed returns a channel that is closed when the next leader changes.
func (h *Host) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

func (h *Host) leads(l *loop, r *replica) {
	g, now := &h.groups[r.group], &leadership{l: l, r: r, raftID: r.id, term: r.hard.term}
	for {
		old := g.leader.Load()
		if old != nil && old.term > now.term {
			return
		}
		if g.leader.CompareAndSwap(old, now) {
			break
		}
	}
	// Elections are rare, and a term has one leader: the logs of all nodes show whether that held.
	h.cfg.Logger.Info("a replica leads its group", "group", r.group, "term", now.term, "raft_id", r.id, "drive", l.drive.ID.String())
	h.broadcast()
}

func (h *Host) resigns(l *loop, r *replica) {
	g := &h.groups[r.group]
	if old := g.leader.Load(); old != nil && old.r == r {
		g.full.Store(false) // the next leader knows
		g.leader.CompareAndSwap(old, nil)
		h.broadcast()
	}
}

func (h *Host) settled(l *loop, r *replica) {
	g := &h.groups[r.group]
	if old := g.leader.Load(); old != nil && old.r == r && !old.settled {
		now := *old
		now.settled = true
		g.leader.CompareAndSwap(old, &now)
		h.broadcast()
	}
}

// loopEnded notes that a drive has no replicas any more. The others need not wait for a timeout to
// find new leaders.
func (h *Host) loopEnded(ended *loop, err error) {
	if err == nil {
		return
	}
	h.noteEnded(ended.drive.ID, err)
	h.abandon(ended)
	h.broadcast()
	h.damaged(ended.drive.ID, err)
}

func (h *Host) noteEnded(drive id.Drive, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended[drive] = err
}

// Groups is the number of object groups.
func (h *Host) Groups() uint32 { return h.cfg.Groups }

// Full reports whether so many drives of a group have reached their reserve that commands which
// make it grow should be refused: the rest of the room is for those that make it smaller.
func (h *Host) Full(group uint32) bool {
	return int(group) < len(h.groups) && h.groups[group].full.Load()
}

// Leads reports whether a replica here leads the group.
func (h *Host) Leads(group uint32) bool { return h.leader(group) != nil }

// leader is who leads a group from here, or nil.
func (h *Host) leader(group uint32) *leadership {
	if int(group) >= len(h.groups) {
		return nil
	}
	return h.groups[group].leader.Load()
}
