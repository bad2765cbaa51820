package fanout

import (
	"fmt"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// shard is the state of one shard of a write; put.mu guards it.
type shard struct {
	state  shardState
	pos    int      // stripes written
	next   id.Drive // drive to be tried next; zero: take a spare
	drive  id.Drive // drive that holds it, or is asked to
	health *driveHealth
	tried  bool    // Commit was called on drive: it may be durable there
	busy   *stripe // whose block the drive is writing now
	owned  *block  // a block that was left to a slow drive
	err    error   // why it was lost, last
}

type shardState uint8

const (
	writing shardState = iota
	committed
	lost      // no drive would take it
	abandoned // its drive was too slow; its goroutine may still be in a call
)

// run writes one shard, on its drive or on a spare.
func (p *put) run(i int) {
	defer p.ended(i)
	s := &p.shards[i]
	for {
		drive := p.pick(s)
		if drive == nil {
			return
		}
		err := p.serve(i, drive)
		if p.settle(i, drive, err) {
			return
		}
	}
}

func (p *put) ended(i int) {
	p.mu.Lock()
	p.running--
	if s := &p.shards[i]; s.state == writing {
		s.state = lost
	}
	p.notify()
	p.mu.Unlock()
	p.f.background.Done()
}

// pick finds the drive to try next; nil when there is none or the write is over.
func (p *put) pick(s *shard) node.Drive {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.over && s.state == writing {
		want := s.next
		if s.next = (id.Drive{}); want.IsZero() {
			if len(p.spares) == 0 {
				p.lose(s)
				return nil
			}
			want, p.spares = p.spares[0], p.spares[1:]
			p.f.stats.spared.Add(1)
		}
		health := p.f.health.of(want)
		drive, ok := p.f.cfg.Drives.Drive(want)
		switch {
		case !ok:
			s.err = kind.New(kind.Unavailable, "drive %s: no way to it", want)
		case int(health.stuck.Load()) >= p.f.cfg.MaxStuck:
			s.err = kind.New(kind.Unavailable, "drive %s: does not answer", want)
		default:
			s.drive, s.health, s.pos, s.tried = want, health, 0, false
			return drive
		}
	}
	return nil
}

// lose gives a shard up for good.
func (p *put) lose(s *shard) {
	if s.state != writing {
		return
	}
	s.state, s.drive = lost, id.Drive{}
	p.notify()
}

// serve writes the shard to one drive, from the first stripe to the commit.
func (p *put) serve(i int, drive node.Drive) error {
	w, err := drive.Create(p.ctx, p.layout.Spec(p.spec.Data, i))
	if err != nil {
		return err
	}
	for n := range p.total {
		block := p.await(i, n)
		if block == nil {
			w.Abort()
			return errOver
		}
		err := w.WriteBlock(p.ctx, block)
		if alive := p.wrote(i, err == nil); !alive || err != nil {
			w.Abort()
			return err
		}
	}
	if !p.mayCommit(i) {
		w.Abort()
		return errOver
	}
	if err := w.Commit(p.ctx); err != nil {
		w.Abort()
		return err
	}
	return nil
}

// errOver ends a shard of a write that is over; nobody is told.
var errOver = fmt.Errorf("fanout: the write is over")

// await waits until stripe n is encoded and lends its block to the drive; nil when the write is
// over for this shard. The stripe itself may be in other hands as soon as the lock is let go.
func (p *put) await(i, n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.encoded <= n && !p.over && p.shards[i].state == writing {
		p.work.Wait()
	}
	if p.over || p.shards[i].state != writing {
		return nil
	}
	st := p.find(n)
	p.shards[i].busy = st
	return st.slices[i]
}

// wrote takes the block back from the drive. false means that the shard was given up meanwhile.
func (p *put) wrote(i int, ok bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.shards[i]
	s.busy = nil
	if s.owned != nil {
		p.f.puts.release(classBytes(s.owned.class))
		p.f.blocks.put(s.owned)
		s.owned = nil
	}
	if p.over || s.state != writing {
		return false
	}
	if !ok {
		return true
	}
	s.pos++
	// The caller waits for a stripe to come free, or for when only a few hold it back.
	if p.tail() == s.pos || p.lagging() {
		p.notify()
	}
	return true
}

func (p *put) mayCommit(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.shards[i]
	s.tried = !p.over && s.state == writing
	return s.tried
}

// settle takes in how a shard ended on a drive; false means that it is to be tried on another.
//
// A shard that was left behind and became durable late is deleted only if the write has failed: nobody
// will ever name it then. After a write that succeeded, repair may have put the same shard (the same
// bytes, by the same name) on that drive meanwhile, and the record may name it. So it stays: if repair
// chose another drive, it is an orphan, which the sweep deletes on the record's word.
func (p *put) settle(i int, drive node.Drive, err error) bool {
	p.mu.Lock()
	s := &p.shards[i]
	if p.over || s.state != writing {
		if s.state == abandoned {
			s.health.stuck.Add(-1)
		}
		late := s.tried
		if late && !p.failed { // should the write fail yet, it goes with the rest
			p.doubtful = append(p.doubtful, doubt{drive: drive, shard: p.shardName(i)})
			late = false
		}
		p.mu.Unlock()
		if late {
			p.f.withdraw(p.ctx, drive, p.shardName(i))
		}
		return true
	}
	defer p.mu.Unlock()
	if err == nil {
		s.state = committed
		p.notify()
		return true
	}
	s.err = fmt.Errorf("drive %s: %w", s.drive, err)
	p.f.cfg.Logger.Warn("a drive failed while a shard was written", "shard", p.shardName(i), "drive", s.drive, "error", err)
	if s.tried {
		p.doubtful = append(p.doubtful, doubt{drive: drive, shard: p.shardName(i)})
	}
	// A spare needs the shard from its first stripe on.
	if s.pos == 0 || p.total == 1 {
		s.pos, s.health = 0, nil
		return false
	}
	p.lose(s)
	return true
}

// ---- what the caller's goroutine asks, under put.mu ----

func (p *put) count(state shardState) int {
	n := 0
	for i := range p.shards {
		if p.shards[i].state == state {
			n++
		}
	}
	return n
}

// fatal is the reason why the write cannot succeed any more.
func (p *put) fatal() error {
	if p.err != nil {
		return p.err
	}
	if p.count(writing)+p.count(committed) < p.quorum {
		return p.shortage()
	}
	return nil
}

// tail is the number of stripes that every live shard has written.
func (p *put) tail() int {
	tail := p.total
	for i := range p.shards {
		if p.shards[i].state == writing {
			tail = min(tail, p.shards[i].pos)
		}
	}
	return tail
}

// lagging reports whether slow drives alone hold the write back: a quorum of the others has written
// all there is, and encoder and inspector are further than the slowest. To be a stripe behind is
// no fault: whoever is slowest by a little ends up there, and costs no more than that little.
func (p *put) lagging() bool {
	if p.used() <= p.tail() {
		return false
	}
	idle := 0
	for i := range p.shards {
		if s := &p.shards[i]; s.state == writing && s.pos == p.encoded || s.state == committed {
			idle++
		}
	}
	return idle >= p.quorum
}

// abandon gives up the live shards that match.
func (p *put) abandon(match func(*shard) bool) {
	for i := range p.shards {
		s := &p.shards[i]
		if s.state != writing || !match(s) {
			continue
		}
		s.state = abandoned
		s.err = kind.New(kind.Timeout, "drive %s: too slow", s.drive)
		p.f.stats.abandoned.Add(1)
		if s.health != nil {
			s.health.stuck.Add(1)
		}
		p.f.cfg.Logger.Warn("a slow drive was left behind", "shard", p.shardName(i), "drive", s.drive)
	}
	p.work.Broadcast()
}

// reclaim takes a stripe back: a block that a slow drive still holds stays with that drive.
func (p *put) reclaim(st *stripe) {
	for i := range p.shards {
		s := &p.shards[i]
		if s.busy != st || s.owned != nil {
			continue
		}
		s.owned = st.bufs[i]
		p.f.puts.force(classBytes(s.owned.class))
		st.bufs[i] = p.f.blocks.get(p.class)
	}
}
