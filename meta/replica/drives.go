package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/internal/id"
)

// handOverTicks bounds how long the leaders on a drive that is to be removed are waited for, in ticks, while they
// hand over: it takes a message and an election.
const handOverTicks = 5

// AddDrive replays the log of a drive, sets its replicas going and takes part with it. A drive
// without any state has no replicas until it is given some. The drive must not be here; one that
// went out is removed first.
func (h *Host) AddDrive(ctx context.Context, d DriveHandle) error {
	if d.ID.IsZero() || d.KV == nil || d.OpenLog == nil {
		return fmt.Errorf("replica: drive %s is given without KV or OpenLog", d.ID)
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.life.Err() != nil {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("replica: add drive %s: %w", d.ID, ctx.Err())
	}
	h.mu.Lock()
	known := slices.Contains(h.drives, d.ID)
	h.mu.Unlock()
	if known {
		return fmt.Errorf("replica: add drive %s: it is here already", d.ID)
	}
	o, err := openDrive(h, d)
	if err != nil {
		return err
	}
	o.restore()
	h.mu.Lock()
	h.drives = append(h.drives, d.ID)
	h.mu.Unlock()
	h.edit(func(m map[id.Drive]*loop) { m[d.ID] = o.l })
	o.l.start()
	return nil
}

// RemoveDrive ends the replicas on a drive and closes its raft log; then nothing here uses the drive any more.
// The groups that were led from it get other leaders, if they have a majority without it. For its
// groups it is away, as if the machine were off: it stays a member until MoveReplica.
func (h *Host) RemoveDrive(drive id.Drive) error { return h.remove(drive, h.handOver) }

func (h *Host) remove(drive id.Drive, handOver func(*loop)) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.life.Err() != nil {
		return ErrClosed
	}
	h.mu.Lock()
	known := slices.Contains(h.drives, drive)
	h.mu.Unlock()
	if !known {
		return fmt.Errorf("replica: remove drive %s: it is not here", drive)
	}
	var err error
	if l := h.loopOf(drive); l != nil {
		handOver(l)
		h.edit(func(m map[id.Drive]*loop) { delete(m, drive) })
		l.in.call(func(l *loop) { l.stopping = true })
		<-l.stopped
		h.abandon(l)
		err = l.end()
		h.abandon(l) // a last message of its may have brought it back to mind
	}
	h.mu.Lock()
	delete(h.ended, drive)
	h.drives = slices.DeleteFunc(h.drives, func(d id.Drive) bool { return d == drive })
	h.mu.Unlock()
	h.broadcast()
	return err
}

// edit replaces the loops; changing is held.
func (h *Host) edit(change func(map[id.Drive]*loop)) {
	next := maps.Clone(h.here())
	change(next)
	h.loops.Store(&next)
}

// handOver has the leaders on a drive ask others to lead, and waits a little.
func (h *Host) handOver(l *loop) {
	patience := time.NewTimer(handOverTicks * h.cfg.Tick)
	defer patience.Stop()
	for {
		changed, leads := h.Changed(), false
		for group := range h.groups {
			if lead := h.groups[group].leader.Load(); lead != nil && lead.l == l {
				leads = true
				h.transfer(uint32(group), lead.raftID)
			}
		}
		if !leads {
			return
		}
		select {
		case <-changed:
		case <-l.stopped:
			return
		case <-patience.C:
			return
		}
	}
}

// end waits until nothing uses the drive of a loop that has stopped, and closes its log.
func (l *loop) end() error {
	l.cancel()
	l.gate.close()
	<-l.swept
	if err := l.log.Close(); err != nil && l.host.endedWith(l.drive.ID) == nil {
		return fmt.Errorf("replica: drive %s: close raft log: %w", l.drive.ID, err)
	}
	return nil
}

// damaged tells who asked for it.
func (h *Host) damaged(drive id.Drive, err error) {
	if h.cfg.OnDamage != nil {
		go h.cfg.OnDamage(drive, err)
	}
}
